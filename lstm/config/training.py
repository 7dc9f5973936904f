"""What the settings of all models have in common of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

__all__ = ["NO_LIMIT", "Schedule", "epochs"]

Schedule = Literal["constant", "cosine", "one_cycle", "warm_up", "plateau"]
"""Courses of the learning rate; `lstm.training.optim.learning_rate_at` follows them"""
NO_LIMIT = 1000
"""Epochs of a training that a time budget ends"""


def epochs(default: int) -> Callable[[dict[str, Any]], int]:
    """Return the default of `max_epochs`: a time budget is there to be used, so that it is no limit then."""
    return lambda settings: default if settings.get("max_minutes") is None else NO_LIMIT

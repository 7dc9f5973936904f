"""What `window_training` works on, on both backends."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["AdamArrays", "AdamConstants"]


class AdamArrays(NamedTuple):
    """The flat vectors that the optimiser works on, each (n,)."""

    values: Any
    gradients: Any
    first_moment: Any
    second_moment: Any
    average: Any
    """Of the weights; empty where they are not averaged"""


class AdamConstants(NamedTuple):
    """The optimiser's settings."""

    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float
    gradient_clip: float
    average_decay: float

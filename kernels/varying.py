"""Numbers that differ from step to step, in a training step that is recorded once and then replayed.

Such a number has the value of the step that is taken while it is recorded, and it knows those of the steps that a call
replays: the `find` of a number takes the `ReplayedSteps`, and returns an array with a number for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["ReplayedSteps", "VaryingFloat", "VaryingInt"]


class ReplayedSteps(NamedTuple):
    """The steps of one call."""

    numbers: np.ndarray
    """(steps,) int64: how many steps the training had taken before each"""
    places: np.ndarray
    """(steps,) int64: of the steps among the batches of the call"""
    learning_rates: np.ndarray
    """(steps,) float64"""

    def part(self, first: int, last: int) -> ReplayedSteps:
        """Return some of them."""
        return ReplayedSteps(*(of_steps[first:last] for of_steps in self))


class VaryingInt(int):
    """An integer that differs from step to step."""

    find: Callable[[ReplayedSteps], np.ndarray]

    def __new__(cls, value: int, find: Callable[[ReplayedSteps], np.ndarray]) -> VaryingInt:
        """Make it from its value in the step that is recorded."""
        number = super().__new__(cls, value)
        number.find = find
        return number


class VaryingFloat(float):
    """A floating-point number that differs from step to step."""

    find: Callable[[ReplayedSteps], np.ndarray]

    def __new__(cls, value: float, find: Callable[[ReplayedSteps], np.ndarray]) -> VaryingFloat:
        """Make it from its value in the step that is recorded."""
        number = super().__new__(cls, value)
        number.find = find
        return number

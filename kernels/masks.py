"""What a dropout mask is made from: both backends draw it when it is used, and draw it again for the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels.varying import ReplayedSteps, VaryingInt

__all__ = ["NO_MASK", "Mask", "mask"]

_WORD = 0xFFFFFFFF
_LONG_WORD = 0xFFFFFFFFFFFFFFFF


class Mask(NamedTuple):
    """A dropout mask that is drawn from `kernels.scalar.random_word` element by element (inverted dropout).

    An element is kept, and multiplied by `scale`, if its random word is at least `threshold`; otherwise it is zero.
    """

    key: int
    """32 bits; another key is another mask"""
    threshold: int
    """0 keeps everything"""
    scale: float
    """1 / (1 - rate)"""
    per_step: bool
    """Another mask at each step of a sequence; False for one mask of all steps ("variational")"""


NO_MASK = Mask(0, 0, 1.0, False)


def mask(rate: float, per_step: bool, *numbers: int) -> Mask:
    """Return the mask that belongs to some numbers, such as seed, training step and layer.

    Parameters
    ----------
    rate : float
        Share of the elements that become zero, from 0 to below 1.
    per_step : bool
    *numbers : int
        Not negative; the same ones give the same mask.
    """
    if rate == 0:
        return NO_MASK
    return Mask(_key(numbers), round(rate * (_WORD + 1)), 1 / (1 - rate), per_step)


def _key(numbers: tuple[int, ...]) -> int:
    """Return the key of some numbers; it varies from step to step if one of them does."""
    key = _mixed_together(numbers)
    if not any(isinstance(number, VaryingInt) for number in numbers):
        return key

    def find(steps: ReplayedSteps) -> np.ndarray:
        """Find the keys of other steps."""
        found = (
            number.find(steps).astype(np.uint64) if isinstance(number, VaryingInt) else number for number in numbers
        )
        return _mixed_together(found).astype(np.int64)

    return VaryingInt(key, find)


def _mixed_together(numbers: Iterable[Any]) -> Any:
    key: Any = 0
    for number in numbers:
        key = _mixed(key ^ number)
    return key & _WORD


def _mixed(number: Any) -> Any:
    """SplitMix64 (Steele, Lea & Flood 2014): numbers that differ in one bit come out with half their bits changed."""
    number = (number + 0x9E3779B97F4A7C15) & _LONG_WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _LONG_WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _LONG_WORD
    return number ^ (number >> 31)

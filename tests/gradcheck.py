"""Gradients by central differences, (f(a + h) - f(a - h)) / 2h."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def central_difference(function: Callable[[], float], array: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Return the gradient of `function` with respect to float64 `array`, which it reads; the array is restored."""
    assert array.dtype == np.float64
    gradient = np.empty_like(array)
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + step
        above = function()
        array[place] = value - step
        below = function()
        array[place] = value
        gradient[place] = (above - below) / (2 * step)
    return gradient

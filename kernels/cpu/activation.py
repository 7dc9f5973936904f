"""tanh of whole arrays, in place, with its gradient."""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel
from kernels.scalar import tanh, tanh_derivative

__all__ = ["tanh_backward", "tanh_forward"]


def tanh_forward(x: np.ndarray) -> None:
    """``x = tanh(x)`` for a C-contiguous array."""
    _tanh_forward(x.reshape(-1))


def tanh_backward(y: np.ndarray, dy: np.ndarray) -> None:
    """``dy = dy * (1 - y^2)``, from the values `y` of tanh; C-contiguous arrays of one shape."""
    _tanh_backward(y.reshape(-1), dy.reshape(-1))


@kernel
def _tanh_forward(x):
    for n in range(x.shape[0]):
        x[n] = tanh(x[n])


@kernel
def _tanh_backward(y, dy):
    for n in range(y.shape[0]):
        dy[n] *= tanh_derivative(y[n])

"""tanh of whole arrays, in place, and its gradient."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.scalar import tanh, tanh_derivative

__all__ = ["tanh_backward", "tanh_forward", "tanh_line"]


def tanh_forward(x: np.ndarray) -> None:
    """``x = tanh(x)`` for a C-contiguous array."""
    run(tanh_line, x.reshape(-1))


def tanh_backward(y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy * (1 - y^2)``, from the values `y` of tanh; C-contiguous arrays of one shape."""
    run(tanh_line_backward, y.reshape(-1), dy.reshape(-1), dx.reshape(-1))


@kernel
def tanh_line(x):
    """``x = tanh(x)`` over contiguous memory."""
    for n in range(x.shape[0]):
        x[n] = tanh(x[n])


@kernel
def tanh_line_backward(y, dy, dx):
    """`tanh_backward` over contiguous memory."""
    for n in range(y.shape[0]):
        dx[n] = dy[n] * tanh_derivative(y[n])

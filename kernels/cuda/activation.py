"""tanh of whole arrays, in place, and its gradient."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.scalar import tanh, tanh_derivative

__all__ = ["tanh_backward", "tanh_forward"]


def tanh_forward(x: Any) -> None:
    """``x = tanh(x)`` for a C-contiguous array."""
    launch(_tanh_forward, x.size, x.reshape(-1))


def tanh_backward(y: Any, dy: Any, dx: Any) -> None:
    """``dx = dy * (1 - y^2)``, from the values `y` of tanh; C-contiguous arrays of one shape."""
    launch(_tanh_backward, y.size, y.reshape(-1), dy.reshape(-1), dx.reshape(-1))


@kernel
def _tanh_forward(x):
    n = cuda.grid(1)
    if n < x.shape[0]:
        x[n] = tanh(x[n])


@kernel
def _tanh_backward(y, dy, dx):
    n = cuda.grid(1)
    if n < y.shape[0]:
        dx[n] = dy[n] * tanh_derivative(y[n])

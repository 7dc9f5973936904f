"""An embedding on the GPU."""

from __future__ import annotations

from typing import Any

from numba import cuda

from kernels.cuda.launch import launch

__all__ = ["embedding_backward", "embedding_forward"]


def embedding_forward(weight: Any, indices: Any, y: Any) -> None:
    """``y[n] = weight[indices[n]]``; arguments as `kernels.cpu.embedding.embedding_forward`."""
    launch(_forward, y.shape, weight, indices, y)


def embedding_backward(indices: Any, dy: Any, d_weight: Any, accumulate: bool) -> None:
    """``d_weight[indices[n]] += dy[n]``; arguments as `kernels.cpu.embedding.embedding_backward`."""
    launch(_backward, d_weight.shape[1], indices, dy, d_weight, accumulate)


@cuda.jit
def _forward(weight, indices, y):
    n, j = cuda.grid(2)
    if n < y.shape[0] and j < y.shape[1]:
        y[n, j] = weight[indices[n], j]


@cuda.jit
def _backward(indices, dy, d_weight, accumulate):
    """A thread per column adds the rows in their order: atomic additions would come in any order."""
    j = cuda.grid(1)
    if j < d_weight.shape[1]:
        if not accumulate:
            for entry in range(d_weight.shape[0]):
                d_weight[entry, j] = 0
        for n in range(indices.shape[0]):
            d_weight[indices[n], j] += dy[n, j]

"""An embedding on the GPU."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch

__all__ = ["embedding_backward", "embedding_forward", "repeat_over_steps", "sum_over_steps"]

_SHARES = 64  # of the entries: many enough that a common one does not keep its column's thread from the others


def embedding_forward(weight: Any, indices: Any, y: Any) -> None:
    """``y[n] = weight[indices[n]]``; arguments as `kernels.cpu.embedding.embedding_forward`."""
    launch(_forward, y.shape, weight, indices, y)


def embedding_backward(indices: Any, dy: Any, d_weight: Any, accumulate: bool) -> None:
    """``d_weight[indices[n]] += dy[n]``; arguments as `kernels.cpu.embedding.embedding_backward`."""
    shares = min(_SHARES, d_weight.shape[0])
    launch(_backward, (shares, d_weight.shape[1]), shares, indices, dy, d_weight, accumulate)


def repeat_over_steps(vectors: Any, x: Any) -> None:
    """``x[n, t, -size:] = vectors[n]``; arguments as `kernels.cpu.embedding.repeat_over_steps`."""
    launch(_repeat, (x.shape[0], x.shape[1]), vectors, x)


def sum_over_steps(dx: Any, d_vectors: Any) -> None:
    """``d_vectors[n] = sum over t of dx[n, t, -size:]``; arguments as `kernels.cpu.embedding.sum_over_steps`."""
    launch(_sum, d_vectors.shape, dx, d_vectors)


@kernel
def _repeat(vectors, x):
    t, n = cuda.grid(2)
    if n < x.shape[0] and t < x.shape[1]:
        for j in range(vectors.shape[1]):
            x[n, t, x.shape[2] - vectors.shape[1] + j] = vectors[n, j]


@kernel
def _sum(dx, d_vectors):
    j, n = cuda.grid(2)
    if n < d_vectors.shape[0] and j < d_vectors.shape[1]:
        column = dx.shape[2] - d_vectors.shape[1] + j
        total = dx[n, 0, column]
        for t in range(1, dx.shape[1]):
            total += dx[n, t, column]
        d_vectors[n, j] = total


@kernel
def _forward(weight, indices, y):
    j, n = cuda.grid(2)
    if n < y.shape[0] and j < y.shape[1]:
        y[n, j] = weight[indices[n], j]


@kernel
def _backward(shares, indices, dy, d_weight, accumulate):
    """A thread per column and share of the entries adds rows in their order; atomic additions have no fixed order."""
    j, share = cuda.grid(2)
    if j < d_weight.shape[1] and share < shares:
        if not accumulate:
            for entry in range(share, d_weight.shape[0], shares):
                d_weight[entry, j] = 0
        for n in range(indices.shape[0]):
            if indices[n] % shares == share:
                d_weight[indices[n], j] += dy[n, j]

"""An embedding on the GPU."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch

__all__ = ["embedding_backward", "embedding_forward"]

_SHARES = 64  # of the entries: many enough that a common one does not keep its column's thread from the others


def embedding_forward(weight: Any, indices: Any, y: Any) -> None:
    """``y[n] = weight[indices[n]]``; arguments as `kernels.cpu.embedding.embedding_forward`."""
    launch(_forward, y.shape, weight, indices, y)


def embedding_backward(indices: Any, dy: Any, d_weight: Any, accumulate: bool) -> None:
    """``d_weight[indices[n]] += dy[n]``; arguments as `kernels.cpu.embedding.embedding_backward`."""
    shares = min(_SHARES, d_weight.shape[0])
    launch(_backward, (shares, d_weight.shape[1]), shares, indices, dy, d_weight, accumulate)


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

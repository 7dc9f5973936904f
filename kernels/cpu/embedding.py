"""An embedding: a learnt vector for each entry of a vocabulary, looked up by its index."""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel

__all__ = ["embedding_backward", "embedding_forward"]


def embedding_forward(weight: np.ndarray, indices: np.ndarray, y: np.ndarray) -> None:
    """``y[n] = weight[indices[n]]``.

    Parameters
    ----------
    weight : (vocabulary, size) array
    indices : (rows,) int64 array
        From 0 to vocabulary - 1; not checked.
    y : (rows, size) array
        ``=``
    """
    _forward(weight, indices, y)


def embedding_backward(indices: np.ndarray, dy: np.ndarray, d_weight: np.ndarray, accumulate: bool) -> None:
    """``d_weight[indices[n]] += dy[n]``, row after row, so that the sums have a fixed order.

    Parameters
    ----------
    indices : (rows,) int64 array
        Those of the forward pass.
    dy : (rows, size) array
    d_weight : (vocabulary, size) array
        ``=`` where `accumulate` is False, ``+=`` where it is True (for weights that serve elsewhere too).
    accumulate : bool
    """
    _backward(indices, dy, d_weight, accumulate)


@kernel
def _forward(weight, indices, y):
    for n in range(indices.shape[0]):
        source, target = weight[indices[n]], y[n]
        for j in range(target.shape[0]):
            target[j] = source[j]


@kernel
def _backward(indices, dy, d_weight, accumulate):
    if not accumulate:
        for entry in range(d_weight.shape[0]):
            for j in range(d_weight.shape[1]):
                d_weight[entry, j] = 0
    for n in range(indices.shape[0]):
        source, target = dy[n], d_weight[indices[n]]
        for j in range(target.shape[0]):
            target[j] += source[j]

"""An embedding: a learnt vector for each entry of a vocabulary, looked up by its index."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel

__all__ = [
    "add_to_table", "embedding_backward", "embedding_forward", "look_up", "repeat_over_steps", "sum_over_steps",
]  # fmt: skip


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
    run(_forward, weight, indices, y)


def embedding_backward(indices: np.ndarray, dy: np.ndarray, d_weight: np.ndarray, accumulate: bool) -> None:
    """``d_weight[indices[n]] += dy[n]``, row after row, so that the sums have a fixed order.

    Parameters
    ----------
    indices : (rows,) int64 array
        Those of the forward pass.
    dy : (rows, size) array
    d_weight : (vocabulary, size) array
        ``=`` if `accumulate` is False, ``+=`` if it is True (for weights that serve elsewhere too).
    accumulate : bool
    """
    run(_backward, indices, dy, d_weight, accumulate)


def repeat_over_steps(vectors: np.ndarray, x: np.ndarray) -> None:
    """``x[n, t, -size:] = vectors[n]`` at every step t.

    Parameters
    ----------
    vectors : (rows, size) array
    x : (rows, T, size or more) array
        ``=`` in its last columns; the others are left as they are.
    """
    run(_repeat, vectors, x)


def sum_over_steps(dx: np.ndarray, d_vectors: np.ndarray) -> None:
    """``d_vectors[n] = sum over t of dx[n, t, -size:]``: the backward pass of `repeat_over_steps`.

    Parameters
    ----------
    dx : (rows, T, size or more) array
    d_vectors : (rows, size) array
        ``=``
    """
    run(_sum, dx, d_vectors)


@kernel
def _repeat(vectors, x):
    rows, size = vectors.shape
    first = x.shape[2] - size
    for n in range(rows):
        for t in range(x.shape[1]):
            for j in range(size):
                x[n, t, first + j] = vectors[n, j]


@kernel
def _sum(dx, d_vectors):
    rows, size = d_vectors.shape
    first = dx.shape[2] - size
    for n in range(rows):
        d_vectors[n] = 0
        for t in range(dx.shape[1]):
            for j in range(size):
                d_vectors[n, j] += dx[n, t, first + j]


@kernel
def _forward(weight, indices, y):
    for n in range(indices.shape[0]):
        source = weight[indices[n]]
        target = y[n]
        for j in range(target.shape[0]):
            target[j] = source[j]


@kernel
def _backward(indices, dy, d_weight, accumulate):
    if not accumulate:
        for entry in range(d_weight.shape[0]):
            for j in range(d_weight.shape[1]):
                d_weight[entry, j] = 0
    for n in range(indices.shape[0]):
        source = dy[n]
        target = d_weight[indices[n]]
        for j in range(target.shape[0]):
            target[j] += source[j]


@inner_kernel
def look_up(table, indices, first, t, gates, now):
    """Begin the pre-activations of step t, rows from `first` on, with what the `Lookup` has for each row's entry."""
    hidden_size = table.shape[1] // 4
    for gate in range(4):
        for r in range(gates.shape[2]):
            source = table[indices[first + r, t], gate * hidden_size :]
            target = gates[gate, now, r]
            for j in range(hidden_size):
                target[j] = source[j]
            for j in range(hidden_size, target.shape[0]):
                target[j] = 0


@inner_kernel
def add_to_table(d_gates, indices, first, t, d_table):
    """``d_table[indices[first + r, t]] += d_gates[:, t, r]``, row after row."""
    for r in range(d_gates.shape[2]):
        target = d_table[indices[first + r, t]]
        for gate in range(4):
            for j in range(target.shape[1]):
                target[gate, j] += d_gates[gate, t, r, j]

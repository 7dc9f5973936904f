"""A linear layer, softmax and cross-entropy in one operation on the GPU, block of rows after block of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from kernels.cuda.launch import launch
from kernels.cuda.linear import LinearWeights, input_gradient, product_rows, weight_gradient
from kernels.cuda.loss import cross_entropy_rows

__all__ = ["softmax_cross_entropy", "softmax_workspace"]

_BLOCK_ROWS = 4096


class _Workspace(NamedTuple):
    logits: Any  # (block, vocabulary): logits, then their gradients


def softmax_workspace(rows: int, input_size: int, vocabulary_size: int, dtype: str) -> _Workspace:
    """Allocate what `softmax_cross_entropy` needs for these sizes; reused from call to call."""
    return _Workspace(logits=cuda.device_array((min(rows, _BLOCK_ROWS), vocabulary_size), dtype))


def softmax_cross_entropy(
    weights: LinearWeights,
    x: Any,
    targets: Any,
    row_weights: Any,
    workspace: _Workspace,
    losses: Any,
    predictions: Any,
    gradients: LinearWeights | None = None,
    dx: Any | None = None,
) -> float:
    """Return the weighted mean cross-entropy and its gradients; as `kernels.cpu.softmax.softmax_cross_entropy`."""
    host_weights = row_weights.copy_to_host().astype(np.float64)
    total = float(host_weights.sum())
    scale = np.dtype(losses.dtype).type(1 / total)
    block = workspace.logits.shape[0]
    for first in range(0, x.shape[0], block):
        rows = slice(first, min(first + block, x.shape[0]))
        logits = workspace.logits[: rows.stop - first]
        launch(product_rows, logits.shape, *weights, x[rows], logits)
        if gradients is None:
            launch(_largest, logits.shape[0], logits, predictions[rows])
        launch(
            cross_entropy_rows, logits.shape[0], logits, targets[rows], row_weights[rows], scale, logits, losses[rows]
        )
        if gradients is not None and dx is not None:
            launch(weight_gradient, weights.weight.shape, x[rows], logits, *gradients, first > 0)
            launch(input_gradient, (logits.shape[0], x.shape[1]), weights.weight, logits, dx[rows])
    return float(np.dot(losses.copy_to_host().astype(np.float64), host_weights)) / total


@cuda.jit
def _largest(logits, predictions):
    row = cuda.grid(1)
    if row < logits.shape[0]:
        best = 0
        for j in range(1, logits.shape[1]):
            if logits[row, j] > logits[row, best]:
                best = j
        predictions[row] = best

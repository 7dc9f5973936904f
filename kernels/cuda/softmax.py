"""A linear layer, softmax and cross-entropy in one operation on the GPU, block of rows after block of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda

from gatecast.kernels.cuda.call import kernel, new_array
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.linear import LinearWeights, add_weight_gradients, rows_backward, rows_forward
from gatecast.kernels.cuda.loss import cross_entropy_rows, mean_of_rows
from gatecast.kernels.cuda.product import partial_sums
from gatecast.kernels.cuda.reduction import DeviceNumber, sum_parts

__all__ = ["softmax_cross_entropy", "softmax_workspace"]

_BLOCK_ROWS = 4096


class _Workspace(NamedTuple):
    logits: Any  # (block, vocabulary): logits, then their gradients
    partial: Any  # of the weights' gradients


def softmax_workspace(rows: int, input_size: int, vocabulary_size: int, dtype: str) -> _Workspace:
    """Allocate what `softmax_cross_entropy` needs for these sizes; reused from call to call."""
    block = min(rows, _BLOCK_ROWS)
    return _Workspace(
        logits=new_array((block, vocabulary_size), dtype),
        partial=partial_sums(1, block, vocabulary_size, (input_size,), dtype),
    )


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
) -> DeviceNumber:
    """Return the weighted mean cross-entropy and its gradients; as `kernels.cpu.softmax.softmax_cross_entropy`."""
    weight_parts = sum_parts(row_weights)
    block = workspace.logits.shape[0]
    for first in range(0, x.shape[0], block):
        rows = slice(first, min(first + block, x.shape[0]))
        logits = workspace.logits[: rows.stop - first]
        rows_forward(weights, x[rows], logits)
        if gradients is None:
            launch(_largest, logits.shape[0], logits, predictions[rows])
        each = targets[rows], row_weights[rows], weight_parts, logits, losses[rows]
        launch(cross_entropy_rows, logits.shape[0], logits, *each)
        if gradients is not None and dx is not None:
            add_weight_gradients(x[rows], logits, workspace.partial, gradients, first > 0)
            rows_backward(weights, logits, dx[rows])
    return mean_of_rows(losses, row_weights, weight_parts)


@kernel
def _largest(logits, predictions):
    row = cuda.grid(1)
    if row < logits.shape[0]:
        best = 0
        for j in range(1, logits.shape[1]):
            if logits[row, j] > logits[row, best]:
                best = j
        predictions[row] = best

"""A linear layer, softmax and cross-entropy in one operation, which never holds the probabilities of all rows.

The rows are cut into shards, one thread each, and a shard into blocks. A block's logits become its losses, then, in the
same memory, their own gradients, and these are used up for the gradients of weights and input before the next block
comes. So memory grows with the vocabulary, not with rows times vocabulary, and the logits stay in cache. Losses are
``log(sum(exp(z - max z))) + max z - z[target]``, which neither overflows nor takes the logarithm of zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from gatecast.kernels.cpu.compilation import kernel, parallel_kernel
from gatecast.kernels.cpu.linear import LinearWeights, pack_weights, unpack_gradients
from gatecast.kernels.cpu.loss import cross_entropy_row
from gatecast.kernels.cpu.memory import aligned_zeros
from gatecast.kernels.cpu.pack import copy, pack, padded, panels_shape, product, sum_shards

__all__ = ["softmax_cross_entropy", "softmax_workspace"]

# Rows of a block: enough that the traffic of the weight gradient's sum is small compared with its arithmetic.
_BLOCK_ROWS = 128
# Each shard has its own sum of weight gradients; at most this many numbers in all, except that two shards are allowed.
_MOST_SUMS = 1 << 23
_MOST_SHARDS = 16


class _Workspace(NamedTuple):
    shard_rows: int
    operand: np.ndarray  # (shards, block, padded(in + 1)): [x | 1]
    logits: np.ndarray  # (shards, block, padded(vocabulary)): logits, then their gradients
    d_input: np.ndarray  # (shards, block, padded(in))
    d_weights: np.ndarray  # (shards, vocabulary, padded(in + 1))
    forward_panels: np.ndarray  # packed [w | b].T
    backward_panels: np.ndarray  # packed w


def softmax_workspace(rows: int, input_size: int, vocabulary_size: int, dtype: str) -> _Workspace:
    """Allocate what `softmax_cross_entropy` needs for these sizes; reused from call to call."""
    block = min(rows, _BLOCK_ROWS)
    most = max(2, min(_MOST_SHARDS, _MOST_SUMS // (vocabulary_size * input_size)))
    shard_rows = -(-rows // most // block) * block
    shards = -(-rows // shard_rows)

    def zeros(*shape: int) -> np.ndarray:
        return aligned_zeros(shape, dtype)

    return _Workspace(
        shard_rows=shard_rows,
        operand=zeros(shards, block, padded(input_size + 1, dtype)),
        logits=zeros(shards, block, padded(vocabulary_size, dtype)),
        d_input=zeros(shards, block, padded(input_size, dtype)),
        d_weights=zeros(shards, vocabulary_size, padded(input_size + 1, dtype)),
        forward_panels=zeros(*panels_shape(input_size + 1, vocabulary_size, dtype)),
        backward_panels=zeros(*panels_shape(vocabulary_size, input_size, dtype)),
    )


def softmax_cross_entropy(
    weights: LinearWeights,
    x: np.ndarray,
    targets: np.ndarray,
    row_weights: np.ndarray,
    workspace: _Workspace,
    losses: np.ndarray,
    predictions: np.ndarray,
    gradients: LinearWeights | None = None,
    dx: np.ndarray | None = None,
) -> float:
    """Return the weighted mean cross-entropy of ``softmax(x @ weight.T + bias)``, in nats, and its gradients.

    Parameters
    ----------
    weights : LinearWeights
        weight (vocabulary, in), bias (vocabulary,)
    x : (rows, in) array
    targets : (rows,) int64 array
        Read where the row's weight is not 0.
    row_weights : (rows,) array
        0 for a row that does not count; not all zero.
    workspace : from `softmax_workspace`
    losses : (rows,) array
        ``=`` cross-entropy of each row, 0 where its weight is 0.
    predictions : (rows,) int64 array
        ``=`` the most probable entry of each row, the first among equals; not written where gradients are wanted.
    gradients : LinearWeights or None
        ``=``; with `dx`, or neither.
    dx : (rows, in) array or None
        ``=``; may be the same as `x`.
    """
    total = float(np.sum(row_weights, dtype=np.float64))
    is_training = gradients is not None
    gradients, dx = (gradients, dx) if is_training else (weights, x)
    _softmax(
        weights, x, targets, row_weights, losses.dtype.type(1 / total), workspace, losses, predictions, gradients, dx,
        is_training,
    )  # fmt: skip
    return float(np.dot(losses.astype(np.float64), row_weights)) / total


@parallel_kernel
def _softmax(weights, x, targets, row_weights, scale, workspace, losses, predictions, gradients, dx, is_training):
    pack_weights(weights, workspace.forward_panels)
    if is_training:
        pack(weights.weight, workspace.backward_panels, 0)
    for shard in numba.prange(workspace.operand.shape[0]):
        _softmax_shard(x, targets, row_weights, scale, workspace, np.int64(shard), losses, predictions, dx, is_training)
    if is_training:
        for row in range(workspace.d_weights.shape[1]):
            sum_shards(workspace.d_weights, row)
        unpack_gradients(workspace.d_weights[0], gradients)


@kernel
def _softmax_shard(x, targets, row_weights, scale, workspace, shard, losses, predictions, dx, is_training):
    input_size = x.shape[1]
    block = workspace.operand.shape[1]
    shard_first = shard * workspace.shard_rows
    shard_last = min(shard_first + workspace.shard_rows, x.shape[0])
    for first in range(shard_first, shard_last, block):
        last = min(first + block, shard_last)
        operand = workspace.operand[shard, : last - first]
        logits = workspace.logits[shard, : last - first]
        copy(x[first:last], operand)
        for row in range(last - first):
            operand[row, input_size] = 1
        product(operand[:, : input_size + 1], workspace.forward_panels, logits, False)
        vocabulary = logits[:, : workspace.d_weights.shape[1]]
        if not is_training:
            for row in range(last - first):
                predictions[first + row] = _largest(vocabulary[row])
        for row in range(last - first):
            weight = row_weights[first + row]
            target = targets[first + row]
            line = logits[row][: vocabulary.shape[1]]  # whose numbers Numba knows to be neighbours
            losses[first + row] = cross_entropy_row(line, target, weight, scale)
        if is_training:
            d_input = workspace.d_input[shard, : last - first]
            product(vocabulary, workspace.backward_panels, d_input, False)
            copy(d_input, dx[first:last])
            product(vocabulary.T, operand, workspace.d_weights[shard], first > shard_first)


@kernel
def _largest(numbers):
    best = 0
    for j in range(1, numbers.shape[0]):
        if numbers[j] > numbers[best]:
            best = j
    return best

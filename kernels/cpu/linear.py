"""A linear layer, ``y = x @ w.T + b``, over rows of features.

Rows are cut into shards as in `kernels.cpu.lstm`, and the bias is one more row of the packed weights, multiplied by the
column of ones that each operand row ends with.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel, parallel_kernel
from gatecast.kernels.cpu.memory import aligned_zeros
from gatecast.kernels.cpu.pack import copy, pack, padded, panels_shape, product, sum_shards

__all__ = [
    "LinearWeights",
    "linear_backward",
    "linear_forward",
    "linear_workspace",
    "pack_weights",
    "unpack_gradients",
]


class LinearWeights(NamedTuple):
    """Weights of a linear layer, or their gradients, in torch's shapes."""

    weight: np.ndarray
    """(out, in)"""
    bias: np.ndarray
    """(out,)"""


class _Workspace(NamedTuple):
    operand: np.ndarray  # (shards, rows, padded(in + 1)): [x | 1]
    output: np.ndarray  # (shards, rows, padded(out)): y, then dy
    forward_panels: np.ndarray  # packed [w | b].T
    backward_panels: np.ndarray  # packed w
    d_input: np.ndarray  # (shards, rows, padded(in))
    d_weights: np.ndarray  # (shards, out, padded(in + 1))


# Multiply-adds below which waking another thread would take longer than the work.
_WORTH_THREADS = 1 << 20


def _shard_rows(rows: int, input_size: int, output_size: int) -> int:
    if rows * input_size * output_size <= _WORTH_THREADS:
        return rows
    # At most 16 shards, so that their accumulators stay few; at least 32 rows, so that a product is worth its packing.
    return min(rows, max(32, -(-rows // 16)))


def linear_workspace(rows: int, input_size: int, output_size: int, dtype: str) -> _Workspace:
    """Allocate what `linear_forward` and `linear_backward` need for these sizes; reused from call to call."""
    shard_rows = _shard_rows(rows, input_size, output_size)
    shards = -(-rows // shard_rows)

    def zeros(*shape: int) -> np.ndarray:
        return aligned_zeros(shape, dtype)

    return _Workspace(
        operand=zeros(shards, shard_rows, padded(input_size + 1, dtype)),
        output=zeros(shards, shard_rows, padded(output_size, dtype)),
        forward_panels=zeros(*panels_shape(input_size + 1, output_size, dtype)),
        backward_panels=zeros(*panels_shape(output_size, input_size, dtype)),
        d_input=zeros(shards, shard_rows, padded(input_size, dtype)),
        d_weights=zeros(shards, output_size, padded(input_size + 1, dtype)),
    )


def linear_forward(weights: LinearWeights, x: np.ndarray, workspace: _Workspace, y: np.ndarray) -> None:
    """``y = x @ weight.T + bias``.

    Parameters
    ----------
    weights : LinearWeights
    x : (rows, in) array
    workspace : from `linear_workspace`
        ``=``: keeps what `linear_backward` needs.
    y : (rows, out) array
        ``=``
    """
    if workspace.operand.shape[0] > 1:
        run(_forward, weights, x, workspace, y)
    else:
        run(_forward_alone, weights, x, workspace, y)


def linear_backward(
    weights: LinearWeights,
    dy: np.ndarray,
    workspace: _Workspace,
    gradients: LinearWeights,
    dx: np.ndarray,
) -> None:
    """Back-propagate through the rows that `linear_forward` last saw with this workspace.

    Parameters
    ----------
    weights : LinearWeights
    dy : (rows, out) array
    workspace : from `linear_workspace`
    gradients : LinearWeights
        ``=``
    dx : (rows, in) array
        ``=``
    """
    if workspace.operand.shape[0] > 1:
        run(_backward, weights, dy, workspace, gradients, dx)
    else:
        run(_backward_alone, weights, dy, workspace, gradients, dx)


@inner_kernel
def pack_weights(weights, panels):
    """Pack ``[w | b].T``, which multiplies ``[x | 1]``."""
    pack(weights.weight.T, panels, 0)
    pack(weights.bias.reshape(1, -1), panels, weights.weight.shape[1])


@kernel
def _forward_alone(weights, x, workspace, y):
    pack_weights(weights, workspace.forward_panels)
    for shard in range(workspace.operand.shape[0]):
        _forward_shard(x, workspace, shard, y)


@kernel
def _backward_alone(weights, dy, workspace, gradients, dx):
    pack(weights.weight, workspace.backward_panels, 0)
    for shard in range(workspace.operand.shape[0]):
        _backward_shard(dy, workspace, shard, dx)
    for row in range(workspace.d_weights.shape[1]):
        sum_shards(workspace.d_weights, row)
    unpack_gradients(workspace.d_weights[0], gradients)


@parallel_kernel
def _forward(weights, x, workspace, y):
    pack_weights(weights, workspace.forward_panels)
    for shard in numba.prange(workspace.operand.shape[0]):
        _forward_shard(x, workspace, np.int64(shard), y)


@inner_kernel
def _forward_shard(x, workspace, shard, y):
    first = shard * workspace.operand.shape[1]
    last = min(first + workspace.operand.shape[1], x.shape[0])
    input_size = x.shape[1]
    operand = workspace.operand[shard, : last - first]
    output = workspace.output[shard, : last - first]
    copy(x[first:last], operand)
    for row in range(last - first):
        operand[row, input_size] = 1
    product(operand[:, : input_size + 1], workspace.forward_panels, output, False)
    copy(output, y[first:last])


@parallel_kernel
def _backward(weights, dy, workspace, gradients, dx):
    pack(weights.weight, workspace.backward_panels, 0)
    for shard in numba.prange(workspace.operand.shape[0]):
        _backward_shard(dy, workspace, np.int64(shard), dx)
    for row in range(workspace.d_weights.shape[1]):
        sum_shards(workspace.d_weights, row)
    unpack_gradients(workspace.d_weights[0], gradients)


@inner_kernel
def _backward_shard(dy, workspace, shard, dx):
    first = shard * workspace.operand.shape[1]
    last = min(first + workspace.operand.shape[1], dx.shape[0])
    operand = workspace.operand[shard, : last - first]
    d_input = workspace.d_input[shard, : last - first]
    d_output = workspace.output[shard, : last - first, : dy.shape[1]]
    copy(dy[first:last], workspace.output[shard])
    product(d_output, workspace.backward_panels, d_input, False)
    copy(d_input, dx[first:last])
    product(d_output.T, operand, workspace.d_weights[shard], False)


@inner_kernel
def unpack_gradients(total, gradients):
    """Take the gradients apart: the columns of `total` are ``[w | b]``."""
    input_size = gradients.weight.shape[1]
    copy(total, gradients.weight)
    for row in range(total.shape[0]):
        gradients.bias[row] = total[row, input_size]

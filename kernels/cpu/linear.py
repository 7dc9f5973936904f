"""A linear layer, ``y = x @ w.T + b``, over rows of features.

Rows are cut into shards as in `kernels.cpu.lstm`, and the bias is one more row of the packed weights, multiplied by the
column of ones that each operand row ends with.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.cpu.pack import PANEL_BYTES, copy, pack, padded, panels_shape, product

__all__ = ["LinearWeights", "linear_backward", "linear_forward", "linear_workspace"]


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


def _shard_rows(rows: int) -> int:
    # At most 16 shards, so that their accumulators stay few; at least 32 rows, so that a product is worth its packing.
    return max(32, -(-rows // 16))


def linear_workspace(rows: int, input_size: int, output_size: int, dtype: str) -> _Workspace:
    """Allocate what `linear_forward` and `linear_backward` need for these sizes; reused from call to call."""
    shard_rows = min(_shard_rows(rows), rows)
    shards = -(-rows // shard_rows)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

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
    _forward(weights, x, workspace, y)


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
    _backward(weights, dy, workspace, gradients, dx)


@parallel_kernel
def _forward(weights, x, workspace, y):
    rows, input_size = x.shape
    output_size = y.shape[1]
    pack(weights.weight.T, workspace.forward_panels, 0, 0)
    pack(weights.bias.reshape(1, -1), workspace.forward_panels, input_size, 0)
    shards, shard_rows, _ = workspace.operand.shape
    for shard in numba.prange(shards):
        first = shard * shard_rows
        last = min(first + shard_rows, rows)
        operand = workspace.operand[shard, : last - first]
        output = workspace.output[shard, : last - first]
        copy(x[first:last], operand)
        for row in range(last - first):
            operand[row, input_size] = 1
        product(operand[:, : input_size + 1], workspace.forward_panels, output, False)
        copy(output[:, :output_size], y[first:last])


@parallel_kernel
def _backward(weights, dy, workspace, gradients, dx):
    rows, output_size = dy.shape
    input_size = dx.shape[1]
    pack(weights.weight, workspace.backward_panels, 0, 0)
    shards, shard_rows, _ = workspace.operand.shape
    for shard in numba.prange(shards):
        first = shard * shard_rows
        last = min(first + shard_rows, rows)
        d_input = workspace.d_input[shard, : last - first]
        d_output = workspace.output[shard, : last - first]
        copy(dy[first:last], d_output)
        product(d_output[:, :output_size], workspace.backward_panels, d_input, False)
        copy(d_input[:, :input_size], dx[first:last])
        _weight_gradient(
            d_output[:, :output_size], workspace.operand[shard, : last - first], workspace.d_weights[shard]
        )
    for row in numba.prange(output_size):
        _sum_shards(workspace.d_weights[:, row], gradients, row)


@kernel
def _weight_gradient(d_output, operand, d_weights):
    """``d_weights = d_output.T @ operand``; the operand's rows are padded to whole panels, so a view is packed."""
    depth, columns = operand.shape
    width = PANEL_BYTES // operand.itemsize
    panels = operand.reshape(depth, columns // width, width).transpose(1, 0, 2)
    product(d_output.T, panels, d_weights, False)


@kernel
def _sum_shards(d_weights, gradients, row):
    """Add up one row of the weight gradients, in the order of the shards."""
    input_size = gradients.weight.shape[1]
    total = d_weights[0]
    for shard in range(1, d_weights.shape[0]):
        for j in range(input_size + 1):
            total[j] += d_weights[shard, j]
    for j in range(input_size):
        gradients.weight[row, j] = total[j]
    gradients.bias[row] = total[input_size]

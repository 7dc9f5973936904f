"""Layer normalisation of rows of features (Ba, Kiros & Hinton 2016, arXiv 1607.06450), as ``torch.nn.LayerNorm``.

Sums over the features of a row are dot products of `kernels.cpu.dot`, which a vector unit can add up; a few rows at a
time, so that the results of one loop over them are in cache for the next.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from gatecast.kernels.cpu.alias import arrays_are_apart
from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel, parallel_kernel
from gatecast.kernels.cpu.dot import dot_rows
from gatecast.kernels.cpu.pack import sum_shards
from gatecast.kernels.scalar import multiply_add

__all__ = ["LayerNormWeights", "layer_norm_backward", "layer_norm_forward", "layer_norm_workspace"]

# Rows that one partial sum of gradients covers; their number depends on the sizes alone, never on the threads.
_SHARD_ROWS = 256
# Rows that go from loop to loop together; a shard is whole blocks.
_BLOCK_ROWS = 8


class LayerNormWeights(NamedTuple):
    """Scale and shift of each feature, or their gradients, in torch's shapes."""

    weight: np.ndarray
    """(features,)"""
    bias: np.ndarray
    """(features,)"""


class _Workspace(NamedTuple):
    normalised: np.ndarray  # (rows, features)
    inverse_deviation: np.ndarray  # (rows,)
    sums: np.ndarray  # (2, rows)
    ones: np.ndarray  # (features,)
    d_weights: np.ndarray  # (shards, 2, features): of weight and bias


def layer_norm_workspace(rows: int, features: int, dtype: str) -> _Workspace:
    """Allocate what `layer_norm_forward` and `layer_norm_backward` need for these sizes; reused from call to call."""
    return _Workspace(
        normalised=np.zeros((rows, features), dtype),
        inverse_deviation=np.zeros(rows, dtype),
        sums=np.zeros((2, rows), dtype),
        ones=np.ones(features, dtype),
        d_weights=np.zeros((-(-rows // _SHARD_ROWS), 2, features), dtype),
    )


def layer_norm_forward(
    weights: LayerNormWeights, x: np.ndarray, workspace: _Workspace, y: np.ndarray, epsilon: float
) -> None:
    """``y = (x - mean) / sqrt(variance + epsilon) * weight + bias``, mean and variance over each row.

    Parameters
    ----------
    weights : LayerNormWeights
    x : (rows, features) array
    workspace : from `layer_norm_workspace`
        ``=``: keeps what `layer_norm_backward` needs.
    y : (rows, features) array
        ``=``
    epsilon : float
    """
    run(_forward, weights, x, workspace, y, x.dtype.type(epsilon))


def layer_norm_backward(
    weights: LayerNormWeights, dy: np.ndarray, workspace: _Workspace, gradients: LayerNormWeights, dx: np.ndarray
) -> None:
    """Back-propagate through the rows that `layer_norm_forward` last saw with this workspace.

    Parameters
    ----------
    weights : LayerNormWeights
    dy : (rows, features) array
    workspace : from `layer_norm_workspace`
    gradients : LayerNormWeights
        ``=``
    dx : (rows, features) array
        ``=``
    """
    run(_backward, weights, dy, workspace, gradients, dx)


@parallel_kernel
def _forward(weights, x, workspace, y, epsilon):
    for shard in numba.prange(workspace.d_weights.shape[0]):
        _forward_shard(weights, x, workspace, np.int64(shard), y, epsilon)


@kernel
def _forward_shard(weights, x, workspace, shard, y, epsilon):
    first = shard * _SHARD_ROWS
    for row in range(first, min(first + _SHARD_ROWS, x.shape[0]), _BLOCK_ROWS):
        _forward_block(weights, borrowed(x)[row : row + _BLOCK_ROWS], workspace, row, borrowed(y), epsilon)


@kernel
def _forward_block(weights, x, workspace, first, y, epsilon):
    rows = slice(first, first + x.shape[0])
    normalised = borrowed(workspace.normalised)[rows]
    inverse = borrowed(workspace.inverse_deviation)[rows]
    sums = borrowed(workspace.sums)[0, rows]
    squares = borrowed(workspace.sums)[1, rows]
    weight = borrowed(weights.weight)
    bias = borrowed(weights.bias)
    features = x.dtype.type(x.shape[1])
    dot_rows(x, borrowed(workspace.ones), sums)
    for row in range(x.shape[0]):
        _centre(x[row], sums[row] / features, normalised[row])
        dot_rows(normalised[row : row + 1], normalised[row], squares[row:])
        inverse[row] = x.dtype.type(1) / math.sqrt(squares[row] / features + epsilon)
        _scale(normalised[row], inverse[row], weight, bias, y[first + row])


@inner_kernel
def _centre(x, mean, centred):
    arrays_are_apart()
    for j in range(x.shape[0]):
        centred[j] = x[j] - mean


@inner_kernel
def _scale(normalised, inverse_deviation, weight, bias, y):
    arrays_are_apart()
    for j in range(y.shape[0]):
        normalised_j = normalised[j] * inverse_deviation
        normalised[j] = normalised_j
        y[j] = multiply_add(normalised_j, weight[j], bias[j])


@parallel_kernel
def _backward(weights, dy, workspace, gradients, dx):
    for shard in numba.prange(workspace.d_weights.shape[0]):
        _backward_shard(weights.weight, dy, workspace, np.int64(shard), dx)
    sum_shards(workspace.d_weights, 0)
    sum_shards(workspace.d_weights, 1)
    for j in range(dy.shape[1]):
        gradients.weight[j] = workspace.d_weights[0, 0, j]
        gradients.bias[j] = workspace.d_weights[0, 1, j]


@kernel
def _backward_shard(weight, dy, workspace, shard, dx):
    first = shard * _SHARD_ROWS
    d_weights = borrowed(workspace.d_weights)[shard]
    d_weights[:] = 0
    for row in range(first, min(first + _SHARD_ROWS, dy.shape[0]), _BLOCK_ROWS):
        _backward_block(weight, borrowed(dy)[row : row + _BLOCK_ROWS], workspace, row, d_weights, borrowed(dx))


@kernel
def _backward_block(weight, dy, workspace, first, d_weights, dx):
    rows = slice(first, first + dy.shape[0])
    normalised = borrowed(workspace.normalised)[rows]
    inverse = borrowed(workspace.inverse_deviation)[rows]
    sums = borrowed(workspace.sums)[0, rows]
    slopes = borrowed(workspace.sums)[1, rows]
    weight = borrowed(weight)
    dx = dx[rows]
    features = dy.dtype.type(dy.shape[1])
    dot_rows(dy, weight, sums)
    for row in range(dy.shape[0]):
        _add_gradients(dy[row], normalised[row], d_weights[0], d_weights[1])
        _multiply(dy[row], weight, dx[row])
        dot_rows(dx[row : row + 1], normalised[row], slopes[row:])
        _differentiate(dx[row], sums[row] / features, slopes[row] / features, normalised[row], inverse[row])


@inner_kernel
def _add_gradients(dy, normalised, d_weight, d_bias):
    arrays_are_apart()
    for j in range(dy.shape[0]):
        d_weight[j] = multiply_add(dy[j], normalised[j], d_weight[j])
        d_bias[j] += dy[j]


@inner_kernel
def _multiply(dy, weight, d_normalised):
    arrays_are_apart()
    for j in range(dy.shape[0]):
        d_normalised[j] = dy[j] * weight[j]


@inner_kernel
def _differentiate(line, mean, slope, normalised, inverse_deviation):
    """Turn the gradient of a normalised row into that of the row, in place."""
    arrays_are_apart()
    for j in range(line.shape[0]):
        line[j] = inverse_deviation * (line[j] - mean - normalised[j] * slope)

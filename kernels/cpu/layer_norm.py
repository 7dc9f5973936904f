"""Layer normalisation of rows of features (Ba, Kiros & Hinton 2016, arXiv 1607.06450), as ``torch.nn.LayerNorm``."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.cpu.pack import sum_shards
from kernels.scalar import multiply_add

__all__ = ["LayerNormWeights", "layer_norm_backward", "layer_norm_forward", "layer_norm_workspace"]

# Rows that one partial sum of gradients covers; their number depends on the sizes alone, never on the threads.
_SHARD_ROWS = 256


class LayerNormWeights(NamedTuple):
    """Scale and shift of each feature, or their gradients, in torch's shapes."""

    weight: np.ndarray
    """(features,)"""
    bias: np.ndarray
    """(features,)"""


class _Workspace(NamedTuple):
    normalised: np.ndarray  # (rows, features)
    inverse_deviation: np.ndarray  # (rows,)
    d_weights: np.ndarray  # (shards, 2, features): of weight and bias


def layer_norm_workspace(rows: int, features: int, dtype: str) -> _Workspace:
    """Allocate what `layer_norm_forward` and `layer_norm_backward` need for these sizes; reused from call to call."""
    return _Workspace(
        normalised=np.zeros((rows, features), dtype),
        inverse_deviation=np.zeros(rows, dtype),
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
    _forward(weights, x, workspace, y, x.dtype.type(epsilon))


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
    _backward(weights, dy, workspace, gradients, dx)


@parallel_kernel
def _forward(weights, x, workspace, y, epsilon):
    for shard in numba.prange(workspace.d_weights.shape[0]):
        first = np.int64(shard) * _SHARD_ROWS
        for row in range(first, min(first + _SHARD_ROWS, x.shape[0])):
            _forward_row(weights, x[row], workspace, row, y[row], epsilon)


@kernel
def _forward_row(weights, x, workspace, row, y, epsilon):
    number = x.dtype.type
    normalised = workspace.normalised[row]
    mean, variance = number(0), number(0)
    for j in range(x.shape[0]):
        mean += x[j]
    mean /= number(x.shape[0])
    for j in range(x.shape[0]):
        normalised[j] = x[j] - mean
        variance = multiply_add(normalised[j], normalised[j], variance)
    inverse = number(1) / math.sqrt(variance / number(x.shape[0]) + epsilon)
    workspace.inverse_deviation[row] = inverse
    for j in range(x.shape[0]):
        normalised[j] *= inverse
        y[j] = multiply_add(normalised[j], weights.weight[j], weights.bias[j])


@parallel_kernel
def _backward(weights, dy, workspace, gradients, dx):
    for shard in numba.prange(workspace.d_weights.shape[0]):
        _backward_shard(weights, dy, workspace, np.int64(shard), dx)
    sum_shards(workspace.d_weights, 0)
    sum_shards(workspace.d_weights, 1)
    for j in range(dy.shape[1]):
        gradients.weight[j] = workspace.d_weights[0, 0, j]
        gradients.bias[j] = workspace.d_weights[0, 1, j]


@kernel
def _backward_shard(weights, dy, workspace, shard, dx):
    d_weight, d_bias = workspace.d_weights[shard, 0], workspace.d_weights[shard, 1]
    for j in range(dy.shape[1]):
        d_weight[j], d_bias[j] = 0, 0
    first = shard * _SHARD_ROWS
    for row in range(first, min(first + _SHARD_ROWS, dy.shape[0])):
        for j in range(dy.shape[1]):
            d_weight[j] = multiply_add(dy[row, j], workspace.normalised[row, j], d_weight[j])
            d_bias[j] += dy[row, j]
        _backward_row(weights.weight, dy[row], workspace.normalised[row], workspace.inverse_deviation[row], dx[row])


@kernel
def _backward_row(weight, dy, normalised, inverse_deviation, dx):
    number = dy.dtype.type
    mean, slope = number(0), number(0)
    for j in range(dy.shape[0]):
        dx[j] = dy[j] * weight[j]
        mean += dx[j]
        slope = multiply_add(dx[j], normalised[j], slope)
    mean /= number(dy.shape[0])
    slope /= number(dy.shape[0])
    for j in range(dy.shape[0]):
        dx[j] = inverse_deviation * (dx[j] - mean - normalised[j] * slope)

"""Layer normalisation on the GPU: a thread per row, and per feature where rows are added up."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import cuda

from gatecast.kernels.cuda.call import kernel, new_array
from gatecast.kernels.cuda.launch import launch

__all__ = ["LayerNormWeights", "layer_norm_backward", "layer_norm_forward", "layer_norm_workspace"]


class LayerNormWeights(NamedTuple):
    """Scale and shift of each feature, or their gradients, in torch's shapes."""

    weight: Any
    """(features,)"""
    bias: Any
    """(features,)"""


class _Workspace(NamedTuple):
    normalised: Any  # (rows, features)
    inverse_deviation: Any  # (rows,)


def layer_norm_workspace(rows: int, features: int, dtype: str) -> _Workspace:
    """Allocate what `layer_norm_forward` and `layer_norm_backward` need for these sizes; reused from call to call."""
    return _Workspace(new_array((rows, features), dtype), new_array(rows, dtype))


def layer_norm_forward(weights: LayerNormWeights, x: Any, workspace: _Workspace, y: Any, epsilon: float) -> None:
    """Normalise each row; arguments as `kernels.cpu.layer_norm.layer_norm_forward`."""
    launch(_forward, x.shape[0], *weights, x, *workspace, y, x.dtype.type(epsilon))


def layer_norm_backward(
    weights: LayerNormWeights, dy: Any, workspace: _Workspace, gradients: LayerNormWeights, dx: Any
) -> None:
    """Back-propagate; arguments as `kernels.cpu.layer_norm.layer_norm_backward`."""
    launch(_backward, dy.shape[0], weights.weight, dy, *workspace, dx)
    launch(_weight_gradient, dy.shape[1], dy, workspace.normalised, *gradients)


@kernel
def _forward(weight, bias, x, normalised, inverse_deviation, y, epsilon):
    row = cuda.grid(1)
    if row < x.shape[0]:
        number = x.dtype.type
        mean = number(0)
        variance = number(0)
        for j in range(x.shape[1]):
            mean += x[row, j]
        mean /= number(x.shape[1])
        for j in range(x.shape[1]):
            variance += (x[row, j] - mean) * (x[row, j] - mean)
        inverse = number(1) / math.sqrt(variance / number(x.shape[1]) + epsilon)
        inverse_deviation[row] = inverse
        for j in range(x.shape[1]):
            normalised[row, j] = (x[row, j] - mean) * inverse
            y[row, j] = normalised[row, j] * weight[j] + bias[j]


@kernel
def _backward(weight, dy, normalised, inverse_deviation, dx):
    row = cuda.grid(1)
    if row < dy.shape[0]:
        number = dy.dtype.type
        mean = number(0)
        slope = number(0)
        for j in range(dy.shape[1]):
            dx[row, j] = dy[row, j] * weight[j]
            mean += dx[row, j]
            slope += dx[row, j] * normalised[row, j]
        mean /= number(dy.shape[1])
        slope /= number(dy.shape[1])
        for j in range(dy.shape[1]):
            dx[row, j] = inverse_deviation[row] * (dx[row, j] - mean - normalised[row, j] * slope)


@kernel
def _weight_gradient(dy, normalised, d_weight, d_bias):
    j = cuda.grid(1)
    if j < dy.shape[1]:
        total = dy.dtype.type(0)
        total_bias = dy.dtype.type(0)
        for row in range(dy.shape[0]):
            total += dy[row, j] * normalised[row, j]
            total_bias += dy[row, j]
        d_weight[j] = total
        d_bias[j] = total_bias

"""A linear layer on the GPU, ``y = x @ w.T + b``: a thread per element of the result."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda

from kernels.cuda.launch import launch

__all__ = [
    "LinearWeights",
    "input_gradient",
    "linear_backward",
    "linear_forward",
    "linear_workspace",
    "product_rows",
    "weight_gradient",
]


class LinearWeights(NamedTuple):
    """Weights of a linear layer, or their gradients, in torch's shapes."""

    weight: Any
    """(out, in)"""
    bias: Any
    """(out,)"""


class _Workspace(NamedTuple):
    x: Any  # (rows, in): a copy, so that the caller may reuse its own


def linear_workspace(rows: int, input_size: int, output_size: int, dtype: str) -> _Workspace:
    """Allocate what `linear_forward` and `linear_backward` need for these sizes; reused from call to call."""
    return _Workspace(x=cuda.device_array((rows, input_size), dtype))


def linear_forward(weights: LinearWeights, x: Any, workspace: _Workspace, y: Any) -> None:
    """``y = x @ weight.T + bias``; arguments as `kernels.cpu.linear.linear_forward`."""
    workspace.x.copy_to_device(x)
    launch(product_rows, y.shape, *weights, x, y)


def linear_backward(weights: LinearWeights, dy: Any, workspace: _Workspace, gradients: LinearWeights, dx: Any) -> None:
    """Back-propagate; arguments as `kernels.cpu.linear.linear_backward`."""
    launch(input_gradient, dx.shape, weights.weight, dy, dx)
    launch(weight_gradient, weights.weight.shape, workspace.x, dy, *gradients, False)


@cuda.jit
def product_rows(weight, bias, x, y):
    """``y = x @ weight.T + bias``, a thread per element."""
    row, column = cuda.grid(2)
    if row < y.shape[0] and column < y.shape[1]:
        total = bias[column]
        for k in range(x.shape[1]):
            total += x[row, k] * weight[column, k]
        y[row, column] = total


@cuda.jit
def input_gradient(weight, dy, dx):
    """``dx = dy @ weight``, a thread per element."""
    row, k = cuda.grid(2)
    if row < dx.shape[0] and k < dx.shape[1]:
        total = dx.dtype.type(0)
        for column in range(dy.shape[1]):
            total += dy[row, column] * weight[column, k]
        dx[row, k] = total


@cuda.jit
def weight_gradient(x, dy, d_weight, d_bias, accumulate):
    """``d_weight (+)= dy.T @ x`` and ``d_bias (+)= sum of dy``, a thread per element."""
    column, k = cuda.grid(2)
    if column < d_weight.shape[0] and k < d_weight.shape[1]:
        total, total_bias = d_weight.dtype.type(0), d_bias.dtype.type(0)
        if accumulate:
            total, total_bias = d_weight[column, k], d_bias[column]
        for row in range(x.shape[0]):
            total += dy[row, column] * x[row, k]
            total_bias += dy[row, column]
        d_weight[column, k] = total
        if k == 0:
            d_bias[column] = total_bias

"""A linear layer on the GPU, ``y = x @ w.T + b``: the products of `kernels.cuda.product`."""

from __future__ import annotations

from typing import Any, NamedTuple

from gatecast.kernels.cuda.arrays import copy_array
from gatecast.kernels.cuda.call import new_array
from gatecast.kernels.cuda.product import affine, column_sums, partial_sums, row_product, transposed_product

__all__ = [
    "LinearWeights",
    "add_weight_gradients",
    "linear_backward",
    "linear_forward",
    "linear_workspace",
    "rows_backward",
    "rows_forward",
]


class LinearWeights(NamedTuple):
    """Weights of a linear layer, or their gradients, in torch's shapes."""

    weight: Any
    """(out, in)"""
    bias: Any
    """(out,)"""


class _Workspace(NamedTuple):
    x: Any  # (rows, in): a copy, so that the caller may reuse its own
    partial: Any  # of the weights' gradients


def linear_workspace(rows: int, input_size: int, output_size: int, dtype: str) -> _Workspace:
    """Allocate what `linear_forward` and `linear_backward` need for these sizes; reused from call to call."""
    return _Workspace(
        x=new_array((rows, input_size), dtype), partial=partial_sums(1, rows, output_size, (input_size,), dtype)
    )


def linear_forward(weights: LinearWeights, x: Any, workspace: _Workspace, y: Any) -> None:
    """``y = x @ weight.T + bias``; arguments as `kernels.cpu.linear.linear_forward`."""
    copy_array(x, workspace.x)
    rows_forward(weights, x, y)


def linear_backward(weights: LinearWeights, dy: Any, workspace: _Workspace, gradients: LinearWeights, dx: Any) -> None:
    """Back-propagate; arguments as `kernels.cpu.linear.linear_backward`."""
    rows_backward(weights, dy, dx)
    add_weight_gradients(workspace.x, dy, workspace.partial, gradients, False)


def rows_forward(weights: LinearWeights, x: Any, y: Any) -> None:
    """``y = x @ weight.T + bias`` for rows of x."""
    affine(_one(x), _one(weights.weight), _one(weights.bias), _one(y))


def rows_backward(weights: LinearWeights, dy: Any, dx: Any) -> None:
    """``dx = dy @ weight`` for rows of dy."""
    row_product(_one(dy), _one(weights.weight), _one(dx))


def add_weight_gradients(x: Any, dy: Any, partial: Any, gradients: LinearWeights, accumulate: bool) -> None:
    """``gradients (+)= dy.T @ x`` and the sum of dy's rows; `partial` is from `kernels.cuda.product.partial_sums`."""
    transposed_product(_one(dy), _one(x), partial, _one(gradients.weight), accumulate)
    column_sums(_one(dy), partial, _one(gradients.bias), accumulate)


def _one(array: Any) -> Any:
    """Return an array of one model's as one of models', which is what products take."""
    return array.reshape(1, *array.shape)

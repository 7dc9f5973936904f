"""Sums over whole arrays, and the numbers made of them, which stay on the GPU until they are read.

A sum is taken in two stages: every block adds a part of the terms, in an order that depends on the number of terms
alone, and whoever needs the sum adds the blocks' parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float64
from numba.extending import register_jitable

from gatecast.kernels.cuda.arrays import copy_array
from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.forecast_error import loss_and_slope

__all__ = [
    "DeviceNumber",
    "forecast_loss_parts",
    "known_weight_parts",
    "squared_error_parts",
    "sum_of_products_parts",
    "sum_parts",
    "to_floats",
    "total",
]

_THREADS = 128
_MOST_BLOCKS = 128


class DeviceNumber:
    """One float64 on the GPU, such as a loss; ``float(number)`` waits for it and copies it to the host.

    Parameters
    ----------
    array : float64 array
        Kept, not copied.
    place : tuple of int, optional
        Index of the number in the array; by default it is the first and only one.
    """

    def __init__(self, array: Any, place: tuple[int, ...] = (0,)):
        self.array = array
        self.place = place

    def __float__(self) -> float:
        return float(self.array.copy_to_host()[self.place])

    def __format__(self, specification: str) -> str:
        return format(float(self), specification)

    def __repr__(self) -> str:
        return f"DeviceNumber({float(self)})"


def to_floats(numbers: Sequence[DeviceNumber]) -> list[float]:
    """Return numbers that operations have returned as floats, with one copy from the GPU for all of them."""
    if not numbers:
        return []
    arrays = {id(number.array): number.array for number in numbers}
    together = new_array(sum(array.size for array in arrays.values()), np.float64)
    end = 0
    begins = {}
    for key, array in arrays.items():
        begins[key] = end
        end = end + array.size
        copy_array(array, together[begins[key] : end])
    host = together.copy_to_host()
    return [
        float(host[begins[id(number.array)] + np.ravel_multi_index(number.place, number.array.shape)])
        for number in numbers
    ]


def sum_parts(values: Any) -> Any:
    """Return the parts of ``sum(values)``, float64, of a vector."""
    return _launch(_sum, values.shape[0], values)


def sum_of_products_parts(a: Any, b: Any) -> Any:
    """Return the parts of ``sum(a * b)``, float64, of two vectors."""
    return _launch(_sum_of_products, a.shape[0], a, b)


def squared_error_parts(y_hat: Any, y: Any, weights: Any) -> Any:
    """Return the parts of ``sum(weights * (y_hat - y)^2)``; rows of weight 0 are not read."""
    return _launch(_squared_errors, y.shape[0], y_hat, y, weights)


def forecast_loss_parts(kind: int, y_hat: Any, y: Any, weights: Any, base: Any, spread: Any) -> Any:
    """Return the parts of the sum of ``weights * loss(y_hat, y)`` over the targets that are known."""
    return _launch(_forecast_losses, y.shape[0], kind, y_hat, y, weights, base, spread)


def known_weight_parts(y: Any, weights: Any) -> Any:
    """Return the parts of the sum of the `weights`, (rows, steps), of the targets that are known."""
    return _launch(_known_weights, y.shape[0], y, weights)


@register_jitable
def total(parts):
    """Return the sum that parts add up to."""
    result = parts[0]
    for part in range(1, parts.shape[0]):
        result += parts[part]
    return result


def _launch(function: Any, terms: int, *arguments: Any) -> Any:
    blocks = max(1, min(_MOST_BLOCKS, -(-terms // _THREADS)))
    parts = new_array(blocks, np.float64)
    threads = max(1, min(_THREADS, terms))
    # Dynamic: with an array of fixed size, threads of the simulator that arrive at once may get one each.
    run(function, blocks, threads, threads * parts.dtype.itemsize, *arguments, parts)
    return parts


@kernel
def _sum(values, parts):
    result = np.float64(0)
    for n in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        result += np.float64(values[n])
    _add_block(result, parts)


@kernel
def _sum_of_products(a, b, parts):
    result = np.float64(0)
    for n in range(cuda.grid(1), a.shape[0], cuda.gridsize(1)):
        result += np.float64(a[n]) * np.float64(b[n])
    _add_block(result, parts)


@kernel
def _squared_errors(y_hat, y, weights, parts):
    result = np.float64(0)
    for row in range(cuda.grid(1), y.shape[0], cuda.gridsize(1)):
        if weights[row] != 0:
            for column in range(y.shape[1]):
                error = np.float64(y_hat[row, column] - y[row, column])
                result += np.float64(weights[row]) * error * error
    _add_block(result, parts)


@kernel
def _forecast_losses(kind, y_hat, y, weights, base, spread, parts):
    result = np.float64(0)
    for row in range(cuda.grid(1), y.shape[0], cuda.gridsize(1)):
        for k in range(y.shape[1]):
            if y[row, k] == y[row, k] and weights[row, k] != 0:
                loss, _ = loss_and_slope(kind, y_hat[row, k], y[row, k], base[row, k], spread[row])
                result += np.float64(weights[row, k]) * np.float64(loss)
    _add_block(result, parts)


@kernel
def _known_weights(y, weights, parts):
    result = np.float64(0)
    for row in range(cuda.grid(1), y.shape[0], cuda.gridsize(1)):
        for k in range(y.shape[1]):
            if y[row, k] == y[row, k]:
                result += np.float64(weights[row, k])
    _add_block(result, parts)


@register_jitable
def _add_block(value, parts):
    """``parts[block] = value`` added over the block's threads, in their order."""
    values = cuda.shared.array(0, dtype=float64)
    values[cuda.threadIdx.x] = value
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        result = values[0]
        for thread in range(1, cuda.blockDim.x):
            result += values[thread]
        parts[cuda.blockIdx.x] = result

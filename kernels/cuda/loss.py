"""Losses on the GPU, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from kernels.cuda.launch import launch

__all__ = ["mse_loss"]


def mse_loss(y_hat: Any, y: Any, weights: Any, gradient: Any) -> float:
    """Return the weighted mean squared error; arguments as `kernels.cpu.loss.mse_loss`."""
    result = cuda.to_device(np.zeros(2))
    launch(_sums, 1, y_hat, y, weights, result)
    error_sum, weight_sum = result.copy_to_host()
    scale = 1 / (y.shape[1] * weight_sum)
    launch(_gradient, y.shape, y_hat, y, weights, scale, gradient)
    return float(error_sum * scale)


@cuda.jit
def _sums(y_hat, y, weights, result):
    if cuda.grid(1) == 0:
        for row in range(y.shape[0]):
            result[1] += weights[row]
            if weights[row] != 0:
                for column in range(y.shape[1]):
                    error = y_hat[row, column] - y[row, column]
                    result[0] += weights[row] * error * error


@cuda.jit
def _gradient(y_hat, y, weights, scale, gradient):
    row, column = cuda.grid(2)
    if row < y.shape[0] and column < y.shape[1]:
        if weights[row] == 0:
            gradient[row, column] = 0
        else:
            gradient[row, column] = 2.0 * scale * weights[row] * (y_hat[row, column] - y[row, column])

"""Losses, with their gradients."""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel

__all__ = ["mse_loss"]


def mse_loss(y_hat: np.ndarray, y: np.ndarray, weights: np.ndarray, gradient: np.ndarray) -> float:
    """Return the weighted mean squared error, ``sum(w (y_hat - y)^2) / (columns * sum(w))``.

    Parameters
    ----------
    y_hat, y : (rows, columns) arrays
    weights : (rows,) array
        Weight of each row, 0 for a row that does not count; not all zero.
    gradient : (rows, columns) array
        ``=`` gradient with respect to `y_hat`.
    """
    return _mse_loss(y_hat, y, weights, gradient)


@kernel
def _mse_loss(y_hat, y, weights, gradient):
    rows, columns = y.shape
    weight_sum, error_sum = 0.0, 0.0
    for row in range(rows):
        weight_sum += weights[row]
    scale = 1.0 / (columns * weight_sum)
    for row in range(rows):
        for column in range(columns):
            error = y_hat[row, column] - y[row, column]
            # A target of no weight may be missing (NaN), and NaN times zero is NaN.
            if weights[row] == 0:
                gradient[row, column] = 0
            else:
                gradient[row, column] = 2.0 * scale * weights[row] * error
                error_sum += weights[row] * error * error
    return error_sum * scale

"""Losses on the GPU, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from kernels.cuda.launch import launch

__all__ = ["cross_entropy_loss", "cross_entropy_rows", "mse_loss"]


def mse_loss(y_hat: Any, y: Any, weights: Any, gradient: Any) -> float:
    """Return the weighted mean squared error; arguments as `kernels.cpu.loss.mse_loss`."""
    result = cuda.to_device(np.zeros(2))
    launch(_sums, 1, y_hat, y, weights, result)
    error_sum, weight_sum = result.copy_to_host()
    scale = 1 / (y.shape[1] * weight_sum)
    launch(_gradient, y.shape, y_hat, y, weights, scale, gradient)
    return float(error_sum * scale)


def cross_entropy_loss(logits: Any, targets: Any, weights: Any, gradient: Any) -> float:
    """Return the weighted mean cross-entropy in nats; arguments as `kernels.cpu.loss.cross_entropy_loss`."""
    host_weights = weights.copy_to_host().astype(np.float64)
    number, total = np.dtype(logits.dtype).type, float(host_weights.sum())
    losses = cuda.device_array(logits.shape[0], logits.dtype)
    launch(cross_entropy_rows, logits.shape[0], logits, targets, weights, number(1 / total), gradient, losses)
    return float(np.dot(losses.copy_to_host().astype(np.float64), host_weights)) / total


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


@cuda.jit
def cross_entropy_rows(logits, targets, weights, scale, gradient, losses):
    """Write loss and gradient of each row, a thread per row; see `kernels.cpu.loss.cross_entropy_row`."""
    row = cuda.grid(1)
    if row < logits.shape[0]:
        weight, zero = weights[row], scale - scale
        losses[row] = zero
        if weight == zero:
            for j in range(logits.shape[1]):
                gradient[row, j] = zero
        else:
            top, target_logit = logits[row, 0], logits[row, targets[row]]
            for j in range(1, logits.shape[1]):
                top = max(top, logits[row, j])
            total = zero
            for j in range(logits.shape[1]):
                gradient[row, j] = math.exp(logits[row, j] - top)
                total += gradient[row, j]
            share = scale * weight / total
            for j in range(logits.shape[1]):
                gradient[row, j] *= share
            gradient[row, targets[row]] -= scale * weight
            losses[row] = math.log(total) - (target_logit - top)

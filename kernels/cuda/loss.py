"""Losses on the GPU, with their gradients; the loss stays there until it is read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.reduction import (
    DeviceNumber,
    forecast_loss_parts,
    known_weight_parts,
    squared_error_parts,
    sum_of_products_parts,
    sum_parts,
    total,
)
from gatecast.kernels.forecast_error import loss_and_slope

__all__ = ["cross_entropy_loss", "cross_entropy_rows", "forecast_loss", "mean_of_rows", "mse_loss"]


def mse_loss(y_hat: Any, y: Any, weights: Any, gradient: Any) -> DeviceNumber:
    """Return the weighted mean squared error; arguments as `kernels.cpu.loss.mse_loss`."""
    weight_parts = sum_parts(weights)
    error_parts = squared_error_parts(y_hat, y, weights)
    launch(_gradient, y.shape, y_hat, y, weights, weight_parts, gradient)
    return _divided(error_parts, weight_parts, y.shape[1])


def forecast_loss(kind: int, y_hat: Any, y: Any, weights: Any, base: Any, spread: Any, gradient: Any) -> DeviceNumber:
    """Return the weighted mean loss of forecasts; arguments as `kernels.cpu.loss.forecast_loss`."""
    weight_parts = known_weight_parts(y, weights)
    loss_parts = forecast_loss_parts(kind, y_hat, y, weights, base, spread)
    launch(_forecast_gradient, y.shape, kind, y_hat, y, weights, base, spread, weight_parts, gradient)
    return _divided(loss_parts, weight_parts, 1)


def cross_entropy_loss(logits: Any, targets: Any, weights: Any, gradient: Any) -> DeviceNumber:
    """Return the weighted mean cross-entropy in nats; arguments as `kernels.cpu.loss.cross_entropy_loss`."""
    losses = new_array(logits.shape[0], logits.dtype)
    weight_parts = sum_parts(weights)
    launch(cross_entropy_rows, logits.shape[0], logits, targets, weights, weight_parts, gradient, losses)
    return mean_of_rows(losses, weights, weight_parts)


def mean_of_rows(losses: Any, weights: Any, weight_parts: Any) -> DeviceNumber:
    """Return the weighted mean of the rows' losses; `weight_parts` add up to the rows' weights."""
    return _divided(sum_of_products_parts(losses, weights), weight_parts, 1)


def _divided(parts: Any, weight_parts: Any, columns: int) -> DeviceNumber:
    result = new_array(1, np.float64)
    run(_divide, 1, 1, 0, parts, weight_parts, columns, result)
    return DeviceNumber(result)


@kernel
def _divide(parts, weight_parts, columns, result):
    weight_sum = total(weight_parts)
    result[0] = total(parts) / (columns * weight_sum) if weight_sum > 0 else 0.0


@kernel
def _gradient(y_hat, y, weights, weight_parts, gradient):
    column, row = cuda.grid(2)
    if row < y.shape[0] and column < y.shape[1]:
        if weights[row] == 0:
            gradient[row, column] = 0
        else:
            scale = 2.0 * weights[row] / (y.shape[1] * total(weight_parts))
            gradient[row, column] = scale * (y_hat[row, column] - y[row, column])


@kernel
def _forecast_gradient(kind, y_hat, y, weights, base, spread, weight_parts, gradient):
    k, row = cuda.grid(2)
    if row < y.shape[0] and k < y.shape[1]:
        if y[row, k] != y[row, k] or weights[row, k] == 0:
            gradient[row, k] = 0
        else:
            share = gradient.dtype.type(1.0 / total(weight_parts))
            _, slope = loss_and_slope(kind, y_hat[row, k], y[row, k], base[row, k], spread[row])
            gradient[row, k] = weights[row, k] * share * slope


@kernel
def cross_entropy_rows(logits, targets, weights, weight_parts, gradient, losses):
    """Write loss and gradient of each row, a thread per row; see `kernels.cpu.loss.cross_entropy_row`."""
    row = cuda.grid(1)
    if row < logits.shape[0]:
        zero = losses.dtype.type(0)
        losses[row] = zero
        if weights[row] == zero:
            for j in range(logits.shape[1]):
                gradient[row, j] = zero
        else:
            scale = losses.dtype.type(weights[row] / total(weight_parts))
            top = logits[row, 0]
            target_logit = logits[row, targets[row]]
            for j in range(1, logits.shape[1]):
                top = max(top, logits[row, j])
            powers = zero
            for j in range(logits.shape[1]):
                gradient[row, j] = math.exp(logits[row, j] - top)
                powers += gradient[row, j]
            share = scale / powers
            for j in range(logits.shape[1]):
                gradient[row, j] *= share
            gradient[row, targets[row]] -= scale
            losses[row] = math.log(powers) - (target_logit - top)

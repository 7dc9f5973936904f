"""Losses, with their gradients."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.forecast_error import loss_and_slope
from gatecast.kernels.scalar import exponential

__all__ = [
    "cross_entropy_loss",
    "cross_entropy_row",
    "forecast_loss",
    "mse_loss",
]


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
    return run(_squared_error, y_hat, y, weights, gradient)


def forecast_loss(
    kind: int,
    y_hat: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    base: np.ndarray,
    spread: np.ndarray,
    gradient: np.ndarray,
) -> float:
    """Return the weighted mean loss of forecasts, ``sum(w loss(y_hat, y)) / sum(w)`` over the targets that are known.

    Parameters
    ----------
    kind : int
        One of `kernels.losses.LOSSES`.
    y_hat, y : (rows, steps) arrays
        In the unit of `scale_windows`; a target that is not known is NaN.
    weights : (rows, steps) array
        Weight of each target; where all that are known weigh nothing, loss and gradient are 0.
    base, spread : (rows, steps) and (rows,) arrays
        Of `scale_windows`: the smape is that of ``base + spread * y_hat``, the others are in the windows' unit.
    gradient : (rows, steps) array
        ``=`` gradient with respect to `y_hat`.
    """
    return run(_forecast_loss, kind, y_hat, y, weights, base, spread, gradient)


def cross_entropy_loss(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray, gradient: np.ndarray) -> float:
    """Return the weighted mean cross-entropy in nats, ``-sum(w log softmax(logits)[target]) / sum(w)``.

    Where the logits come from a linear layer over many classes, `softmax_cross_entropy` needs less memory.

    Parameters
    ----------
    logits : (rows, classes) array
    targets : (rows,) int64 array
        Read where the row's weight is not 0.
    weights : (rows,) array
        Weight of each row, 0 for a row that does not count; not all zero.
    gradient : (rows, classes) array
        ``=`` gradient with respect to `logits`, which may be the same array.
    """
    return run(_cross_entropy_loss, logits, targets, weights, gradient)


@kernel
def _squared_error(y_hat, y, weights, gradient):
    rows, columns = y.shape
    weight_sum = 0.0
    error_sum = 0.0
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


@kernel
def _forecast_loss(kind, y_hat, y, weights, base, spread, gradient):
    rows, steps = y.shape
    weight_sum = 0.0
    loss_sum = 0.0
    for row in range(rows):
        for k in range(steps):
            if y[row, k] == y[row, k]:
                weight_sum += weights[row, k]
    share = y_hat.dtype.type(1.0 / weight_sum if weight_sum > 0 else 0.0)
    for row in range(rows):
        for k in range(steps):
            if y[row, k] != y[row, k] or weights[row, k] == 0:
                gradient[row, k] = 0
                continue
            loss, slope = loss_and_slope(kind, y_hat[row, k], y[row, k], base[row, k], spread[row])
            loss_sum += weights[row, k] * loss
            gradient[row, k] = weights[row, k] * share * slope
    return loss_sum / weight_sum if weight_sum > 0 else 0.0


@kernel
def _cross_entropy_loss(logits, targets, weights, gradient):
    weight_sum = 0.0
    loss_sum = 0.0
    for row in range(logits.shape[0]):
        weight_sum += weights[row]
    scale = logits.dtype.type(1.0 / weight_sum)
    for row in range(logits.shape[0]):
        line = gradient[row]
        for j in range(line.shape[0]):
            line[j] = logits[row, j]
        loss = cross_entropy_row(line, targets[row], weights[row], scale)
        loss_sum += weights[row] * np.float64(loss)
    return loss_sum / weight_sum


@inner_kernel
def cross_entropy_row(line, target, weight, scale):
    """Return ``-log softmax(line)[target]``; turn the logits in `line` into their gradients.

    Parameters
    ----------
    line : (classes,) array
        Logits; ``=`` ``scale * weight * (softmax - one-hot target)``.
    target : int
    weight, scale : numbers of the dtype of `line`
        Where `weight` is 0, loss and gradient are 0.
    """
    if weight == 0:
        for j in range(line.shape[0]):
            line[j] = 0
        return line.dtype.type(0)
    target_logit = line[target]
    top = _largest(line)
    for j in range(line.shape[0]):
        line[j] = exponential(line[j] - top)
    total = _sum(line)
    share = scale * weight / total
    for j in range(line.shape[0]):
        line[j] *= share
    line[target] -= scale * weight
    return np.log(total) - (target_logit - top)


# Four results side by side: within one, each operation would wait for the one before it.


@inner_kernel
def _largest(numbers):
    count = numbers.shape[0] - numbers.shape[0] % 4
    a = b = c = d = numbers[0]
    for j in range(0, count, 4):
        a = max(a, numbers[j])
        b = max(b, numbers[j + 1])
        c = max(c, numbers[j + 2])
        d = max(d, numbers[j + 3])
    for j in range(count, numbers.shape[0]):
        a = max(a, numbers[j])
    return max(max(a, b), max(c, d))


@inner_kernel
def _sum(numbers):
    count = numbers.shape[0] - numbers.shape[0] % 4
    a = b = c = d = numbers.dtype.type(0)
    for j in range(0, count, 4):
        a = a + numbers[j]
        b = b + numbers[j + 1]
        c = c + numbers[j + 2]
        d = d + numbers[j + 3]
    for j in range(count, numbers.shape[0]):
        a += numbers[j]
    return (a + b) + (c + d)

"""The loss of one forecast and its slope: what both backends compile into `forecast_loss`."""

from __future__ import annotations

from numba.extending import register_jitable

from gatecast.kernels.losses import HUBER, MAE, MSE
from gatecast.kernels.scalar import (
    absolute_loss_gradient,
    huber_loss,
    huber_loss_gradient,
    squared_loss,
    squared_loss_gradient,
    symmetric_loss,
    symmetric_loss_gradient,
)

__all__ = ["loss_and_slope"]


@register_jitable
def loss_and_slope(kind, y_hat, y, base, spread):
    """Return the loss of a forecast ``base + spread * y_hat`` of ``base + spread * y``, and its derivative."""
    error = y_hat - y
    if kind == MSE:
        return squared_loss(error), squared_loss_gradient(error)
    if kind == MAE:
        return abs(error), absolute_loss_gradient(error)
    if kind == HUBER:
        return huber_loss(error), huber_loss_gradient(error)
    forecast = base + spread * y_hat
    actual = base + spread * y
    return symmetric_loss(forecast, actual), spread * symmetric_loss_gradient(forecast, actual)

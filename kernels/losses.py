"""The losses that forecasts are trained by: the numbers that kernels know them by."""

from __future__ import annotations

__all__ = ["HUBER", "LOSSES", "MAE", "MSE", "SMAPE"]

MSE = 0
MAE = 1
HUBER = 2
SMAPE = 3
LOSSES = {"mse": MSE, "mae": MAE, "huber": HUBER, "smape": SMAPE}

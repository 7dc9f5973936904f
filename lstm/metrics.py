"""Measures of a forecast."""

from __future__ import annotations

import numpy as np

__all__ = ["mape", "regression", "skill"]


def regression(y: np.ndarray, y_hat: np.ndarray) -> dict[str, float]:
    """Return mse, mae, rmse and r2 of a forecast, in the unit of y (mse: its square).

    R² = 1 − Σ(y − ŷ)² / Σ(y − mean y)²; it is NaN where y is constant.

    Parameters
    ----------
    y, y_hat : (n,) arrays, finite, n ≥ 1
    """
    y, y_hat = _checked(y, y_hat)
    error = y_hat - y
    mse = float(np.mean(error**2))
    # The mean of equal numbers is not always that number, so their variance need not come out as 0.
    variance = float(np.mean((y - y.mean()) ** 2)) if np.ptp(y) > 0 else 0.0
    return {
        "mse": mse,
        "mae": float(np.mean(np.abs(error))),
        "rmse": mse**0.5,
        "r2": 1 - mse / variance if variance > 0 else float("nan"),
    }


def mape(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the mean absolute percentage error, in percent; infinite where a y is zero and its forecast is not."""
    y, y_hat = _checked(y, y_hat)
    error = np.abs(y_hat - y)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(100 * np.mean(np.where(error == 0, 0.0, error / np.abs(y))))


def skill(error: float, naive_error: float) -> float:
    """Return 1 − error / naive_error: the share of the naive forecast's error that the model takes away."""
    return 1 - error / naive_error if naive_error > 0 else float("nan")


def _checked(y: np.ndarray, y_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, y_hat = np.asarray(y, np.float64), np.asarray(y_hat, np.float64)
    if y.shape != y_hat.shape or y.ndim != 1 or len(y) == 0:
        raise ValueError(f"y has shape {y.shape} and y_hat {y_hat.shape}; both must be (n,) with n at least 1")
    if not (np.isfinite(y).all() and np.isfinite(y_hat).all()):
        raise ValueError("y or y_hat holds NaN or infinity; a metric of it would mean nothing")
    return y, y_hat

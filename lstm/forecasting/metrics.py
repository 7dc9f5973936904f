"""Measures of a forecast, and of the expectation of a sequence's tokens."""

from __future__ import annotations

import numpy as np

__all__ = ["mape", "owa", "regression", "sequence", "skill"]


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


def owa(smape: float, mase: float, smape_naive2: float, mase_naive2: float) -> float:
    """Return the overall weighted average of the M4 competition: sMAPE and MASE as shares of those of Naive2."""
    return (smape / smape_naive2 + mase / mase_naive2) / 2


def sequence(targets: np.ndarray, logits: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    """Return accuracy, cross_entropy (nats per token) and perplexity of the expectation of tokens or tags.

    Cross-entropy is ``-mean(log softmax(logits)[target])``, by log-sum-exp, so that no small number has to stand in
    for the logarithm of zero: a target of probability 0 costs infinity. Perplexity is its exponential.

    Parameters
    ----------
    targets : (...) integers
        From 0 to classes - 1 where they count.
    logits : (..., classes) array
        Of any scale; logarithms of probabilities are logits too.
    mask : (...) bool array, optional
        False for what does not count, such as padding: neither target nor logits are looked at there.

    Raises
    ------
    ValueError
        When shapes differ, nothing counts, or a target or a logit that counts makes no sense.
    """
    targets = np.asarray(targets)
    logits = np.asarray(logits, np.float64)
    counts = np.ones(targets.shape, bool) if mask is None else np.asarray(mask, bool)
    if logits.shape[:-1] != targets.shape or counts.shape != targets.shape:
        raise ValueError(
            f"targets have shape {targets.shape}, logits {logits.shape} and mask {counts.shape}; the logits' must be "
            "the targets' and the number of classes"
        )
    targets = targets[counts]
    logits = logits[counts]
    if len(targets) == 0:
        raise ValueError("no target counts; a metric of none would mean nothing")
    if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(f"targets must be integers from 0 to {logits.shape[1] - 1} where they count")
    top = logits.max(axis=1)
    if not np.isfinite(top).all():
        raise ValueError("logits hold NaN or +infinity, or -infinity for every class; a metric of them means nothing")
    chosen = np.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    losses = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - chosen
    cross_entropy = float(losses.mean())
    with np.errstate(over="ignore"):
        perplexity = float(np.exp(cross_entropy))
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == targets)),
        "cross_entropy": cross_entropy,
        "perplexity": perplexity,
    }


def _checked(y: np.ndarray, y_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(y, np.float64)
    y_hat = np.asarray(y_hat, np.float64)
    if y.shape != y_hat.shape or y.ndim != 1 or len(y) == 0:
        raise ValueError(f"y has shape {y.shape} and y_hat {y_hat.shape}; both must be (n,) with n at least 1")
    if not (np.isfinite(y).all() and np.isfinite(y_hat).all()):
        raise ValueError("y or y_hat holds NaN or infinity; a metric of it would mean nothing")
    return y, y_hat

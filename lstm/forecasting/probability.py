"""Scores of quantiles, samples and intervals.

Forecasts are columns of a frame ``unique_id``, ``y``: a quantile is ``y_hat-q-10`` (of 10 %), an interval
``y_hat-lo-90`` to ``y_hat-hi-90``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gatecast.lstm.forecasting.uncertainty import interval_names, quantile_name

__all__ = ["coverage", "crps", "crps_of_samples", "interval_score", "quantile_name", "weighted_quantile_loss"]


def weighted_quantile_loss(predictions: pd.DataFrame, forecast: str, quantiles: Sequence[float]) -> float:
    """Return the mean over quantiles of twice the summed pinball loss by the summed absolute actuals.

    All rows together, as GluonTS's ``mean_weighted_sum_quantile_loss`` and the GIFT-Eval leaderboard have it.
    """
    total = float(predictions["y"].abs().sum())
    if total == 0:
        return float("nan")
    rows = predictions.groupby("unique_id").size()
    return float(2 * (_pinball(predictions, forecast, quantiles) * rows).sum() / total)


def crps(predictions: pd.DataFrame, forecast: str, quantiles: Sequence[float]) -> pd.Series:
    """Return each series' continuous ranked probability score in y's unit: twice the mean pinball loss of quantiles.

    The more evenly spaced quantiles there are, the nearer this is to the score of the distribution.
    """
    return 2 * _pinball(predictions, forecast, quantiles)


def crps_of_samples(y: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the continuous ranked probability score of samples: ``E|X - y| - E|X - X'| / 2``.

    Parameters
    ----------
    y : (n,) array
    samples : (n_samples, n) array

    Returns
    -------
    float64, (n,)
        In y's unit; the absolute error where there is one sample.

    References
    ----------
    T. Gneiting and A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", Journal of the American
    Statistical Association 102 (2007), eq. 21.
    """
    ordered = np.sort(np.asarray(samples, np.float64), axis=0)
    count = len(ordered)
    # Of all pairs of sorted samples, the k-th is the greater one k times and the smaller one count - 1 - k times.
    weights = 2 * np.arange(count) - count + 1
    spread = np.tensordot(weights, ordered, axes=1) / count**2
    return np.abs(ordered - np.asarray(y, np.float64)).mean(axis=0) - spread


def coverage(predictions: pd.DataFrame, forecast: str, level: float) -> pd.Series:
    """Return the share of each series' actuals that lie within an interval of so many percent."""
    from utilsforecast import losses

    return _of_series(losses.coverage(_interval(predictions, forecast, level), [forecast], _level(level)))


def interval_score(predictions: pd.DataFrame, forecast: str, level: float) -> pd.Series:
    """Return each series' mean interval score in y's unit (Winkler 1972).

    It is the width, and twice the distance outside by the share that may lie outside.
    """
    from utilsforecast import losses

    return _of_series(losses.winkler_score(_interval(predictions, forecast, level), [forecast], _level(level)))


def _interval(predictions: pd.DataFrame, forecast: str, level: float) -> pd.DataFrame:
    # Without the cutoff, which the library would group by.
    return predictions[["unique_id", "y", *interval_names(forecast, level)]]


def _level(level: float) -> Any:
    """Return a level as the library has it in the names of columns: 80, not 80.0."""
    return int(level) if level == int(level) else level


def _pinball(predictions: pd.DataFrame, forecast: str, quantiles: Sequence[float]) -> pd.Series:
    """Return each series' pinball loss, the mean over rows and quantiles."""
    from utilsforecast import losses

    names = [quantile_name(forecast, quantile) for quantile in quantiles]
    return _of_series(losses.mqloss(predictions[["unique_id", "y", *names]], {forecast: names}, np.array(quantiles)))


def _of_series(scores: pd.DataFrame) -> pd.Series:
    """Return the library's scores by ``unique_id``."""
    (forecast,) = scores.columns.drop("unique_id")
    return scores.set_index("unique_id")[forecast].sort_index()

"""How many rows a window had best have, where the series are too short for the usual number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.ridge import Ridge, deviations

__all__ = ["best_lookback"]

_MARGIN = 0.01
_FEWEST_SERIES = 30
"""Whose validation rows are worth asking: those of fewer say more of luck than of the lookback"""
_MOST_ORIGINS = 8_000
_MOST_WINDOWS = 10_000


def best_lookback(panel: Panel, validated: np.ndarray, lookbacks: Sequence[int], horizon: int) -> int:
    """Choose the lookback with which ridge regression forecasts the validation rows best.

    A long window has more to look at, a short one leaves more windows to learn from; which counts more depends on the
    data. The regression is fitted on the training rows alone.

    Parameters
    ----------
    panel : Panel
    validated : (n_series,) array
        Rows of each series that train or validate, its first ones.
    lookbacks : sequence of int
        The usual one first: another one has to be better by a hundredth.
    horizon : int

    Returns
    -------
    int
        The usual one if the validation rows of too few series can be forecast from the longest window.
    """
    usual = lookbacks[0]
    origins = _origins(panel, validated, max(lookbacks), horizon)
    if len(np.unique(panel.series[origins])) < _FEWEST_SERIES:
        return usual
    spread = deviations(panel)[panel.series[origins]]
    actual = panel.y[origins[:, None] + np.arange(1, horizon + 1)]
    errors = {}
    for lookback in lookbacks:
        error = np.abs(Ridge(lookback, _MOST_WINDOWS).forecast(panel, origins, horizon) - actual) / spread[:, None]
        errors[lookback] = float(np.nanmean(error)) if np.isfinite(error).any() else np.inf
    return min(lookbacks, key=lambda lookback: errors[lookback] * (1 + _MARGIN * (lookback != usual)))


def _origins(panel: Panel, validated: np.ndarray, lookback: int, horizon: int) -> np.ndarray:
    """Return the origins whose targets are validation rows and whose windows are whole."""
    rows = np.arange(len(panel.y))
    within = rows - panel.offsets[panel.series]
    ahead = within + 1 >= panel.trained[panel.series]
    rows = rows[ahead & (within + horizon < validated[panel.series]) & (within + 1 >= lookback)]
    if len(rows) > _MOST_ORIGINS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_ORIGINS).astype(np.int64)]
    return rows

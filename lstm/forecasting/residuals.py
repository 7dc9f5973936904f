"""What a network had best correct: the value of a season before, the last value, or the mean of its window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.ridge import Moments, filled_targets

__all__ = ["PENALTIES", "Residual", "best_residual"]

Residual = Literal["none", "last", "seasonal"]
PENALTIES = np.logspace(-6, 4, 21)
"""Of ridge regression, in units of the inputs' mean variance: the greatest leave next to nothing of a window"""
_MOST_WINDOWS = 8_000
_HELD_BACK = 0.2
"""Share of the windows of each series, the last, by which the residual is chosen"""
_FLOOR = 0.1
_MARGIN = 0.01


def best_residual(panel: Panel, lookback: int, horizon: int, periods: Sequence[int]) -> Residual:
    """Choose what ridge regression over scaled windows forecasts best, by the last training rows of each series.

    Parameters
    ----------
    panel : Panel
    lookback, horizon : int
    periods : sequence of int
        Seasons within a window, the main one first.
    """
    early, late = _origins(panel, lookback, horizon)
    options: list[Residual] = ["seasonal", "last", "none"] if periods else ["last", "none"]
    if len(early) < 2 or not len(late):
        return options[0]
    deviations = np.array([np.nanstd(panel.y[rows][:trained]) if trained else 1.0 for rows, trained in panel.each()])
    windows = [_standardised(panel, origins, lookback, deviations) for origins in (early, late)]
    errors = {}
    for option in options:
        first, second = (
            _moments(panel, origins, x, spread, _base(panel, origins, horizon, option, periods, center))
            for origins, (x, center, spread) in zip((early, late), windows, strict=True)
        )
        if first.rows < 2 or not second.rows:
            return options[0]
        errors[option] = min(map(second.squared_error, first.regressions(PENALTIES)))
    # An option that is next to nothing better is no reason to leave the one that people expect.
    return min(options, key=lambda option: errors[option] * (1 + _MARGIN * options.index(option)))


def _origins(panel: Panel, lookback: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the last rows of training windows: of the earlier ones, and of those held back, whose targets follow."""
    rows = np.arange(len(panel.y))
    within = rows - panel.offsets[panel.series]
    last = panel.trained[panel.series] - horizon
    rows = rows[(within + 1 >= lookback) & (within < last)]
    if len(rows) > _MOST_WINDOWS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_WINDOWS).astype(np.int64)]
    usable = panel.trained - lookback - horizon + 1
    boundary = panel.offsets[:-1] + panel.trained - np.maximum(1, (_HELD_BACK * usable).astype(np.int64)) - horizon
    is_late = rows >= boundary[panel.series[rows]]
    is_early = rows + horizon < boundary[panel.series[rows]] + 1
    return rows[is_early], rows[is_late]


def _standardised(
    panel: Panel, origins: np.ndarray, lookback: int, deviations: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return windows by their own mean and deviation, and those."""
    windows = panel.windows(origins, lookback)
    center = np.nanmean(windows, axis=1)
    floor = np.maximum(_FLOOR * deviations[panel.series[origins]], np.finfo(np.float64).tiny)
    spread = np.maximum(np.nanstd(windows, axis=1), floor)
    return np.nan_to_num((windows - center[:, None]) / spread[:, None]), center, spread


def _base(
    panel: Panel, origins: np.ndarray, horizon: int, option: Residual, periods: Sequence[int], center: np.ndarray
) -> np.ndarray:
    """Return what the forecasts of windows are added to, (n, horizon)."""
    if option == "none":
        return np.repeat(center[:, None], horizon, axis=1)
    if option == "last":
        return np.repeat(panel.filled[origins][:, None], horizon, axis=1)
    season = periods[0]
    return panel.filled[origins[:, None] + 1 - season + np.arange(horizon) % season]


def _moments(panel: Panel, origins: np.ndarray, x: np.ndarray, spread: np.ndarray, base: np.ndarray) -> Moments:
    """Return those of windows, whose inputs are `x`; see `filled_targets`."""
    ahead = origins[:, None] + np.arange(1, base.shape[1] + 1)
    y, is_usable = filled_targets((panel.y[ahead] - base) / spread[:, None])
    return Moments.of(x[is_usable], y[is_usable])

"""Naive2, which the M4 competition measures every method against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatecast.lstm.forecasting.baselines import Baseline
from gatecast.lstm.forecasting.panel import Panel

__all__ = ["Naive2"]

_CRITICAL = 1.645
"""Of the test, at 90 %"""


@dataclass(frozen=True)
class Naive2(Baseline):
    """The last value of the seasonally adjusted series, times the season of each step.

    As the competition's ``Benchmarks and Evaluation.R`` has it (Makridakis, Spiliotis & Assimakopoulos 2020): a series
    of three seasons or more whose autocorrelation one season apart passes Bartlett's test at 90 % is decomposed by the
    classical multiplicative method, as R's ``decompose`` does; any other is taken as it is.

    Attributes
    ----------
    season : int
        Rows.
    """

    season: int
    name = "naive2"
    label = "Naive2"

    def _fit(self, panel: Panel, horizon: int) -> np.ndarray:
        """Return the seasonal indices of each series by place in its season, (n_series, season); ones without one."""
        indices = np.ones((len(panel), self.season))
        for number, (rows, trained) in enumerate(panel.each()):
            y = panel.filled[rows][:trained]
            if _is_seasonal(y, self.season):
                indices[number] = _seasonal_indices(y, self.season)
        return indices

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        series = panel.series[origins]
        place = (panel.known(origins) - 1)[:, None] + np.arange(horizon + 1)
        index = fitted[series[:, None], place % self.season]
        return panel.filled[origins, None] / index[:, :1] * index[:, 1:]


def _is_seasonal(y: np.ndarray, season: int) -> bool:
    if season < 2 or len(y) < 3 * season or np.ptp(y) == 0:
        return False
    x = y - y.mean()
    r = np.array([x[lag:] @ x[: len(x) - lag] for lag in range(1, season + 1)]) / (x @ x)
    limit = _CRITICAL * np.sqrt((1 + 2 * np.sum(r[:-1] ** 2)) / len(y))
    return bool(abs(r[-1]) > limit)


def _seasonal_indices(y: np.ndarray, season: int) -> np.ndarray:
    """Return the mean ratio of y to its moving average at each place in the season; their own mean is 1."""
    weights = np.full(season, 1 / season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5] / season
    trend = np.convolve(y, weights, mode="valid")
    half = season // 2
    ratio = np.full(len(y), np.nan)
    ratio[half : half + len(trend)] = y[half : half + len(trend)] / trend
    indices = np.array([np.nanmean(ratio[place::season]) for place in range(season)])
    return indices / indices.mean()

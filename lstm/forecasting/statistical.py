"""Statistical baselines of the library statsforecast, which the extra ``gatecast[baselines]`` installs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.baselines import Baseline
from gatecast.lstm.forecasting.panel import Panel

__all__ = ["Statistical", "statsforecast_is_installed"]

_FEWEST_ROWS = 10


def statsforecast_is_installed() -> bool:
    """Say whether `Statistical` can be used, without importing anything."""
    from importlib.util import find_spec

    return find_spec("statsforecast") is not None


@dataclass(frozen=True)
class Statistical(Baseline):
    """A model that chooses its own form: exponential smoothing, theta or ARIMA (Garza et al. 2022, statsforecast).

    It is fitted to the training rows of each series by itself; at every origin its parameters stay, and its state is
    that of the rows known there.

    Attributes
    ----------
    model : {"AutoETS", "AutoTheta", "AutoARIMA"}
    season : int
        Rows of a season, 1 where there is none. AutoETS knows no season of more than 24 rows. AutoARIMA takes tens of
        seconds for a series with a season of 24.
    """

    model: Literal["AutoETS", "AutoTheta", "AutoARIMA"]
    season: int = 1
    lacking = "there are too few rows or all are alike"

    @property
    def name(self) -> str:
        """The model's in lower case."""
        return self.model.lower().replace("auto", "auto_")

    @property
    def label(self) -> str:
        """As the library calls it."""
        return self.model

    def forecast_quantiles(
        self, panel: Panel, origins: np.ndarray, horizon: int, quantiles: Sequence[float]
    ) -> np.ndarray:
        """Forecast as `forecast` does, but quantiles, (n, horizon, n_quantiles)."""
        values = np.full((len(origins), horizon, len(quantiles)), np.nan)
        levels = [level for level, _ in map(_interval, quantiles) if level]
        for row, forecast in self._forward(self._fit(panel, horizon), panel, origins, horizon, levels):
            for number, (level, side) in enumerate(map(_interval, quantiles)):
                values[row, :, number] = forecast[f"{side}-{level}" if level else "mean"]
        return values

    def _fit(self, panel: Panel, horizon: int) -> list[Any]:
        """Return the fitted model of each series, None where its training rows are too few or all alike."""
        try:
            from statsforecast import models
        except ImportError as error:
            raise InputError(
                f"{self.model} needs the package statsforecast; run: pip install 'gatecast[baselines]'."
            ) from error
        fitted = []
        for rows, trained in panel.each():
            y = panel.filled[rows][:trained]
            y = y[np.isfinite(y)]
            model = getattr(models, self.model)(season_length=self.season)
            fitted.append(model.fit(y) if len(y) >= _FEWEST_ROWS and np.ptp(y) > 0 else None)
        return fitted

    def _forecast(self, fitted: list[Any], panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        y_hat = np.full((len(origins), horizon), np.nan)
        for row, forecast in self._forward(fitted, panel, origins, horizon, levels=[]):
            y_hat[row] = forecast["mean"]
        return y_hat

    def _forward(
        self, fitted: list[Any], panel: Panel, origins: np.ndarray, horizon: int, levels: Sequence[float]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Give the number of each origin that a fitted model forecasts from, and the forecast."""
        for row, origin in enumerate(origins):
            model = fitted[panel.series[origin]]
            if model is not None:
                past = panel.filled[panel.offsets[panel.series[origin]] : origin + 1]
                yield row, model.forward(past[np.isfinite(past)], horizon, level=sorted(set(levels)) or None)


def _interval(quantile: float) -> tuple[float, str]:
    """Return level in percent and side of the central interval that a quantile bounds; level 0 for the median."""
    return round(100 * abs(1 - 2 * quantile), 6), "hi" if quantile > 0.5 else "lo"

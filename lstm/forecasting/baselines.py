"""Forecasts that need no network: what a model has to beat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from gatecast.lstm.forecasting.panel import Panel

__all__ = [
    "BASELINES", "HAR", "Baseline", "BaselineForecasts", "Drift", "ExponentialMean", "LastValue", "SeasonalNaive",
    "WindowMean", "Zero", "forecast", "predict",
]  # fmt: skip

# Origins whose windows are gathered at once: enough for speed, few enough that the copies stay small.
_BATCH = 4096
_DECAYS = np.linspace(0.01, 0.99, 99)


class Baseline(ABC):
    """A forecast that needs no network."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its column in a frame of forecasts."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What people call it."""

    @property
    def lacking(self) -> str:
        """Why there is no forecast of a series, in words that follow "where"."""
        return "there are too few rows"

    def forecast(self, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        """Fit on the training rows of a panel, and forecast from many origins at once.

        Parameters
        ----------
        panel : Panel
        origins : int64, (n,)
            Rows that are the last ones known; what comes after them is not looked at.
        horizon : int
            Steps ahead.

        Returns
        -------
        float64, (n, horizon)
            NaN where a series has too few rows.
        """
        fitted = self._fit(panel, horizon)
        y_hat = np.empty((len(origins), horizon))
        for first in range(0, len(origins), _BATCH):
            batch = slice(first, first + _BATCH)
            y_hat[batch] = self._forecast(fitted, panel, origins[batch], horizon)
        return y_hat

    def _fit(self, panel: Panel, horizon: int) -> Any:
        """Return what the training rows tell; most baselines have nothing to fit."""
        return None

    @abstractmethod
    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        """Return what follows origins, (n, horizon) or (n, 1) where all steps are alike."""


@dataclass(frozen=True)
class LastValue(Baseline):
    """The last value goes on: the best that there is for a random walk."""

    name = "naive"
    label = "last value"

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        return panel.filled[origins, None]


@dataclass(frozen=True)
class Zero(Baseline):
    """Zero: the naive forecast of a change, such as a return."""

    name = "naive"
    label = "no change"

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        return np.zeros((len(origins), 1))


@dataclass(frozen=True)
class SeasonalNaive(Baseline):
    """The value of one season before, or of as many seasons as it takes."""

    period: int

    @property
    def name(self) -> str:
        """Each period is a baseline of its own."""
        return f"seasonal_naive_{self.period}"

    @property
    def label(self) -> str:
        """With the period in rows."""
        return f"seasonal naive {self.period}"

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        steps = np.arange(horizon) % self.period + 1 - self.period
        y_hat = panel.filled[np.maximum(origins[:, None] + steps, 0)]
        y_hat[panel.known(origins) < self.period] = np.nan
        return y_hat


@dataclass(frozen=True)
class WindowMean(Baseline):
    """The mean of the last rows, or of as many as there are: the best that there is for noise around a level."""

    window: int
    name = "mean"
    label = "window mean"

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        values = panel.windows(origins, self.window)
        last = values[:, -1:]
        count = np.isfinite(values).sum(axis=1, keepdims=True)
        # As differences from the last value: the mean of equal numbers need not come out as that number.
        return last + np.nansum(values - last, axis=1, keepdims=True) / count.clip(1)


@dataclass(frozen=True)
class Drift(Baseline):
    """The line through the first value and the last goes on."""

    name = "drift"
    label = "drift"

    def _forecast(self, fitted: Any, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        last = panel.filled[origins]
        before = panel.known(origins) - 1
        slope = (last - panel.filled[origins - before]) / np.maximum(before, 1)
        return last[:, None] + slope[:, None] * np.arange(1, horizon + 1)


@dataclass(frozen=True)
class HAR(Baseline):
    """Corsi's (2009) heterogeneous autoregression, of each series by itself and one for each step ahead.

    A regression on the means of the last rows over each span: day, week and month, for a volatility by days.
    """

    spans: tuple[int, ...] = (1, 5, 22)
    name = "har"

    @property
    def label(self) -> str:
        """With the spans in rows."""
        return f"HAR({','.join(map(str, self.spans))})"

    def _fit(self, panel: Panel, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of all rows (rows, p), and the coefficients of each series (n_series, p, horizon)."""
        inputs = np.column_stack([np.ones(len(panel.y)), *(_running_mean(panel, span) for span in self.spans)])
        coefficients = np.full((len(panel), inputs.shape[1], horizon), np.nan)
        for number, (rows, trained) in enumerate(panel.each()):
            x, y = inputs[rows], panel.y[rows]
            for step in range(1, horizon + 1):
                origins = np.arange(trained - step)
                fitted = origins[np.isfinite(x[origins]).all(axis=1) & np.isfinite(y[origins + step])]
                if len(fitted) > x.shape[1]:
                    coefficients[number, :, step - 1] = np.linalg.lstsq(x[fitted], y[fitted + step], rcond=None)[0]
        return inputs, coefficients

    def _forecast(
        self, fitted: tuple[np.ndarray, np.ndarray], panel: Panel, origins: np.ndarray, horizon: int
    ) -> np.ndarray:
        inputs, coefficients = fitted
        return np.einsum("np,nph->nh", inputs[origins], coefficients[panel.series[origins]])


@dataclass(frozen=True)
class ExponentialMean(Baseline):
    """An exponentially weighted mean, its decay chosen for each series by the squared error one step ahead."""

    name = "ewma"
    label = "exponential mean"

    def _fit(self, panel: Panel, horizon: int) -> np.ndarray:
        """Return the mean at every row, with the decay that the training rows choose."""
        means = np.full(len(panel.y), np.nan)
        for rows, trained in panel.each():
            y = pd.Series(panel.filled[rows])
            if trained >= 3:
                errors = [((_weighted_mean(y[:trained], alpha).shift() - y[:trained]) ** 2).mean() for alpha in _DECAYS]
                means[rows] = _weighted_mean(y, _DECAYS[int(np.argmin(errors))])
        return means

    def _forecast(self, fitted: np.ndarray, panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
        return fitted[origins, None]


def _running_mean(panel: Panel, span: int) -> np.ndarray:
    return np.concatenate([pd.Series(panel.filled[rows]).rolling(span).mean().to_numpy() for rows, _ in panel.each()])


def _weighted_mean(y: pd.Series, alpha: float) -> pd.Series:
    return y.ewm(alpha=alpha, adjust=False).mean()


class BaselineForecasts(NamedTuple):
    """What baselines forecast.

    Attributes
    ----------
    values : DataFrame
        A column for each baseline, under its name and indexed as the keys.
    notes : tuple of str
        Where a series had too few rows for a baseline, so that its last value stands in: one sentence each.
    """

    values: pd.DataFrame
    notes: tuple[str, ...]


def forecast(
    baselines: Sequence[Baseline], frame: pd.DataFrame, keys: pd.DataFrame, train_end: Any
) -> BaselineForecasts:
    """Forecast the rows of `keys` with baselines that are fitted on the rows up to `train_end` alone.

    Every baseline forecasts every row: where a series has too few rows for one, its last value takes the place. What is
    compared over different rows would not be comparable.

    Parameters
    ----------
    baselines : sequence of Baseline
    frame : DataFrame
        Series frame: ``unique_id``, ``ds``, ``y``.
    keys : DataFrame
        ``unique_id``, ``cutoff``, ``step`` of each forecast wanted, as `Forecaster.predict_windows` returns them.
    train_end : Timestamp, int or Series of them by unique_id
        Last training row, of all series or of each.
    """
    panel = Panel.of_frame(frame, train_end)
    rows = panel.origins_of(keys)
    values = {}
    notes = []
    for baseline, y_hat in zip(baselines, _forecasts(baselines, panel, rows, keys["step"].to_numpy()), strict=True):
        missing = np.isnan(y_hat)
        if missing.any():
            notes.append(_note_of(baseline, panel, rows, missing))
            y_hat[missing] = panel.filled[rows[missing]]
        values[baseline.name] = y_hat
    return BaselineForecasts(pd.DataFrame(values, index=keys.index), tuple(notes))


def _forecasts(baselines: Sequence[Baseline], panel: Panel, rows: np.ndarray, step: np.ndarray) -> Iterator[np.ndarray]:
    """Give each baseline's forecasts of the steps after rows, (n,)."""
    origins, place = np.unique(rows, return_inverse=True)
    for baseline in baselines:
        yield baseline.forecast(panel, origins, int(step.max(initial=1)))[place, step - 1]


def _note_of(baseline: Baseline, panel: Panel, rows: np.ndarray, missing: np.ndarray) -> str:
    of = len(np.unique(panel.series[rows]))
    lacking = len(np.unique(panel.series[rows[missing]]))
    where = f" in {lacking} of {of} series, where" if of > 1 else ", since"
    return f"The last value takes the place of {baseline.label}{where} {baseline.lacking}."


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {baseline.name: baseline for baseline in (LastValue(), HAR(), ExponentialMean())}
)


def predict(
    name: str, frame: pd.DataFrame, keys: pd.DataFrame, train_end: Any, naive: Literal["last", "zero"] = "last"
) -> pd.Series:
    """Forecast the rows of `keys` with one of `BASELINES`, and leave NaN where a series has too few training rows.

    Parameters
    ----------
    name : {"naive", "har", "ewma"}
    frame, keys, train_end
        As for `forecast`.
    naive : {"last", "zero"}
        What the naive forecast is; the others ignore it.

    Returns
    -------
    Series of float64
        Indexed as `keys`.
    """
    if naive not in ("last", "zero"):
        raise ValueError(f"the naive forecast {naive!r} is unknown; choose last or zero")
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r} is unknown; choose {', '.join(BASELINES)}")
    baseline = Zero() if (name, naive) == ("naive", "zero") else BASELINES[name]
    panel = Panel.of_frame(frame, train_end)
    (y_hat,) = _forecasts([baseline], panel, panel.origins_of(keys), keys["step"].to_numpy())
    return pd.Series(y_hat, index=keys.index)

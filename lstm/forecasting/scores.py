"""Scores of forecasts, series by series, so that no series decides by the size of its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.panel import Panel

__all__ = ["Scales", "Scores", "score"]

Measure = Literal["MASE", "RMSSE", "MAE"]


@dataclass(frozen=True, eq=False)
class Scales:
    """What errors are divided by to be comparable: those of the seasonal naive forecast over the training rows.

    Attributes
    ----------
    season : int
        Rows of a season; 1 where there is none.
    absolute : Series, (n_series,)
        Mean absolute error of each series by ``unique_id``; NaN where it is zero, since nothing can be divided by it.
    squared : Series, (n_series,)
        Mean squared error, likewise.
    measure : {"MASE", "RMSSE", "MAE"}
        By which forecasts are compared: the mean absolute scaled error. The root mean squared scaled error where most
        values are zero, since absolute errors are then least for a forecast of nothing but zeros (Hyndman & Koehler
        2006); the mean absolute error where no series has a scale.
    notes : tuple of str
        Where a series has another scale than the others, or none: one sentence each.
    """

    season: int
    absolute: pd.Series
    squared: pd.Series
    measure: Measure
    notes: tuple[str, ...]

    @classmethod
    def of_panel(cls, panel: Panel, season: int = 1) -> Scales:
        """Measure the seasonal naive forecast over the training rows of a panel.

        A series of no more training rows than a season has is scaled by its last value instead, as in GluonTS.
        """
        is_short = panel.trained <= season
        lag = np.where(is_short, 1, season)[panel.series]
        rows = np.flatnonzero(panel.training_rows & (panel.known(np.arange(len(panel.y))) > lag))
        change = panel.y[rows] - panel.y[rows - lag[rows]]
        rows, change = rows[np.isfinite(change)], change[np.isfinite(change)]
        count = np.bincount(panel.series[rows], minlength=len(panel))
        absolute, squared = (
            pd.Series(np.bincount(panel.series[rows], loss, len(panel)) / count.clip(1), panel.unique_ids)
            for loss in (np.abs(change), change**2)
        )
        absolute, squared = (scale.where(scale > 0) for scale in (absolute, squared))
        measure: Measure = "MASE"
        if absolute.isna().all():
            measure = "MAE"
        elif _is_intermittent(panel):
            measure = "RMSSE"
        return cls(season, absolute, squared, measure, _notes(is_short, absolute, season))


def _is_intermittent(panel: Panel) -> bool:
    """Say whether most training values of at least half of the series are zero."""
    zeros = np.bincount(panel.series, panel.training_rows & (panel.y == 0), len(panel))
    return bool(np.mean(zeros > panel.trained / 2) >= 0.5)


def _notes(is_short: np.ndarray, absolute: pd.Series, season: int) -> tuple[str, ...]:
    of, notes = len(absolute), []
    if is_short.any():
        notes.append(
            f"Series of no more than {season} training rows are scaled by the errors of their last value:"
            f" {int(is_short.sum())} of {of}."
        )
    unscaled = int(absolute.isna().sum())
    if unscaled == of:
        notes.append("No series changes over its training rows, so errors are not scaled.")
    elif unscaled:
        notes.append(
            "Series that do not change over their training rows have no scale, and count in the share of series alone:"
            f" {unscaled} of {of}."
        )
    return tuple(notes)


@dataclass(frozen=True, eq=False)
class Scores:
    """How good forecasts are.

    Attributes
    ----------
    measure : {"MASE", "RMSSE", "MAE"}
        By which forecasts are compared, see `Scales`.
    season : int
        Of the scaled errors.
    by_series : DataFrame
        ``unique_id``, ``forecast``, ``rows``, ``mae``, ``mse``, ``rmse``, ``r2``, ``smape`` (in percent), ``mase`` and
        ``rmsse``. NaN where a measure does not exist: R² of constant actuals, a scaled error without a scale.
    by_step : DataFrame
        ``step``, ``forecast``, ``mae``, and ``score``: the measure.
    losses : DataFrame
        A row for each ``cutoff`` and ``step``, a column for each forecast: the mean over the series of the absolute
        scaled error, the squared one for RMSSE. What tests of a difference are made from.
    origins : int
        Forecasts of the series that has most, one after another in time.
    notes : tuple of str
        What was left out or treated in another way, one sentence each.
    """

    measure: Measure
    season: int
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    losses: pd.DataFrame
    origins: int
    notes: tuple[str, ...]

    @property
    def overall(self) -> pd.DataFrame:
        """A row for each forecast: MAE, MSE, RMSE and sMAPE over all rows, R², MASE and RMSSE as means over series."""
        weights = self.by_series["rows"]
        weighted = self.by_series.assign(**{name: self.by_series[name] * weights for name in _OVER_ROWS})
        groups = weighted.groupby("forecast", sort=False)
        rows = groups["rows"].sum()
        overall = groups[list(_OVER_ROWS)].sum().div(rows, axis=0).join(groups[list(_OVER_SERIES)].mean())
        columns = ["rows", "mae", "mse", "rmse", "r2", "smape", "mase", "rmsse"]
        return overall.assign(rows=rows, rmse=np.sqrt(overall["mse"]))[columns].reset_index()

    @property
    def comparable(self) -> pd.DataFrame:
        """The measure of each series (rows) and forecast (columns).

        Where a series has no scale, its error stands as it is: forecasts can be compared by it, but not series.
        """
        scaled, raw = _COLUMNS[self.measure]
        values = self.by_series[scaled].fillna(self.by_series[raw])
        groups = self.by_series.assign(value=values).set_index("unique_id").groupby("forecast", sort=False)
        return pd.DataFrame({name: rows["value"] for name, rows in groups})

    @property
    def means(self) -> pd.Series:
        """The measure of each forecast, as the mean over the series that have a scale."""
        return self.by_series.groupby("forecast", sort=False)[_COLUMNS[self.measure][0]].mean()


_OVER_ROWS = ("mae", "mse", "smape")
_OVER_SERIES = ("r2", "mase", "rmsse")
_COLUMNS: Mapping[Measure, tuple[str, str]] = MappingProxyType(
    {"MASE": ("mase", "mae"), "RMSSE": ("rmsse", "rmse"), "MAE": ("mae", "mae")}
)
"""Column of each measure, and that of the same error without a scale"""


def score(predictions: pd.DataFrame, forecasts: Sequence[str], scales: Scales) -> Scores:
    """Score forecasts of the same rows.

    Parameters
    ----------
    predictions : DataFrame
        ``unique_id``, ``cutoff``, ``step``, ``y`` and a column for each forecast. Rows without ``y`` are left out.
    forecasts : sequence of str
        The columns to be scored.
    scales : Scales
        From rows before the first cutoff, in the unit of the predictions.

    Raises
    ------
    InputError
        There is nothing to score.
    ValueError
        A forecast is missing or not finite.
    """
    notes, known = list(scales.notes), predictions["y"].notna()
    if not known.all():
        notes.append(f"Forecasts of a missing value are not scored: {int((~known).sum()):,} of {len(known):,}.")
        predictions = predictions[known]
    if predictions.empty:
        raise InputError(
            "There is no forecast to score, since no actual value has come for one; give a test period that is at least"
            " as long as the horizon."
        )
    keys = _Keys.of(predictions)
    parts = [_score_one(keys, predictions[name].to_numpy(np.float64), name, scales) for name in forecasts]
    losses = pd.DataFrame({name: part.losses for name, part in zip(forecasts, parts, strict=True)}, keys.moments)
    return Scores(
        scales.measure,
        scales.season,
        pd.concat([part.by_series for part in parts], ignore_index=True),
        pd.concat([part.by_step for part in parts], ignore_index=True),
        losses.dropna(),
        keys.origins,
        tuple(notes),
    )


class _Keys(NamedTuple):
    """What rows belong to: numbers of their series, steps, and moments, which are pairs of cutoff and step."""

    y: np.ndarray
    variance: np.ndarray
    """Of each series, NaN where its actuals are all alike"""
    series: np.ndarray
    unique_ids: pd.Index
    step: np.ndarray
    steps: pd.Index
    moment: np.ndarray
    moments: pd.MultiIndex
    origins: int

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> _Keys:
        """Number the series, steps and moments of a frame of predictions."""
        series, unique_ids = pd.factorize(predictions["unique_id"], sort=True)
        step, steps = pd.factorize(predictions["step"], sort=True)
        cutoff, cutoffs = pd.factorize(predictions["cutoff"], sort=True)
        first = step == 0
        of_series = np.bincount(np.unique(series[first] * len(cutoffs) + cutoff[first]) // len(cutoffs))
        moments = pd.MultiIndex.from_product([cutoffs, steps], names=["cutoff", "step"])
        moment = cutoff * len(steps) + step
        y = predictions["y"].to_numpy(np.float64)
        by_series = pd.Series(y).groupby(series)
        variance = by_series.var(ddof=0).where(by_series.max() > by_series.min()).to_numpy()
        return cls(
            y, variance, series, pd.Index(unique_ids), step, steps, moment, moments, int(of_series.max(initial=1))
        )


class _Part(NamedTuple):
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    losses: np.ndarray


def _score_one(keys: _Keys, y_hat: np.ndarray, name: str, scales: Scales) -> _Part:
    """Score one forecast."""
    if not np.isfinite(y_hat).all():
        raise ValueError(
            f"forecasts of {name} are missing or infinite: {int((~np.isfinite(y_hat)).sum()):,} of {len(y_hat):,}"
        )
    absolute, squared = (scale.reindex(keys.unique_ids).to_numpy() for scale in (scales.absolute, scales.squared))
    by_series = _unscaled(keys, y_hat)
    by_series["mase"] = by_series["mae"] / absolute
    by_series["rmsse"] = np.sqrt(by_series["mse"] / squared)
    error = np.abs(y_hat - keys.y)
    loss = error
    if scales.measure == "MASE":
        loss = error / absolute[keys.series]
    elif scales.measure == "RMSSE":
        loss = error**2 / squared[keys.series]
    at_step = _means(loss, keys.step, len(keys.steps))
    by_step = pd.DataFrame(
        {
            "step": keys.steps,
            "forecast": name,
            "mae": _means(error, keys.step, len(keys.steps)),
            "score": np.sqrt(at_step) if scales.measure == "RMSSE" else at_step,
        }
    )
    by_series = by_series.assign(unique_id=keys.unique_ids, forecast=name)
    return _Part(by_series, by_step, _means(loss, keys.moment, len(keys.moments)))


def _unscaled(keys: _Keys, y_hat: np.ndarray) -> pd.DataFrame:
    """Return what can be said of each series without its scale."""
    from utilsforecast import losses

    frame = pd.DataFrame({"unique_id": keys.series, "y": keys.y, "y_hat": y_hat})
    mae, mse, smape = (measure(frame, ["y_hat"])["y_hat"] for measure in (losses.mae, losses.mse, losses.smape))
    # The library divides by the sum of actual and forecast, the M4 competition by their mean, in percent.
    measures = {"mae": mae, "mse": mse, "rmse": np.sqrt(mse), "r2": 1 - mse / keys.variance, "smape": 200 * smape}
    return pd.DataFrame({"rows": np.bincount(keys.series), **measures})


def _means(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of each group over the values that there are, NaN where there is none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.bincount(groups[known], values[known], count) / np.bincount(groups[known], minlength=count)

"""Rolling origins: forecasts of the past, each made from what was known at its time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import InputError
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.splits import SplitSettings, split_boundaries

__all__ = ["RollingModel", "cross_validation"]

_LOGGER = logging.getLogger(__name__)
# Enough dates to tell business days and months from a plain spacing.
_DATES = 64


class RollingModel(Protocol):
    """What a backtest needs of a model; `lstm.forecasting.forecaster.Forecaster` is one."""

    settings: Any

    @classmethod
    def from_settings(cls, settings: Any) -> Self:
        """Make a model from its settings."""

    def fit(self, df: pd.DataFrame, split: SplitSettings) -> Self:
        """Train on a long frame."""

    def predict(self, df: pd.DataFrame) -> pd.DataFrame:
        """Forecast what follows each series of a long frame."""

    @property
    def context_rows(self) -> int:
        """Rows of a series that a forecast may depend on."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it was fitted on; empty before."""

    @property
    def boundaries(self) -> Mapping[str, str]:
        """Last timestamps of training and validation."""

    @property
    def scalers(self) -> Mapping[str, Any]:
        """Scaler of each known series."""


Model = TypeVar("Model", bound=RollingModel)


def cross_validation(
    model: Model,
    df: pd.DataFrame,
    n_windows: int = 1,
    step_size: int = 1,
    refit: bool | int = False,
    *,
    split: SplitSettings | None = None,
    on_window: Callable[[int], None] | None = None,
    only: range | None = None,
) -> pd.DataFrame:
    """Forecast from each of the last origins of a long frame, as `Forecaster.cross_validation` describes.

    Parameters
    ----------
    model, df, n_windows, step_size, refit
        See there.
    split : SplitSettings, optional
        Which share of the known rows decides when training stops; by default the last tenth of the time. Nothing is
        held back for a test, since the test is what follows the origin.
    on_window : callable, optional
        Called with the number of origins that are done, after each.
    only : range, optional
        Numbers of the origins to forecast from, 0 the oldest; all of them by default. It begins with a number at which
        the model is fitted.
    """
    frame = validate_series(df, "The series frame")
    settings = model.settings
    origins = _origins(frame, settings.lookback, settings.horizon, n_windows, step_size)
    every = int(refit)
    fitted = model if model.columns and not every else None
    if fitted is not None:
        _warn_of_seen_rows(fitted, origins[0])
    parts = []
    chosen = range(len(origins)) if only is None else only
    for done, number in enumerate(chosen, 1):
        origin = origins[number]
        if fitted is None or (every and number % every == 0):
            fitted = _fit(model, frame[frame["ds"] <= origin], origin, split)
        parts.append(_forecast_from(fitted, frame, origin))
        if on_window is not None:
            on_window(done)
    return pd.concat(parts, ignore_index=True)


def _origins(frame: pd.DataFrame, lookback: int, horizon: int, n_windows: int, step_size: int) -> list[pd.Timestamp]:
    """Return the timestamps that forecasts are made from, the last `horizon` before the end, oldest first."""
    for name, value in (("n_windows", n_windows), ("step_size", step_size)):
        if value < 1:
            raise InputError(f"{name} is {value}, but has to be at least 1; choose another.")
    times = pd.DatetimeIndex(frame["ds"]).unique().sort_values()
    first = len(times) - horizon - 1 - (n_windows - 1) * step_size
    if first + 1 < lookback:
        needed = lookback + horizon + (n_windows - 1) * step_size
        raise InputError(
            f"The {len(times)} timestamps are too few for {n_windows} windows {step_size} apart with lookback"
            f" {lookback} and horizon {horizon}, which take {needed}; give more rows or choose fewer windows."
        )
    return list(times[first : len(times) - horizon : step_size])


def _fit(model: Model, known: pd.DataFrame, origin: pd.Timestamp, split: SplitSettings | None) -> Model:
    """Train a model with the settings of `model` on what was known at an origin; `model` stays as it is."""
    settings = model.settings
    share = split.validation_fraction if split else SplitSettings().validation_fraction
    shares = SplitSettings(validation_fraction=share, test_fraction=0, purge=split.purge if split else 1)
    train_end, _ = split_boundaries(pd.DatetimeIndex(known["ds"]), shares)
    by_series = known.groupby("unique_id", sort=False)["ds"]
    old_enough = (by_series.transform("size") >= settings.lookback + settings.horizon) & (
        by_series.transform("min") <= train_end
    )
    if not old_enough.any():
        raise InputError(
            f"No series has enough rows up to {format_date(origin)} to train on; give more rows or fewer windows."
        )
    return type(model).from_settings(settings).fit(known[old_enough], split=shares)


def _forecast_from(model: RollingModel, frame: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """Return the forecasts that `model` makes at an origin, next to the observed values."""
    lookback = model.settings.lookback
    horizon = model.settings.horizon
    inputs = []
    outcomes = []
    for unique_id, rows in frame.groupby("unique_id", sort=False):
        known = int(pd.DatetimeIndex(rows["ds"]).searchsorted(origin, side="right"))
        if known < lookback or known + horizon > len(rows) or unique_id not in model.scalers:
            continue
        inputs.append(rows.iloc[max(0, known - max(model.context_rows, _DATES)) : known])
        outcome = rows.iloc[known : known + horizon][["unique_id", "ds", "y"]]
        outcomes.append(outcome.assign(cutoff=rows["ds"].iloc[known - 1], step=np.arange(horizon)))
    if not inputs:
        raise InputError(
            f"No series that the model knows has {lookback} rows up to {format_date(origin)} and {horizon} after it;"
            " give more rows or fewer windows."
        )
    predicted = model.predict(pd.concat(inputs, ignore_index=True))
    # An expected date may be a holiday: the k-th step is the k-th observed row.
    steps = predicted.drop(columns="ds").assign(step=predicted.groupby("unique_id").cumcount())
    both = pd.concat(outcomes).merge(steps, on=["unique_id", "step"], validate="one_to_one")
    return both[["unique_id", "ds", "cutoff", "y", *(name for name in steps if name not in ("unique_id", "step"))]]


def _warn_of_seen_rows(model: RollingModel, origin: pd.Timestamp) -> None:
    seen_until = pd.Timestamp(model.boundaries["validation_end"])
    if seen_until > origin:
        _LOGGER.warning(
            "The model was fitted on rows up to %s, so what it forecasts from %s on is no test of it; refit, or give"
            " fewer windows.",
            format_date(seen_until),
            format_date(origin),
        )

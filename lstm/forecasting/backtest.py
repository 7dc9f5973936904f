"""Rolling origins: forecasts of the past, each made from what was known at its time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from types import MappingProxyType
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import InputError
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sequences.sequences import Gaps
from gatecast.data.sequences.splits import SplitSettings
from gatecast.data.sequences.windows import FEWEST_KNOWN

__all__ = ["RollingModel", "cross_validation"]

_LOGGER = logging.getLogger(__name__)
# Enough dates to tell business days and months from a plain spacing.
_DATES = 64
_LATE = 0.25
"""Series that end within this last share of the time up to the first origin hold the trainings back to their own end"""


class RollingModel(Protocol):
    """What a backtest needs of a model; `lstm.forecasting.forecaster.Forecaster` is one."""

    settings: Any

    @classmethod
    def from_settings(cls, settings: Any) -> Self:
        """Make a model from its settings."""

    def fit(self, df: pd.DataFrame, split: SplitSettings, *, gaps: Gaps) -> Self:
        """Train on a long frame."""

    def predict(
        self, df: pd.DataFrame, *, level: Sequence[float] | None = None, quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """Forecast what follows each series of a long frame."""

    @property
    def context_rows(self) -> int:
        """Rows of a series that a forecast may depend on."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it was fitted on; empty before."""

    def ends(self, name: Literal["train_end", "validation_end"], unique_ids: Iterable[str]) -> pd.Series:
        """Return the last timestamp of training or validation for each of several series."""

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
    gaps: Gaps = "mask",
    asked: Mapping[str, Any] = MappingProxyType({}),
) -> pd.DataFrame:
    """Forecast from each of the last origins of a long frame, as `Forecaster.cross_validation` describes.

    Parameters
    ----------
    model, df, n_windows, step_size, refit
        See there.
    split : SplitSettings, optional
        Which share of the known rows of each series decides when training stops; by default the last tenth. Nothing is
        held back for a test, since the test is what follows the origin.
    on_window : callable, optional
        Called with the number of origins that are done, after each.
    only : range, optional
        Numbers of the origins to forecast from, 0 the oldest; all of them by default. It begins with a number at which
        the model is fitted.
    gaps : {"mask", "keep"}
        Put rows that are missing on the calendar of a series in, or take the rows around a gap for neighbours.
    asked : mapping
        Options of `predict`: ``level`` and ``quantiles``.
    """
    frame = validate_series(df, "The series frame")
    if gaps == "mask":
        frame = regular_frame(frame).frame
    settings = model.settings
    windows = _Windows.of(frame, _lookback(settings), settings.horizon, n_windows, step_size)
    every = int(refit)
    fitted = model if model.columns and not every else None
    if fitted is not None:
        _warn_of_seen_rows(fitted, windows)
    else:
        windows.warn_of_ended()
    parts = []
    chosen = range(n_windows) if only is None else only
    for done, number in enumerate(chosen, 1):
        if fitted is None or (every and number % every == 0):
            known, origin = windows.known(number)
            fitted = _fit(model, frame[known], origin, split)
        parts.append(_forecast_from(fitted, frame, windows, number, asked))
        if on_window is not None:
            on_window(done)
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True, eq=False)
class _Windows:
    """The last windows of each series, counted in its own rows, whatever the clocks of the others are.

    Attributes
    ----------
    unique_ids : array of object, (n_series,)
    times : datetime64[ns], (rows,)
        Of the frame, in UTC if there is a time zone.
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    ends : int64, (n_windows, n_series)
        The row after the last one that is known in a window; not after `offsets` if the series has no such row.
    goes_on : bool, (n_series,)
        Series that have not ended long before the first origin of others; the trainings wait for these.
    timezone : tzinfo or None
    """

    unique_ids: np.ndarray
    times: np.ndarray
    offsets: np.ndarray
    ends: np.ndarray
    goes_on: np.ndarray
    timezone: tzinfo | None

    @classmethod
    def of(cls, frame: pd.DataFrame, lookback: int, horizon: int, n_windows: int, step_size: int) -> _Windows:
        """Find them in a valid series frame."""
        for name, value in (("n_windows", n_windows), ("step_size", step_size)):
            if value < 1:
                raise InputError(f"{name} is {value}, but has to be at least 1; choose another.")
        codes, unique_ids = pd.factorize(frame["unique_id"])
        lengths = np.bincount(codes)
        needed = lookback + horizon + (n_windows - 1) * step_size
        if lengths.max() < needed:
            raise InputError(
                f"The {lengths.max()} timestamps are too few for {n_windows} windows {step_size} apart with lookback"
                f" {lookback} and horizon {horizon}, which take {needed}; give more rows or choose fewer windows."
            )
        ds = pd.DatetimeIndex(frame["ds"])
        times = ds.as_unit("ns").tz_localize(None) if ds.tz is None else ds.as_unit("ns").tz_convert(None)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ends = offsets[1:] - horizon - step_size * np.arange(n_windows)[::-1, None]
        whole = ends[0] > offsets[:-1]
        latest = times.to_numpy()[ends[0, whole] - 1].max()
        goes_on = times.to_numpy()[offsets[1:] - 1] > latest - _LATE * (latest - times.to_numpy().min())
        return cls(np.asarray(unique_ids, dtype=object), times.to_numpy(), offsets, ends, goes_on, ds.tz)

    @property
    def first(self) -> pd.Series:
        """The earliest origin of each series that has one, by its name."""
        exists = self.ends[0] > self.offsets[:-1]
        origins = pd.DatetimeIndex(self.times[self.ends[0, exists] - 1])
        if self.timezone is not None:
            origins = origins.tz_localize("UTC").tz_convert(self.timezone)
        return pd.Series(origins, index=self.unique_ids[exists])

    def known(self, number: int) -> tuple[np.ndarray, pd.Timestamp]:
        """Return which rows a training at a window may see, and until when they go.

        All series stop at the earliest origin of the window, so that none tells what is ahead of another.
        """
        exists = (self.ends[number] > self.offsets[:-1]) & self.goes_on
        last = self.times[self.ends[number, exists] - 1].min()
        row = np.arange(len(self.times))
        own_end = np.repeat(self.ends[number], np.diff(self.offsets))
        return (self.times <= last) & (row < own_end), self._moment(last)

    def _origins(self, number: int) -> np.ndarray:
        exists = self.ends[number] > self.offsets[:-1]
        return self.times[self.ends[number, exists] - 1]

    def last(self, number: int) -> pd.Timestamp:
        """Return the latest origin of a window."""
        return self._moment(self._origins(number).max())

    def warn_of_ended(self) -> None:
        """Tell of series that no model can be trained for that knows nothing of what follows."""
        if not self.goes_on.all():
            _LOGGER.warning(
                "%d of %d series, such as %s, end long before the windows of others begin, so the models that forecast"
                " them have seen later rows of those others.",
                np.sum(~self.goes_on),
                len(self.goes_on),
                self.unique_ids[int(np.argmin(self.goes_on))],
            )

    def _moment(self, time: np.datetime64) -> pd.Timestamp:
        moment = pd.Timestamp(time)
        return moment if self.timezone is None else moment.tz_localize("UTC").tz_convert(self.timezone)


def _lookback(settings: Any) -> int:
    """Return the rows of a window; a lookback that the data choose is one that they have."""
    return FEWEST_KNOWN if settings.lookback == "auto" else settings.lookback


def _fit(model: Model, known: pd.DataFrame, origin: pd.Timestamp, split: SplitSettings | None) -> Model:
    """Train a model with the settings of `model` on what was known at an origin; `model` stays as it is."""
    settings = model.settings
    share = split.validation_fraction if split else SplitSettings().validation_fraction
    shares = SplitSettings(validation_fraction=share, test_fraction=0, purge=split.purge if split else 1)
    if known["unique_id"].value_counts().max() < _lookback(settings) + settings.horizon:
        raise InputError(
            f"No series has enough rows up to {format_date(origin)} to train on; give more rows or fewer windows."
        )
    return type(model).from_settings(settings).fit(known, split=shares, gaps="keep")


def _forecast_from(
    model: RollingModel, frame: pd.DataFrame, windows: _Windows, number: int, asked: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the forecasts that `model` makes at the origins of a window, next to the observed values."""
    horizon = model.settings.horizon
    ends = windows.ends[number]
    begins = windows.offsets[:-1]
    is_known = np.array([unique_id in model.scalers for unique_id in windows.unique_ids])
    chosen = np.flatnonzero((ends - begins >= FEWEST_KNOWN) & is_known)
    if not len(chosen):
        until = format_date(windows.last(number))
        raise InputError(
            f"No series that the model knows has {FEWEST_KNOWN} rows up to {until} and {horizon} after it; give more"
            " rows or fewer windows."
        )
    rows = max(model.context_rows, _DATES)
    inputs = [np.arange(max(begins[series], ends[series] - rows), ends[series]) for series in chosen]
    predicted = model.predict(frame.iloc[np.concatenate(inputs)], **asked)
    # An expected date may be a holiday: the k-th step is the k-th observed row.
    outcome = frame[["unique_id", "ds", "y"]].iloc[(ends[chosen][:, None] + np.arange(horizon)).ravel()]
    cutoff = frame["ds"].iloc[np.repeat(ends[chosen] - 1, horizon)].array
    outcome = outcome.assign(cutoff=cutoff, step=np.tile(np.arange(horizon), len(chosen)))
    steps = predicted.drop(columns="ds").assign(step=predicted.groupby("unique_id").cumcount())
    both = outcome[outcome["y"].notna()].merge(steps, on=["unique_id", "step"], validate="one_to_one")
    return both[["unique_id", "ds", "cutoff", "y", *(name for name in steps if name not in ("unique_id", "step"))]]


def _warn_of_seen_rows(model: RollingModel, windows: _Windows) -> None:
    origins = windows.first
    origins = origins[[unique_id in model.scalers for unique_id in origins.index]]
    seen_until = model.ends("validation_end", origins.index)
    seen = origins[(seen_until > origins).to_numpy()]
    if len(seen):
        _LOGGER.warning(
            "The model was fitted on rows up to %s, so what it forecasts from %s on is no test of it; refit, or give"
            " fewer windows.",
            format_date(seen_until[seen.index].max()),
            format_date(seen.min()),
        )

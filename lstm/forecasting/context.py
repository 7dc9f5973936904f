"""The end of every series, scaled: what a fitted forecaster needs to predict what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import find_schedules
from gatecast.data.dates.periods import dates_after
from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.schedules import Schedule, from_dict
from gatecast.data.sequences.latest import frame_of_columns, scale_frame
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sequences.scaling import Scaler, ScalerKind
from gatecast.data.sequences.sequences import Gaps, Sequences

__all__ = ["Context"]

# Enough dates to see whether a series still follows its schedule, and which holidays it keeps.
_DATES = 64
_FOUND = DateRules()


@dataclass(frozen=True, eq=False)
class Context:
    """The last rows of several series, one series after another.

    Attributes
    ----------
    unique_ids : tuple of str, (n_series,)
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    values : float32, (rows, n_columns)
        Scaled; column 0 is the target. NaN where a value is missing.
    ds : datetime64[ns], (rows,)
        In UTC if there is a time zone.
    timezone : str or None
    schedules : tuple of Schedule
        When rows come, found from all rows of the series.
    schedule : int64, (n_series,)
        Which of them each series follows.
    scalers : tuple of Scaler, (n_series,)
    rules : DateRules
        What was said of the dates.
    gaps : {"mask", "keep"}
        Whether rows that are missing are put in where another frame is continued.
    """

    unique_ids: tuple[str, ...]
    offsets: np.ndarray
    values: np.ndarray
    ds: np.ndarray
    timezone: str | None
    schedules: tuple[Schedule, ...]
    schedule: np.ndarray
    scalers: tuple[Scaler, ...]
    rules: DateRules = _FOUND
    gaps: Gaps = "keep"

    @classmethod
    def of_sequences(cls, sequences: Sequences, rows: int, rules: DateRules = _FOUND) -> Context:
        """Keep the last `rows` rows of each series, or more if the dates need them."""
        offsets = sequences.offsets
        schedules = find_schedules(sequences.ds, offsets, sequences.timezone, rules)
        whole = cls(
            sequences.unique_ids, offsets, sequences.values, sequences.ds, sequences.timezone, *schedules,
            sequences.scalers, rules, sequences.settings.gaps,
        )  # fmt: skip
        return whole._tail(max(rows, _DATES))

    @classmethod
    def of_frame(
        cls,
        frame: pd.DataFrame,
        columns: Sequence[str],
        scalers: Mapping[str, Scaler],
        rows: int,
        former: Context | None = None,
        kind: ScalerKind | None = None,
    ) -> Context:
        """Scale a series frame as a model was trained to see it, and keep the last `rows` rows of each series.

        A series of `former` keeps its schedule if the rows still follow it: they may be too few to find it in. One that
        the model was not trained on is scaled by its own rows, with a scaler of `kind`. Series with less than two known
        values are left out, with a warning.

        Raises
        ------
        InputError
            A column is missing, a row is wrong, or no series is left.
        """
        frame = frame_of_columns(frame, columns)
        rules, gaps, known = (_FOUND, "keep", ()) if former is None else (former.rules, former.gaps, former.schedules)
        places = {} if former is None else dict(zip(former.unique_ids, former.schedule.tolist(), strict=True))
        if gaps == "mask":
            frame = regular_frame(frame, rules, known, places).frame
        unique_ids, offsets, values, ds, timezone, own = scale_frame(frame, columns, scalers, kind)
        numbers = np.array([places.get(unique_id, -1) for unique_id in unique_ids]) if places else None
        schedules = find_schedules(ds, offsets, timezone, rules, known, numbers)
        return cls(unique_ids, offsets, values, ds, timezone, *schedules, own, rules, gaps)._tail(max(rows, _DATES))

    def rows_of(self, series: int) -> np.ndarray:
        """Return the scaled rows of one series, (rows, n_columns)."""
        return self.values[self.offsets[series] : self.offsets[series + 1]]

    def next_rows(self, count: int) -> pd.DataFrame:
        """Return ``unique_id`` and ``ds`` of the `count` rows that follow each series."""
        last = self.offsets[1:] - 1
        before = np.maximum(last - 1, self.offsets[:-1])
        ends = self._dates(np.concatenate([last, before]))
        dates = dates_after(ends[: len(last)], ends[len(last) :], self.schedules, self.schedule, count)
        return pd.DataFrame({"unique_id": np.repeat(np.array(self.unique_ids, dtype=object), count), "ds": dates})

    def next_dates(self, series: int, count: int) -> pd.DatetimeIndex:
        """Return the `count` timestamps that follow a series."""
        ds = self.dates_of(series)[-2:]
        return dates_after(ds[-1:], ds[:1], self.schedules, self.schedule[series : series + 1], count)

    def dates_of(self, series: int) -> pd.DatetimeIndex:
        """Return the timestamps of one series, in its time zone."""
        return self._dates(np.arange(self.offsets[series], self.offsets[series + 1]))

    def _dates(self, rows: np.ndarray) -> pd.DatetimeIndex:
        ds = pd.DatetimeIndex(self.ds[rows])
        return ds if self.timezone is None else ds.tz_localize("UTC").tz_convert(self.timezone)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a safetensors file can hold; the rest is in `to_dict`."""
        return {
            "values": self.values, "ds": self.ds.astype(np.int64), "offsets": self.offsets, "schedule": self.schedule,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the names, the time zone, and what is known of the dates, as JSON values."""
        return {
            "unique_ids": list(self.unique_ids),
            "timezone": self.timezone,
            "schedules": [schedule.to_dict() for schedule in self.schedules],
            "rules": asdict(self.rules),
            "gaps": self.gaps,
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        scalers: Mapping[str, Scaler],
        unique_ids: Sequence[str],
        timezone: str | None,
        schedules: Sequence[Mapping[str, Any]] | None = None,
        rules: Mapping[str, Any] | None = None,
        gaps: Gaps = "keep",
    ) -> Context:
        """Undo `to_arrays` and `to_dict`; the schedules of a model that was saved without are found in its rows."""
        if not set(unique_ids) <= set(scalers):
            raise ValueError("a series has no scaler")
        own = tuple(scalers[unique_id] for unique_id in unique_ids)
        ds = arrays["ds"]
        offsets = arrays["offsets"]
        values = arrays["values"]
        fits = (
            (ds.shape, offsets.shape, values.ndim) == ((len(values),), (len(unique_ids) + 1,), 2)
            and (ds.dtype, offsets.dtype, values.dtype) == (np.int64, np.int64, np.float32)
            and (offsets[0], offsets[-1]) == (0, len(values))
            and bool((np.diff(offsets) > 0).all())
        )
        if not fits:
            raise ValueError("its last rows do not fit together")
        dates = ds.astype("datetime64[ns]")
        said = DateRules(**{**(rules or {}), "closed": tuple((rules or {}).get("closed", ()))})
        if schedules is None:
            found = find_schedules(dates, offsets, timezone, said)
            return cls(tuple(unique_ids), offsets, values, dates, timezone, *found, own, said, gaps)
        known = tuple(map(from_dict, schedules))
        number = arrays["schedule"]
        if number.shape != (len(unique_ids),) or number.dtype != np.int64:
            raise ValueError("its schedules do not fit its series")
        if number.min() < 0 or number.max() >= len(known):
            raise ValueError("a series has no schedule")
        return cls(tuple(unique_ids), offsets, values, dates, timezone, known, number, own, said, gaps)

    def _tail(self, rows: int) -> Context:
        """Keep the last `rows` rows of each series."""
        lengths = np.minimum(np.diff(self.offsets), rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        kept = np.arange(offsets[-1]) + np.repeat(self.offsets[1:] - offsets[1:], lengths)
        return replace(self, offsets=offsets, values=self.values[kept], ds=self.ds[kept])

"""Rows that are missing in a series: put in where its own calendar has a date and the data has none.

A model counts rows: without them, the rows around a gap would be consecutive steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import find_schedules
from gatecast.data.dates.periods import dates_after
from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.schedules import DAY, WEEK, Schedule, Weekly
from gatecast.data.frames import series_of, utc

__all__ = ["Regular", "regular_frame"]

_FITTING = 0.75
"""A series has a calendar if this share of its rows are on dates that it foretells"""
_MOST = 3
"""A series stays as it is if its calendar would have more than this many times its rows"""
_FIRST_SLOTS = 4
_TIMES_MORE = 8
_SLOTS_AT_ONCE = 1 << 20
_SETTLED = 8 * WEEK
"""A day or hour that a series has only later than this, or no more for so long, is not missing before or after"""
_FOUND = DateRules()


class Regular(NamedTuple):
    """A series frame on the calendars of its series.

    Attributes
    ----------
    frame : DataFrame
        The frame, with a row of NaN for each date that is missing between the first and the last row of a series; the
        same object if none is.
    inserted : int
        How many rows that are.
    series : int
        In how many series.
    sparse : tuple of str
        Series that stay as they are, since their calendar would have more than three times as many rows.
    """

    frame: pd.DataFrame
    inserted: int = 0
    series: int = 0
    sparse: tuple[str, ...] = ()


def regular_frame(
    frame: pd.DataFrame,
    rules: DateRules = _FOUND,
    known: Sequence[Schedule] = (),
    numbers: Mapping[str, int] | None = None,
) -> Regular:
    """Put in the rows that are missing between the first and the last of each series.

    Series whose rows keep no calendar stay as they are, and no row is removed.

    Parameters
    ----------
    frame : DataFrame
        As `data.quality.series.validate_series` returns it.
    rules : DateRules
        What is said of the dates.
    known : sequence of Schedule
        Schedules from before, found from more rows.
    numbers : mapping of unique_id to int, optional
        Which of them a series follows; that of a series without one is found.
    """
    unique_ids, offsets = series_of(frame)
    lengths = np.diff(offsets)
    has_steps = lengths > 1
    if not has_steps.any():
        return Regular(frame)
    ds = pd.DatetimeIndex(frame["ds"])
    of_row = np.repeat(np.arange(len(lengths)), lengths)
    schedule = np.array([(numbers or {}).get(unique_id, -1) for unique_id in unique_ids])
    unknown = has_steps & (schedule < 0)
    timezone = None if ds.tz is None else str(ds.tz)
    found, chosen = find_schedules(
        utc(ds[unknown[of_row]]), np.concatenate([[0], np.cumsum(lengths[unknown])]), timezone, rules
    )
    schedule[unknown] = chosen + len(known)
    schedules = (*known, *found)
    gaps = _Gaps(ds, offsets, of_row, schedules, schedule)
    new, series = gaps.missing()
    is_fitting = gaps.fitting >= _FITTING * (lengths - 1)
    is_sparse = is_fitting & (gaps.is_endless | (np.bincount(series, minlength=len(lengths)) > (_MOST - 1) * lengths))
    sparse = tuple(unique_ids[number] for number in np.flatnonzero(is_sparse))
    wanted = (is_fitting & ~is_sparse)[series]
    if not wanted.any():
        return Regular(frame, sparse=sparse)
    series = series[wanted]
    added = _in_zone(new[wanted], ds)
    rows = pd.DataFrame({"unique_id": np.array(unique_ids, dtype=object)[series], "ds": added})
    both = pd.concat([frame, rows.astype({"unique_id": frame["unique_id"].dtype})], ignore_index=True)
    order = np.lexsort([utc(pd.DatetimeIndex(both["ds"])), np.concatenate([of_row, series])])
    both = both.take(order).reset_index(drop=True)
    return Regular(both[list(frame.columns)], len(rows), len(np.unique(series)), sparse)


class _Gaps:
    """The steps of all series, and which of them are longer than their schedules say.

    Parameters
    ----------
    ds : DatetimeIndex, (rows,)
    offsets : int64, (n_series + 1,)
    of_row : int64, (rows,)
        The series of each row.
    schedules, schedule
        As `find_schedules` returns them.
    """

    def __init__(
        self,
        ds: pd.DatetimeIndex,
        offsets: np.ndarray,
        of_row: np.ndarray,
        schedules: Sequence[Schedule],
        schedule: np.ndarray,
    ):
        """Compare each row with the date that follows the row before."""
        self.ds = ds
        self.offsets = offsets
        self.of_row = of_row
        self.schedules = schedules
        self.schedule = schedule
        before = np.flatnonzero(of_row[:-1] == of_row[1:])
        is_next = np.zeros(len(before), bool)
        is_long = np.zeros(len(before), bool)
        for first in range(0, len(before), _SLOTS_AT_ONCE):
            part = slice(first, first + _SLOTS_AT_ONCE)
            slot = self._keys(self._slots(before[part], 1), of_row[before[part]])[:, 0]
            following = self._keys(ds[before[part] + 1], of_row[before[part]])[:, 0]
            is_next[part] = slot == following
            is_long[part] = slot < following
        self.long = before[is_long]
        """The rows before the gaps"""
        self.fitting = np.bincount(of_row[before[is_next]], minlength=len(schedule))
        """How many rows of each series are on dates that the row before foretells, (n_series,)"""
        self.is_endless = np.zeros(len(schedule), bool)
        """Whether a gap of a series is longer than could ever be filled, (n_series,)"""

    def missing(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the missing timestamps in UTC, int64, and the series of each; count rows that end gaps as fitting."""
        times: list[np.ndarray] = [np.zeros(0, np.int64)]
        series: list[np.ndarray] = [np.zeros(0, np.int64)]
        rows = self.long
        count = _FIRST_SLOTS
        while len(rows):
            open_ended = [rows[:0]]
            for first in range(0, len(rows), max(1, _SLOTS_AT_ONCE // count)):
                part = rows[first : first + max(1, _SLOTS_AT_ONCE // count)]
                slots = self._slots(part, count)
                keys = self._keys(slots, self.of_row[part])
                end = self._keys(self.ds[part + 1], self.of_row[part])
                is_closed = keys[:, -1] >= end[:, 0]
                open_ended.append(part[~is_closed])
                is_missing = self._is_missing(keys[is_closed], end[is_closed])
                of_slot = np.repeat(self.of_row[part[is_closed]], is_missing.sum(axis=1))
                times.append(_utc(slots).reshape(-1, count)[is_closed][is_missing])
                series.append(of_slot)
                exact = (keys[is_closed] == end[is_closed]).any(axis=1)
                np.add.at(self.fitting, self.of_row[part[is_closed]], exact)
            rows = np.concatenate(open_ended)
            is_hopeless = count > _MOST * np.diff(self.offsets)[self.of_row[rows]]
            self.is_endless[self.of_row[rows[is_hopeless]]] = True
            np.add.at(self.fitting, self.of_row[rows[is_hopeless]], 1)
            rows = rows[~is_hopeless]
            count *= _TIMES_MORE
        return self._while_open(np.concatenate(times), np.concatenate(series))

    @staticmethod
    def _is_missing(keys: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Tell which slots come before the row that ends a gap, but for one that the row, being near, stands for."""
        is_before = keys < end
        exact = (keys == end).any(axis=1)
        last = is_before.sum(axis=1) - 1
        rows = np.arange(len(keys))
        after = keys[rows, last + 1]
        is_near = ~exact & (last >= 0) & (end[:, 0] - keys[rows, last] < after - end[:, 0])
        is_before[rows[is_near], last[is_near]] = False
        return is_before

    def _while_open(self, times: np.ndarray, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Leave out days and hours of the week that a series had not yet, or has no more."""
        weekly = np.array([isinstance(schedule, Weekly) for schedule in self.schedules])[self.schedule]
        if not len(times) or not weekly[series].any():
            return times, series
        span = [self._seen(self.ds, self.of_row), self._seen(_in_zone(times, self.ds), series)]
        observed = span[0][weekly[self.of_row]].groupby(["series", "slot"])["time"].agg(["min", "max"])
        slots = span[1].join(observed, on=["series", "slot"])
        begin = self._ends(self.offsets[:-1])[series]
        end = self._ends(self.offsets[1:] - 1)[series]
        time = slots["time"].to_numpy()
        # What never came would begin after the last row.
        opened = np.where(slots["min"].isna(), end + 1, slots["min"])
        closed = np.where(slots["max"].isna(), end, slots["max"])
        is_early = (time < opened) & (opened - begin > _SETTLED)
        is_late = (time > closed) & (end - closed > _SETTLED)
        is_open = ~weekly[series] | ~(is_early | is_late)
        return times[is_open], series[is_open]

    def _ends(self, rows: np.ndarray) -> np.ndarray:
        return self.ds[rows].as_unit("ns").tz_localize(None).asi8

    def _seen(self, ds: pd.DatetimeIndex, series: np.ndarray) -> pd.DataFrame:
        time = ds.as_unit("ns").tz_localize(None).asi8
        slot = self._keys(ds, series, local=True)[:, 0] % WEEK
        return pd.DataFrame({"series": series, "slot": slot, "time": time})

    def _slots(self, rows: np.ndarray, count: int) -> pd.DatetimeIndex:
        """Return the `count` dates that follow each of the rows."""
        before = np.where(rows > self.offsets[self.of_row[rows]], rows - 1, rows)
        return dates_after(self.ds[rows], self.ds[before], self.schedules, self.schedule[self.of_row[rows]], count)

    def _keys(self, ds: pd.DatetimeIndex, series: np.ndarray, local: bool = False) -> np.ndarray:
        """Return what tells dates apart, int64 (n, -1): the day where a row stands for a day, else the moment."""
        of_days = np.array([schedule.is_of_days for schedule in self.schedules])[self.schedule[series]]
        clock = ds.as_unit("ns").tz_localize(None).asi8.reshape(len(series), -1)
        moment = clock if local else _utc(ds).reshape(len(series), -1)
        return np.where(of_days[:, None], clock - clock % DAY, moment)


def _utc(ds: pd.DatetimeIndex) -> np.ndarray:
    return ds.as_unit("ns").asi8


def _in_zone(utc_times: np.ndarray, like: pd.DatetimeIndex) -> pd.DatetimeIndex:
    ds = pd.DatetimeIndex(utc_times.astype("datetime64[ns]"))
    return ds if like.tz is None else ds.tz_localize("UTC").tz_convert(like.tz)

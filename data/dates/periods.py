"""The step between the timestamps of a series: how long it is, what it is called, and which timestamps come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo

import numpy as np
import pandas as pd

from gatecast.data.dates.calendar import infer_calendar
from gatecast.data.dates.inference import BUSINESS_DAYS, find_monthly, find_schedule, usual_step
from gatecast.data.dates.schedules import Plain, Schedule, Weekly
from gatecast.data.dates.timestamps import DAY
from gatecast.data.errors import InputError

__all__ = ["dates_after", "infer_schedule", "next_dates", "period_name", "schedule_of", "spacing", "with_holidays"]

MONTH = pd.Timedelta(days=30.4375)
_DAY = DAY.value
_SPARE = 4
"""Slots more than asked for, for those that clocks skip"""


def spacing(ds: pd.DatetimeIndex) -> pd.Timedelta:
    """Return the most frequent step between neighbouring timestamps, the shortest where several are.

    Steps of whole days are those of the local calendar, whatever the clocks did in between, and those of rows that come
    once a day at any time.

    Raises
    ------
    InputError
        Fewer than two timestamps.
    """
    return pd.Timedelta(_step(_utc(ds), _local(ds)), unit="ns")


def _step(utc: np.ndarray, local: np.ndarray) -> int:
    if len(utc) < 2:
        raise InputError(f"{len(utc)} timestamp has no spacing; give at least 2 rows.")
    step = usual_step(local)
    if step >= _DAY and not step % _DAY:
        return step
    # One row a day, whenever it comes: moments that hardly ever repeat a step have no other one.
    days = local // _DAY
    day_step = usual_step(days)
    half = (len(days) - 1) / 2
    if day_step and np.sum(np.diff(local) == step) < half <= np.sum(np.diff(days) == day_step) and np.diff(days).all():
        return day_step * _DAY
    return usual_step(utc)


def infer_schedule(ds: pd.DatetimeIndex) -> Schedule:
    """Return the schedule that the timestamps of a series follow.

    Open days and hours of the week, days of the month, and business days with the holidays of an exchange (see
    `data.dates.calendar.infer_calendar`) are found from all timestamps together; what is missing among them does not
    matter. Too few timestamps, and those without such an order, are at their most frequent spacing.

    Parameters
    ----------
    ds : DatetimeIndex
        Ascending timestamps of one series.

    Raises
    ------
    InputError
        Fewer than two timestamps.
    """
    return schedule_of(_utc(ds), _local(ds))


def schedule_of(utc: np.ndarray, local: np.ndarray) -> Schedule:
    """Return the same for timestamps in nanoseconds, int64, in UTC and on the local clock."""
    return with_holidays(find_schedule(local, _step(utc, local)), local)


def with_holidays(schedule: Schedule, local: np.ndarray) -> Schedule:
    """Add the exchange whose holidays the rows keep to a schedule of business days, if there is one."""
    if not isinstance(schedule, Weekly) or schedule.calendar is not None or schedule.days != BUSINESS_DAYS:
        return schedule
    days = local // _DAY
    if not schedule.is_of_days:
        days = np.unique(days)
    return replace(schedule, calendar=infer_calendar(pd.DatetimeIndex((days * _DAY).astype("datetime64[ns]"))))


def next_dates(ds: pd.DatetimeIndex, count: int, schedule: Schedule | None = None) -> pd.DatetimeIndex:
    """Return the `count` timestamps that follow the last one.

    Parameters
    ----------
    ds : DatetimeIndex
        Ascending timestamps of one series.
    count : int
        How many to return.
    schedule : Schedule, optional
        When rows come; by default what `infer_schedule` finds.
    """
    schedule = schedule or infer_schedule(ds)
    return dates_after(ds[-1:], ds[-2:-1] if len(ds) > 1 else ds[-1:], [schedule], np.zeros(1, np.int64), count)


def dates_after(
    last: pd.DatetimeIndex,
    before: pd.DatetimeIndex,
    schedules: Sequence[Schedule],
    schedule: np.ndarray,
    count: int,
) -> pd.DatetimeIndex:
    """Return the timestamps that follow each of several series, all series of one schedule at once.

    Parameters
    ----------
    last, before : DatetimeIndex, (n,)
        The last timestamp of each series, and the one before it.
    schedules : sequence of Schedule
    schedule : int64, (n,)
        Which of them each series follows.
    count : int
        How many to return of each.

    Returns
    -------
    DatetimeIndex, (n * count,)
        One series after another, in the time zone of `last`.
    """
    timezone = last.tz
    found = np.empty((len(last), count), np.int64)
    for number in np.unique(schedule):
        rows = np.flatnonzero(schedule == number)
        found[rows] = _after(last[rows], before[rows], schedules[number], count, timezone)
    utc = pd.DatetimeIndex(found.ravel().astype("datetime64[ns]"))
    return utc if timezone is None else utc.tz_localize("UTC").tz_convert(timezone)


def _after(
    last: pd.DatetimeIndex, before: pd.DatetimeIndex, schedule: Schedule, count: int, timezone: tzinfo | None
) -> np.ndarray:
    """Return what follows in UTC, (n, count)."""
    if isinstance(schedule, Plain) and not schedule.is_of_days:
        return schedule.following(_utc(last), count)
    local = _local(last)
    if schedule.is_of_days:
        midnight = local - local % _DAY
        days = schedule.following(midnight, count)
        return _in_zone(days + _time_of_day(last, before, timezone)[:, None], timezone)
    if timezone is None:
        return schedule.following(local, count)
    # Slots that clocks skip become one with the next.
    times = _in_zone(schedule.following(local, count + _SPARE), timezone)
    is_new = np.diff(times, axis=1, prepend=_utc(last)[:, None]) > 0
    chosen = np.argsort(~is_new, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(times, chosen, axis=1)


def _time_of_day(last: pd.DatetimeIndex, before: pd.DatetimeIndex, timezone: tzinfo | None) -> np.ndarray:
    """Return the local time of the last row, or of the row before where that is what clocks skipped on the last day."""
    local = _local(last)
    time = local % _DAY
    if timezone is None:
        return time
    time_before = _local(before) % _DAY
    return np.where(_in_zone(local - time + time_before, timezone) == _utc(last), time_before, time)


def _in_zone(local: np.ndarray, timezone: tzinfo | None) -> np.ndarray:
    """Turn local times into UTC: the first of two, or the next if clocks skip one."""
    if timezone is None:
        return local
    flat = pd.DatetimeIndex(local.ravel().astype("datetime64[ns]"))
    first = np.ones(len(flat), dtype=bool)
    return _utc(flat.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")).reshape(local.shape)


def _utc(ds: pd.DatetimeIndex) -> np.ndarray:
    return ds.as_unit("ns").asi8


def _local(ds: pd.DatetimeIndex) -> np.ndarray:
    return ds.as_unit("ns").tz_localize(None).asi8


def period_name(ds: pd.DatetimeIndex) -> str:
    """Name the spacing of a series in a word: hourly, daily, weekly, monthly, or for example "15-minute"."""
    step = spacing(ds)
    monthly = find_monthly(_local(ds) // _DAY, step.value)
    if monthly is not None:
        months = {1: "monthly", 3: "quarterly", 6: "half-yearly", 12: "yearly"}
        return months.get(monthly.months, f"{monthly.months}-month")
    names = {pd.Timedelta(hours=1): "hourly", DAY: "daily", 7 * DAY: "weekly"}
    whole = f"{step // DAY}-day" if not step % DAY else f"{step.total_seconds() / 60:g}-minute"
    return names.get(step, whole)

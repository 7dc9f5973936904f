"""Timestamps: reading them, the step between them, and the ones that come next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta, tzinfo
from functools import partial

import numpy as np
import pandas as pd

from data.errors import InputError

DAY = pd.Timedelta(days=1)
MONTH = pd.Timedelta(days=30.4375)
_FITTING = 0.75
"""A rule for the day of the month holds where this share of the days keep it; holidays move the others"""
OFFSET = r"(?:Z|[+-]\d\d:?\d\d)$"


def parse_dates(column: pd.Series) -> pd.Series:
    """Read timestamps, to the nanosecond; what cannot be read becomes NaT.

    Text has to be ISO 8601 (``2020-01-31``, ``2020-01-31 15:30``, ``2020-01-31T15:30:00-05:00``): 01/02/2020 is a
    different day on either side of the Atlantic. Midnights written with an offset, as Yahoo's daily bars are, are taken
    as plain dates; other times with an offset become UTC.

    Parameters
    ----------
    column : Series
        Timestamps, dates or text. Numbers are not dates.

    Returns
    -------
    Series of datetime64[ns], time zone kept where there is one
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = column
    elif pd.api.types.is_numeric_dtype(column):
        parsed = pd.Series(pd.NaT, index=column.index, dtype="datetime64[ns]")
    else:
        parsed = _parse_text(column.astype(str))
    representable = parsed.dt.year.between(1678, 2261)
    return parsed.where(representable).dt.as_unit("ns")


def _parse_text(text: pd.Series) -> pd.Series:
    has_offset = text.str.contains(":.*" + OFFSET)
    if not has_offset.any():
        return pd.to_datetime(text, format="ISO8601", errors="coerce")
    local = pd.to_datetime(text.str.replace(OFFSET, "", regex=True), format="ISO8601", errors="coerce")
    local = local.where(has_offset)
    if (local == local.dt.normalize()).all():
        return local
    return pd.to_datetime(text.where(has_offset), format="ISO8601", errors="coerce", utc=True)


def format_date(timestamp: pd.Timestamp) -> str:
    """Write a timestamp in ISO 8601, a midnight without its time."""
    if timestamp == timestamp.normalize() and timestamp.tz is None:
        return timestamp.date().isoformat()
    return timestamp.isoformat(sep=" ")


def start_of_day(day: date, timezone: tzinfo | str | None) -> pd.Timestamp:
    """Return the first instant of a day in a time zone (None: without one)."""
    return pd.Timestamp(day).tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")


def end_of_day(day: date, timezone: tzinfo | str | None) -> pd.Timestamp:
    """Return the first instant after a day in a time zone, 23 to 25 hours after its start where clocks change."""
    return start_of_day(day + timedelta(days=1), timezone)


def spacing(ds: pd.DatetimeIndex) -> pd.Timedelta:
    """Return the most frequent step between neighbouring timestamps, the shortest where several are.

    Steps of whole days are those of the local calendar, whatever the clocks did in between.

    Raises
    ------
    InputError
        Fewer than two timestamps.
    """
    if len(ds) < 2:
        raise InputError(f"{len(ds)} timestamp has no spacing; give at least 2 rows.")
    local = _most_frequent_step(ds.tz_localize(None))
    return local if local >= DAY and not local % DAY else _most_frequent_step(ds)


def _most_frequent_step(ds: pd.DatetimeIndex) -> pd.Timedelta:
    steps, counts = np.unique(np.diff(ds.as_unit("ns").asi8), return_counts=True)
    return pd.Timedelta(int(steps[np.argmax(counts)]), unit="ns")


def next_dates(ds: pd.DatetimeIndex, count: int) -> pd.DatetimeIndex:
    """Return the `count` timestamps that follow the last one.

    Daily data without a weekend go on over the sessions of the exchange whose holidays they keep (see
    `data.calendar.infer_calendar`), or over business days where there is none. Data a month or several apart go on by
    the calendar: on the last day of the month, a fixed day, or the last or first business day. Any other go on at their
    most frequent spacing, by local days where it is whole days.

    Parameters
    ----------
    ds : DatetimeIndex
        Ascending timestamps of one series.
    count : int
        How many to return.
    """
    step = spacing(ds)
    days = _next_days(ds.tz_localize(None).normalize(), step, count)
    if days is None:
        return pd.date_range(ds[-1], periods=count + 1, freq=step)[1:]
    return _in_zone(days.as_unit("ns") + _time_of_day(ds), ds.tz)


def _next_days(days: pd.DatetimeIndex, step: pd.Timedelta, count: int) -> pd.DatetimeIndex | None:
    """Return the days that follow, None where the step is no number of days."""
    rule = _month_rule(days, step)
    if rule is not None:
        between = pd.DateOffset(months=round(step / MONTH))
        return rule(pd.date_range(days[-1].replace(day=1), periods=count + 1, freq=between)[1:])
    if step % DAY:
        return None
    frequency: pd.Timedelta | pd.offsets.BaseOffset = step
    if step == DAY and (days.day_of_week < 5).all():
        following = _next_sessions(days, count)
        if len(following) == count:
            return following
        frequency = pd.offsets.BDay()
    return pd.date_range(days[-1], periods=count + 1, freq=frequency)[1:]


def _next_sessions(days: pd.DatetimeIndex, count: int) -> pd.DatetimeIndex:
    """Return the sessions that follow, of the exchange that the days follow; none where it is not known."""
    from data.calendar import infer_calendar, sessions

    name = infer_calendar(days)
    if name is None:
        return days[:0]
    # No exchange is closed for more than two weeks in a row.
    return sessions(name, days[-1] + DAY, days[-1] + (2 * count + 14) * DAY)[:count]


def _month_rule(days: pd.DatetimeIndex, step: pd.Timedelta) -> Callable[[pd.DatetimeIndex], pd.DatetimeIndex] | None:
    """Return what finds the day of a month, given its first, in data a number of months apart; None for other data."""
    months = round(step / MONTH)
    if not months or abs(step - months * MONTH) > 7 * DAY:
        return None
    firsts = days - pd.to_timedelta(days.day - 1, unit="D")
    if not firsts.is_unique:
        return None
    rules = (_last_day, partial(_fixed_day, day=days.day.max()), _last_business_day, _first_business_day)
    shares = [(rule(firsts) == days).mean() for rule in rules]
    if max(shares) >= _FITTING:
        return rules[int(np.argmax(shares))]
    # Every fourth week is no month, but days that keep neither a rule nor a number of days still come once a month.
    is_fixed = not (np.diff(days) % step).any()
    return None if is_fixed else partial(_fixed_day, day=days.day[-1])


def _last_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.MonthEnd(0)


def _fixed_day(firsts: pd.DatetimeIndex, day: int) -> pd.DatetimeIndex:
    """Return a day of each month, or its last where the month is shorter."""
    return firsts + pd.to_timedelta(np.minimum(firsts.days_in_month, day) - 1, unit="D")


def _last_business_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.BusinessMonthEnd(0)


def _first_business_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.BusinessMonthBegin(0)


def _in_zone(local: pd.DatetimeIndex, timezone: tzinfo | None) -> pd.DatetimeIndex:
    """Put local times into a time zone: the first of two, the next where clocks skip one."""
    return local.tz_localize(timezone, ambiguous=np.ones(len(local), dtype=bool), nonexistent="shift_forward")


def _time_of_day(ds: pd.DatetimeIndex) -> pd.Timedelta:
    """Return the local time of the last row, or of the row before where that is what clocks skipped on the last day."""
    local = ds[-2:].tz_localize(None)
    before, last = local - local.normalize()
    return before if _in_zone(local[-1:].normalize() + before, ds.tz)[0] == ds[-1] else last


def period_name(ds: pd.DatetimeIndex) -> str:
    """Name the spacing of a series in a word: hourly, daily, weekly, monthly, or for example "15-minute"."""
    step = spacing(ds)
    if _month_rule(ds.tz_localize(None).normalize(), step) is not None:
        months = round(step / MONTH)
        return {1: "monthly", 3: "quarterly", 6: "half-yearly", 12: "yearly"}.get(months, f"{months}-month")
    names = {pd.Timedelta(hours=1): "hourly", DAY: "daily", 7 * DAY: "weekly"}
    whole = f"{step // DAY}-day" if not step % DAY else f"{step.total_seconds() / 60:g}-minute"
    return names.get(step, whole)

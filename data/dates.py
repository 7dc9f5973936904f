"""Timestamps: reading them, the step between them, and the ones that come next."""

from __future__ import annotations

from datetime import date, timedelta, tzinfo

import numpy as np
import pandas as pd

from data.errors import InputError

DAY = pd.Timedelta(days=1)
MONTH = pd.Timedelta(days=30.4375)
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

    Raises
    ------
    InputError
        Fewer than two timestamps.
    """
    if len(ds) < 2:
        raise InputError(f"{len(ds)} timestamp has no spacing; give at least 2 rows.")
    steps, counts = np.unique(np.diff(ds.as_unit("ns").asi8), return_counts=True)
    return pd.Timedelta(int(steps[np.argmax(counts)]), unit="ns")


def next_dates(ds: pd.DatetimeIndex, count: int) -> pd.DatetimeIndex:
    """Return the `count` timestamps that follow the last one.

    Daily data without a weekend go on over the sessions of the exchange whose holidays they keep (see
    `data.calendar.infer_calendar`), or over business days where there is none; data of month ends, or of one day of the
    month, go on by the calendar; any other go on at their most frequent spacing.

    Parameters
    ----------
    ds : DatetimeIndex
        Ascending timestamps of one series.
    count : int
        How many to return.
    """
    step = spacing(ds)
    months = round(step / MONTH)
    frequency: pd.Timedelta | pd.offsets.BaseOffset = step
    if step == DAY and (ds.day_of_week < 5).all():
        following = _next_sessions(ds, count)
        if len(following) == count:
            return following
        frequency = pd.offsets.BDay()
    elif months and ds.is_month_end.all():
        frequency = pd.offsets.MonthEnd(months)
    elif months and (ds.day == ds.day[0]).all():
        frequency = pd.DateOffset(months=months)
    return pd.date_range(ds[-1], periods=count + 1, freq=frequency)[1:]


def _next_sessions(ds: pd.DatetimeIndex, count: int) -> pd.DatetimeIndex:
    """Return the sessions that follow, of the exchange that the days follow; none where it is not known."""
    from data.calendar import infer_calendar, sessions

    name = infer_calendar(ds)
    if name is None:
        return ds[:0]
    # No exchange is closed for more than two weeks in a row.
    last = ds[-1].tz_localize(None).normalize()
    found = sessions(name, last + DAY, last + (2 * count + 14) * DAY)[:count]
    return found.as_unit("ns").tz_localize(ds.tz)


def period_name(ds: pd.DatetimeIndex) -> str:
    """Name the spacing of a series in a word: hourly, daily, weekly, monthly, or for example "15-minute"."""
    step = spacing(ds)
    names = {pd.Timedelta(hours=1): "hourly", DAY: "daily", 7 * DAY: "weekly"}
    if 28 * DAY <= step <= 31 * DAY:
        return "monthly"
    return names.get(step, f"{step.total_seconds() / 60:g}-minute")

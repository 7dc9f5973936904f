"""The step between the timestamps of a series: how long it is, what it is called, and which timestamps come next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import partial

import numpy as np
import pandas as pd

from gatecast.data.dates.calendar import infer_calendar, sessions
from gatecast.data.dates.timestamps import DAY
from gatecast.data.errors import InputError

__all__ = ["next_dates", "period_name", "spacing"]

MONTH = pd.Timedelta(days=30.4375)
_FITTING = 0.75
"""A rule for the day of the month holds where this share of the days keep it; holidays move the others"""


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

    Daily data without weekends continue with the sessions of the exchange whose holidays they keep (see
    `data.dates.calendar.infer_calendar`), or with business days if no exchange is found. Data a month or several
    apart continue by the calendar: on the last day of the month, a fixed day, or the last or first business day. Other
    data continue at their most frequent spacing, by local days if it is whole days.

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
    """Return the days that follow, or None if the step is not a number of days."""
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
    """Return the sessions that follow, of the exchange that the days follow; empty if it is not known."""
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
    # Every fourth week is not a month, but days that keep neither a rule nor a number of days still come once a month.
    is_fixed = not (np.diff(days) % step).any()
    return None if is_fixed else partial(_fixed_day, day=days.day[-1])


def _last_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.MonthEnd(0)


def _fixed_day(firsts: pd.DatetimeIndex, day: int) -> pd.DatetimeIndex:
    """Return a day of each month, or its last day if the month is shorter."""
    return firsts + pd.to_timedelta(np.minimum(firsts.days_in_month, day) - 1, unit="D")


def _last_business_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.BusinessMonthEnd(0)


def _first_business_day(firsts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return firsts + pd.offsets.BusinessMonthBegin(0)


def _in_zone(local: pd.DatetimeIndex, timezone: tzinfo | None) -> pd.DatetimeIndex:
    """Put local times into a time zone: the first of two, or the next if clocks skip one."""
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

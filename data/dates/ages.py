"""How old data are, in rows: how many should have come since the last one, by the calendar of each series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import find_schedules, follow, local_times
from gatecast.data.dates.periods import dates_after
from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.schedules import DAY, Plain, Schedule
from gatecast.data.frames import series_of, utc

__all__ = ["NO_AGE", "Age", "age_of", "rows_overdue"]

USUAL_LIMIT = 5
"""Rows that may be overdue: a long holiday that no calendar knows is no alarm"""
USUAL_DAYS = 3
"""The same in days for rows that come more often, since many such sources deliver once a day"""
ENDED = 10
"""A series that is overdue by this many times the limit has ended, if others go on"""
SHARE = 0.9
"""Share of the series that have to be up to date; all of up to ten"""
MOST = 10_000
"""Overdue rows are counted up to this number"""
NAMED = 3
_FIRST = 4
_TIMES_MORE = 4
_STEPS = 64


@dataclass(frozen=True)
class Age:
    """How old the data of a source are.

    Attributes
    ----------
    overdue : int or None
        Rows that should have come since the last one, of the series that decides; None if that cannot be known.
    limit : int or None
        How many may be.
    is_stale : bool
        Whether more are, and somebody should look at it.
    late, ended : int
        Series that are over their limit: of those that go on, and those that have ended while others go on.
    sentence : str
        The same for people.
    """

    overdue: int | None
    limit: int | None
    is_stale: bool
    late: int
    ended: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


NO_AGE = Age(None, None, False, 0, 0, "")
"""Of data that are not expected to go on"""


def age_of(overdue: pd.DataFrame) -> Age:
    """Judge the age of a source by that of its series.

    One of a few series that is late makes the source stale, but not a few of many, which come to an end now and then.

    Parameters
    ----------
    overdue : DataFrame
        As `rows_overdue` returns it.
    """
    if overdue.empty:
        return NO_AGE
    share = (overdue["overdue"] / overdue["limit"]).to_numpy()
    is_late = share > 1
    goes_on = share <= ENDED
    if not goes_on.any():
        goes_on[:] = True
    order = np.flatnonzero(goes_on)[np.argsort(share[goes_on], kind="stable")]
    decisive = overdue.iloc[order[int(np.ceil(SHARE * (len(order) - 1)))]]
    rows = int(decisive["overdue"])
    limit = int(decisive["limit"])
    late = overdue.index[is_late & goes_on]
    ended = overdue.index[~goes_on]
    is_stale = rows > limit
    parts = []
    if is_stale:
        count = f"{rows:,} or more" if rows == MOST else f"{rows:,}"
        parts.append(f"old data: the last row is of {decisive['last']:%Y-%m-%d}, {count} are overdue")
    if 0 < len(late) < len(overdue):
        parts.append(f"{_named(late)} of {len(overdue):,} series late")
    if len(ended):
        parts.append(f"{_named(ended)} of {len(overdue):,} series ended earlier")
    return Age(rows, limit, is_stale, len(late), len(ended), "; ".join(parts))


def _named(names: pd.Index) -> str:
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names):,} ({', '.join(map(str, names[:NAMED]))}{more})"


def rows_overdue(frame: pd.DataFrame, rules: DateRules, now: pd.Timestamp, limit: int | None = None) -> pd.DataFrame:
    """Return how many rows of each series should have come by now.

    A row is due when the one after it begins, since a timestamp may be the beginning of what its row is about. Rows
    without a value of ``y`` do not count as having come. A series without a calendar is expected as often as in the
    longest of its last steps.

    Parameters
    ----------
    frame : DataFrame
        Valid bars or series frame, sorted by ``unique_id`` and ``ds``.
    rules : DateRules
        What is said of the dates.
    now : Timestamp
        In UTC; data without a time zone are taken to be in UTC as well.
    limit : int, optional
        How many may be overdue; by default 5, or those of 3 days if rows come more often than daily.

    Returns
    -------
    DataFrame
        ``last``, ``overdue`` and ``limit`` by ``unique_id``; series of a single row are left out.
    """
    ds = pd.DatetimeIndex(frame["ds"])
    timezone = None if ds.tz is None else str(ds.tz)
    names, offsets = series_of(frame)
    times = utc(ds)
    has_value = frame["y"].notna().to_numpy() if "y" in frame.columns else np.ones(len(frame), dtype=bool)
    # Before the first value of a series there is its first row.
    last = np.maximum.reduceat(np.where(has_value, np.arange(len(frame)), 0), offsets[:-1])
    last = np.maximum(last, offsets[:-1])
    kept = np.flatnonzero(np.diff(offsets) > 1)
    if not len(kept):
        return pd.DataFrame({"last": [], "overdue": [], "limit": []})
    of_row = np.repeat(np.arange(len(names)), np.diff(offsets))
    times = times[np.isin(of_row, kept)]
    bounds = np.concatenate([[0], np.cumsum(np.diff(offsets)[kept])])
    schedules, numbers = find_schedules(times, bounds, timezone, rules)
    local = local_times(times.view(np.int64), timezone)
    longest: list[Schedule] = []
    if rules.freq is None:
        for series in np.flatnonzero(~follow(local, bounds, schedules, numbers)):
            steps = np.diff(local[bounds[series] : bounds[series + 1]][-_STEPS:])
            numbers[series] = len(schedules) + len(longest)
            longest.append(Plain(int(steps.max())))
    found = (*schedules, *longest)
    at = last[kept]
    before = np.maximum(at - 1, offsets[kept])
    count = _overdue(ds[at], ds[before], found, numbers, now if ds.tz is not None else now.tz_localize(None))
    limits = np.array(
        [limit or _usual_limit(found[number], local[bounds[k] : bounds[k + 1]]) for k, number in enumerate(numbers)]
    )
    return pd.DataFrame(
        {"last": ds[at], "overdue": count, "limit": limits}, index=pd.Index([names[series] for series in kept])
    )


def _overdue(
    last: pd.DatetimeIndex,
    before: pd.DatetimeIndex,
    schedules: Sequence[Schedule],
    numbers: np.ndarray,
    now: pd.Timestamp,
) -> np.ndarray:
    """Return how many dates after the last ones are over by now, up to `MOST`."""
    # Series that end alike, as most do, are counted once.
    keys = pd.DataFrame({"last": last.asi8, "before": before.asi8, "number": numbers})
    distinct = ~keys.duplicated().to_numpy()
    rows = np.flatnonzero(distinct)
    result = np.zeros(len(rows), np.int64)
    waiting = np.arange(len(rows))
    count = _FIRST
    while len(waiting):
        chosen = rows[waiting]
        dates = dates_after(last[chosen], before[chosen], schedules, numbers[chosen], count)
        # Dates that a timestamp cannot hold come out before the last one.
        is_begun = np.asarray((dates <= now) & (dates > last[chosen].repeat(count)))
        begun = is_begun.reshape(len(chosen), count).sum(axis=1)
        result[waiting] = np.clip(begun - 1, 0, MOST)
        waiting = waiting[(begun == count) & (count <= MOST)]
        count *= _TIMES_MORE
    return keys.merge(keys[distinct].assign(overdue=result), how="left")["overdue"].to_numpy()


def _usual_limit(schedule: Schedule, local: np.ndarray) -> int:
    if schedule.is_of_days:
        return USUAL_LIMIT
    _, rows_of_day = np.unique(local // DAY, return_counts=True)
    return max(USUAL_LIMIT, USUAL_DAYS * int(np.median(rows_of_day)))

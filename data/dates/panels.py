"""The schedules of many series at once: found from their rows, told by a person, or known from before."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd

from gatecast.data.dates.periods import schedule_of, with_holidays
from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.schedules import DAY, Schedule

__all__ = ["dates_in_words", "find_schedules", "follow", "in_words", "local_times"]

_KEPT = 0.75
"""A schedule known from before still holds if it foretells this share of the last rows"""
_STEPS = 64
"""So many rows are enough to see that"""


def find_schedules(
    ds: np.ndarray,
    offsets: np.ndarray,
    timezone: str | None,
    rules: DateRules,
    known: Sequence[Schedule] = (),
    numbers: np.ndarray | None = None,
) -> tuple[tuple[Schedule, ...], np.ndarray]:
    """Return the schedules that several series follow.

    Parameters
    ----------
    ds : datetime64[ns], (rows,)
        Ascending timestamps of each series, one series after another, in UTC if there is a time zone.
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    timezone : str or None
    rules : DateRules
        What a person says of them.
    known : sequence of Schedule
        Schedules from before, found from more rows: kept by the series that still follow theirs.
    numbers : int64, (n_series,), optional
        Which of them each series followed; -1 for none.

    Returns
    -------
    schedules : tuple of Schedule
    numbers : int64, (n_series,)
        Which of them each series follows.

    Raises
    ------
    InputError
        A series has a single row and no schedule from before, or the rules leave no day open.
    """
    utc = ds.astype("datetime64[ns]").view(np.int64)
    local = local_times(utc, timezone)
    found: dict[Schedule, int] = {}
    by_dates: dict[bytes, int] = {}
    result = np.empty(len(offsets) - 1, np.int64)
    still = np.full(len(result), -1)
    if rules.freq is None and numbers is not None:
        still = np.where(follow(local, offsets, known, numbers), numbers, -1)
    for series, (first, stop) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        # Series of the same dates, of which there are often many, are looked at once.
        before = int(still[series])
        key = blake2b(utc[first:stop].tobytes(), digest_size=16).digest() + before.to_bytes(8, "little", signed=True)
        if key not in by_dates:
            schedule = _schedule(utc[first:stop], local[first:stop], known[before] if before >= 0 else None, rules)
            by_dates[key] = found.setdefault(schedule, len(found))
        result[series] = by_dates[key]
    return tuple(found), result


def dates_in_words(frame: pd.DataFrame, rules: DateRules) -> str:
    """Say when the rows of a valid frame come, sorted by ``unique_id`` and ``ds``: see `in_words`."""
    ds = pd.DatetimeIndex(frame["ds"])
    codes, _ = pd.factorize(frame["unique_id"])
    lengths = np.bincount(codes)
    has_steps = lengths > 1
    if not has_steps.any():
        return ""
    times = ds if ds.tz is None else ds.tz_convert(None)
    kept = times.to_numpy("datetime64[ns]")[has_steps[codes]]
    offsets = np.concatenate([[0], np.cumsum(lengths[has_steps])])
    return in_words(*find_schedules(kept, offsets, None if ds.tz is None else str(ds.tz), rules))


def in_words(schedules: Sequence[Schedule], numbers: np.ndarray) -> str:
    """Say when the rows of several series come: ``business days``, or ``Monday to Saturday (2 series), every day (1)``.

    Only the most frequent three are named.
    """
    counts: dict[str, int] = {}
    for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
        words = schedules[number].in_words()
        counts[words] = counts.get(words, 0) + int(count)
    if len(counts) == 1:
        return next(iter(counts))
    ordered = sorted(counts, key=lambda words: -counts[words])
    named = [f"{words} ({counts[words]:,}{' series' * (place == 0)})" for place, words in enumerate(ordered[:3])]
    others = sum(counts[words] for words in ordered[3:])
    return ", ".join([*named, *([f"other dates ({others:,})"] if others else [])])


def _schedule(utc: np.ndarray, local: np.ndarray, known: Schedule | None, rules: DateRules) -> Schedule:
    if known is not None:
        return with_holidays(known, local)
    if rules.freq is not None:
        return rules.schedule_of(local)
    return rules.restrict(schedule_of(utc, local), local)


def follow(local: np.ndarray, offsets: np.ndarray, schedules: Sequence[Schedule], numbers: np.ndarray) -> np.ndarray:
    """Tell which series follow the schedules that are theirs, bool (n_series,); a single row always does.

    Parameters
    ----------
    local : int64, (rows,)
        Local times, in nanoseconds since 1970.
    offsets, schedules, numbers
        As for `find_schedules`.
    """
    steps = np.minimum(np.diff(offsets) - 1, _STEPS)
    series = np.repeat(np.arange(len(numbers)), steps)
    row = np.arange(len(series)) + np.repeat(offsets[1:] - np.cumsum(steps), steps)
    of_step = numbers[series]
    foretold = np.zeros(len(series), dtype=bool)
    for number in np.unique(of_step[of_step >= 0]):
        chosen = np.flatnonzero(of_step == number)
        schedule = schedules[number]
        before = local[row[chosen] - 1]
        after = local[row[chosen]]
        if schedule.is_of_days:
            before = before - before % DAY
            after = after - after % DAY
        foretold[chosen] = schedule.following(before, 1)[:, 0] == after
    counts = np.bincount(series, weights=foretold, minlength=len(numbers))
    return (numbers >= 0) & (counts >= _KEPT * steps)


def local_times(utc: np.ndarray, timezone: str | None) -> np.ndarray:
    """Return times in UTC on the clock of a time zone; both are nanoseconds since 1970, int64."""
    if timezone is None:
        return utc
    return pd.DatetimeIndex(utc.view("datetime64[ns]"), tz="UTC").tz_convert(timezone).tz_localize(None).asi8

"""Which schedule the rows of a series follow: found from all of its rows, whatever is missing among them.

A schedule other than the plain spacing has to foretell at least two rows that the spacing does not: a single pause may
be a hole in the data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatecast.data.dates.schedules import DAY, LAST, WEEK, Monthly, Plain, Schedule, Weekly, day_of_month, month_of

__all__ = ["BUSINESS_DAYS", "find_monthly", "find_schedule", "usual_step", "usual_value"]

_MONTH = 30.4375 * DAY
_FITTING = 0.75
"""A rule for the day of the month holds where this share of the days keep it; holidays move the others"""
_WEEKS = 26
"""Older weeks may have had other hours"""
_OPEN = 1 / 3
"""A day or time is open if rows come in this share of the weeks"""
_EVIDENCE = 2
"""Rows that a schedule foretells and the plain spacing does not"""
_PRIOR = 2
"""Weight, in days, of the hours of all days together against those of one day of the week"""
_RECENT = (3, 6)
"""Weeks in which a lasting change of the days or hours shows"""
_LASTING = 4
"""Rows of those weeks, at least, that the former schedule does not foretell and the new one does"""
_CHANGED = 0.1
"""Share of the rows of those weeks that these are"""
BUSINESS_DAYS = (0, 1, 2, 3, 4)
_TWICE_A_MONTH = ((15, LAST), (1, 15), (1, 16), (10, 25))


def usual_step(times: np.ndarray) -> int:
    """Return the most frequent step between neighbours, the shortest where several are."""
    steps, counts = np.unique(np.diff(times), return_counts=True)
    return int(steps[np.argmax(counts)])


def find_schedule(local: np.ndarray, step: int) -> Schedule:
    """Return the schedule of a series.

    All rows decide, unless the last weeks keep other days or hours throughout.

    Parameters
    ----------
    local : int64, (rows,)
        Ascending local times of the rows, in nanoseconds since 1970; at least two.
    step : int
        Their usual step.
    """
    schedule = _find(local, step)
    if step > WEEK:
        return schedule
    for weeks in _RECENT:
        recent = local[local > local[-1] - weeks * WEEK]
        rows = len(recent) - 1
        missed = rows - _foretold(schedule, recent)
        if len(recent) < len(local) and missed >= _LASTING and missed > _CHANGED * rows:
            now = _find(recent, step)
            foretold_more = _foretold(now, recent) - (rows - missed)
            if foretold_more >= _LASTING and foretold_more > _CHANGED * rows:
                return now
    return schedule


def _find(local: np.ndarray, step: int) -> Schedule:
    days = local // DAY
    monthly = find_monthly(days, step)
    if monthly is not None:
        return monthly
    plain = Plain(step)
    if step > 3 * WEEK:
        return plain
    most = _foretold(plain, local) + _EVIDENCE
    best: Schedule = plain
    for candidate in _candidates(local, days, step):
        count = _foretold(candidate, local)
        # More than half of the rows, too: of times without any order, some rule foretells a few more than another.
        if count >= most - _EVIDENCE * _is_sure(candidate, days, step) and 2 * count >= len(local) - 1:
            best = candidate
            most = count + 1
    return best


def _foretold(schedule: Schedule, local: np.ndarray) -> int:
    """Return how many rows a schedule foretells from the row before."""
    times = local - local % DAY if schedule.is_of_days else local
    return int((schedule.following(times[:-1], 1)[:, 0] == times[1:]).sum())


def _is_sure(schedule: Schedule, days: np.ndarray, step: int) -> bool:
    """Tell whether a schedule needs no further evidence: weekends without a row, or one day of the week."""
    if not isinstance(schedule, Weekly) or not schedule.is_of_days:
        return False
    is_of_weekdays = step == DAY and set(schedule.days) <= set(BUSINESS_DAYS) and bool(((days + 3) % 7 < 5).all())
    return (is_of_weekdays and schedule.days == BUSINESS_DAYS) or (step == WEEK and len(schedule.slots) == 1)


def _candidates(local: np.ndarray, days: np.ndarray, step: int) -> Iterator[Schedule]:
    if step <= WEEK:
        is_of_days = step % DAY == 0 and bool((np.diff(days) > 0).all())
        weekly = _weekly_days(days) if is_of_days else _weekly_times(local, days, step)
        if weekly is not None:
            yield weekly
    if step >= 5 * DAY and step % DAY == 0:
        yield from _several_a_month(days)


# ---------------------------------------------------------------- weeks


def _weekly_days(days: np.ndarray) -> Weekly | None:
    is_open = _open_days(days, is_open_at_night=False)
    if is_open.all():
        return None
    return Weekly(tuple(int(day) * DAY for day in np.flatnonzero(is_open)), is_of_days=True)


def _open_days(days: np.ndarray, is_open_at_night: bool) -> np.ndarray:
    """Tell which days of the week are open, bool (7,)."""
    weeks, weekday = np.divmod(days + 3, 7)
    active = np.unique(weeks)[-_WEEKS:]
    recent = weekday[weeks >= active[0]]
    # Weeks without any row say nothing; the first and the last need not be whole.
    each = np.arange(7)
    chances = len(active) - (each < recent[0]) - (each > recent[-1])
    counts = np.bincount(recent, minlength=7)
    share = counts / np.maximum(chances, 1)
    is_weekend = (each >= 5) & ~counts[5:].any()
    unknown = np.where(is_weekend, is_open_at_night & (chances == 0), chances <= 1)
    return np.where(counts == 0, unknown, (share >= share.max() * _OPEN) | (chances <= 2))


def _weekly_times(local: np.ndarray, days: np.ndarray, step: int) -> Weekly | None:
    """Find the hours of each day of the week; None if they are around the clock, or in no order."""
    local = local[days >= days[-1] - 7 * _WEEKS]
    days, number = np.unique(local // DAY, return_inverse=True)
    times, time = np.unique(local % DAY, return_inverse=True)
    if len(days) < 3 or 2 * len(times) > len(local):
        return None
    if DAY % step == 0:  # times that no row has had yet are on the grid, too
        phase = usual_value(times[time] % step)
        grid = np.union1d(times, np.arange(phase, DAY, step))
        time = np.searchsorted(grid, times)[time]
        times = grid
    weekday = (days + 3) % 7
    seen = np.zeros((7, len(times)))
    np.add.at(seen, (weekday[number], time), 1)
    chances = np.repeat(np.bincount(weekday, minlength=7)[:, None], len(times), axis=1).astype(float)
    chances[weekday[0]] -= times < local[0] % DAY
    chances[weekday[-1]] -= times > local[-1] % DAY
    of_all = np.divide(seen.sum(axis=0), chances.sum(axis=0), out=np.ones(len(times)), where=chances.sum(axis=0) > 0)
    is_open = (seen + _PRIOR * of_all) / (chances + _PRIOR) >= _OPEN
    is_open &= _open_days(days, bool((of_all >= _OPEN).all()))[:, None]
    is_around_the_clock = is_open.all() and len(times) * step == DAY
    if is_around_the_clock or not is_open.any():
        return None
    slots = (np.arange(7)[:, None] * DAY + times)[is_open]
    return Weekly(tuple(slots.tolist()), is_of_days=False)


def usual_value(values: np.ndarray) -> int:
    """Return the most frequent value, the smallest where several are."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


# ---------------------------------------------------------------- months


def find_monthly(days: np.ndarray, step: int) -> Monthly | None:
    """Return the schedule of data a number of months apart; None for other data."""
    months = round(step / _MONTH)
    if not months or abs(step - months * _MONTH) > 7 * DAY:
        return None
    month = month_of(days)
    # A row that a holiday moved may make two in a month; more of them are no monthly data.
    if len(np.unique(month)) < 0.9 * len(month):
        return None
    phase = usual_value(month % months)
    day = days - day_of_month(month, 1, "none") + 1
    rules = (
        Monthly((LAST,), "none", months, phase), Monthly((int(day.max()),), "none", months, phase),
        Monthly((LAST,), "backward", months, phase), Monthly((1,), "forward", months, phase),
    )  # fmt: skip
    best = _fitting(rules, month, days)
    if best is not None:
        return best
    # Every fourth week is not a month, but days that keep neither a rule nor a number of days still come once a month.
    if not (np.diff(days) * DAY % step).any():
        return None
    weekday = usual_value((day - 1) // 7 * 7 + (days + 3) % 7)
    of_week = Monthly((weekday,), "weekday", months, phase)
    return _fitting((of_week,), month, days) or Monthly((int(day[-1]),), "none", months, phase)


def _fitting(rules: tuple[Monthly, ...], month: np.ndarray, days: np.ndarray) -> Monthly | None:
    shares = [(day_of_month(month, rule.days[0], rule.roll) == days).mean() for rule in rules]
    return rules[int(np.argmax(shares))] if max(shares) >= _FITTING else None


def _several_a_month(days: np.ndarray) -> Iterator[Monthly]:
    """Give schedules of several days a month: those that most months have, and the usual ones moved by weekends."""
    month = month_of(days)
    many = len(np.unique(month))
    day = days - day_of_month(month, 1, "none") + 1
    is_last = days == day_of_month(month, LAST, "none")
    counts = np.bincount(np.where(is_last, LAST, day), minlength=LAST + 1)
    usual = tuple(np.flatnonzero(counts >= many / 2).tolist())
    if len(usual) > 1:
        yield Monthly(usual)
    for pair in _TWICE_A_MONTH:
        yield Monthly(pair, "backward")
        yield Monthly(pair, "forward")

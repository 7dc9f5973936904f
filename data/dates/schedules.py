"""Schedules: on which days and at which times the rows of a series come, and which ones come next.

All times here are local: nanoseconds since 1970 on the clock of the data's time zone, int64. `data.dates.periods` puts
them into the zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from gatecast.data.dates.calendar import session_days

__all__ = ["Monthly", "Plain", "Schedule", "Weekly", "from_dict"]

DAY = 86_400_000_000_000
WEEK = 7 * DAY
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LAST = 31
"""The day of the month that stands for the last one"""
_SINCE_MONDAY = 3 * DAY
"""1970-01-01 was a Thursday"""
_NEAR = 3
"""A row in the last third of the pause before a slot stands for that slot: a holiday moved it"""
Roll = Literal["none", "backward", "forward", "weekday"]


@dataclass(frozen=True)
class Plain:
    """Rows at a fixed distance.

    Attributes
    ----------
    step : int
        Nanoseconds; whole days are those of the local calendar.
    """

    step: int

    @property
    def is_of_days(self) -> bool:
        """Whether a row stands for a day, whatever its time."""
        return self.step % DAY == 0

    def following(self, last: np.ndarray, count: int) -> np.ndarray:
        """Return the `count` times after each of `last`, (n, count)."""
        return last[:, None] + self.step * np.arange(1, count + 1)

    def keeps(self, local: np.ndarray) -> np.ndarray:
        """Tell which of the times can be rows of it; a distance alone excludes none."""
        return np.ones(len(local), dtype=bool)

    def in_words(self) -> str:
        """Say when rows come."""
        return f"every {_length(self.step)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON values, for `from_dict`."""
        return {"kind": "plain", "step": self.step}


@dataclass(frozen=True)
class Weekly:
    """Rows at the same times every week.

    Attributes
    ----------
    slots : tuple of int
        Ascending nanoseconds since Monday's midnight: of the days, or of times within them.
    is_of_days : bool
        Whether a row stands for a day, whatever its time.
    calendar : str or None
        Exchange whose holidays are left out.
    """

    slots: tuple[int, ...]
    is_of_days: bool
    calendar: str | None = None

    @property
    def days(self) -> tuple[int, ...]:
        """The open days, from 0 for Monday to 6."""
        return tuple(sorted({slot // DAY for slot in self.slots}))

    def following(self, last: np.ndarray, count: int) -> np.ndarray:
        """Return the `count` times after each of `last`, (n, count)."""
        if self.calendar is None:
            return _following(self, last, count)
        # No exchange is closed for more than two weeks in a row.
        every = _following(self, last, 2 * count + 3 * len(self.slots))
        days = every // DAY
        is_open = np.isin(days, session_days(self.calendar, int(days.min()), int(days.max())))
        if (is_open.sum(axis=1) < count).any():  # the calendar ends before the forecast does
            return every[:, :count]
        chosen = np.argsort(~is_open, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(every, chosen, axis=1)

    def keeps(self, local: np.ndarray) -> np.ndarray:
        """Tell which of the times are rows of it."""
        position = (local + _SINCE_MONDAY) % WEEK
        return np.isin(position - position % DAY if self.is_of_days else position, self.slots)

    def without(self, days: Sequence[int]) -> Weekly:
        """Return the schedule with some days of the week closed."""
        return replace(self, slots=tuple(slot for slot in self.slots if slot // DAY not in days))

    def in_words(self) -> str:
        """Say when rows come."""
        days = _days_in_words(self.days)
        if self.is_of_days:
            words = f"weekly, {days}" if len(self.slots) == 1 else days
        else:
            on = {"business days": "on weekdays", "every day": days}.get(days, f"on {days}")
            words = f"{_times_in_words(self.slots)} {on}"
        return f"{words} of {self.calendar}" if self.calendar else words

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON values, for `from_dict`."""
        return {
            "kind": "weekly", "slots": list(self.slots), "is_of_days": self.is_of_days, "calendar": self.calendar,
        }  # fmt: skip

    def at(self, number: np.ndarray) -> np.ndarray:
        """Return the slots with these numbers, counted over all weeks."""
        weeks, place = np.divmod(number, len(self.slots))
        return weeks * WEEK - _SINCE_MONDAY + np.array(self.slots)[place]

    def number_of(self, local: np.ndarray) -> np.ndarray:
        """Return the number of the last slot that is not after each time."""
        weeks, position = np.divmod(local + _SINCE_MONDAY, WEEK)
        return weeks * len(self.slots) + np.searchsorted(self.slots, position, side="right") - 1


@dataclass(frozen=True)
class Monthly:
    """Rows on the same days of every month, or of every n-th.

    Attributes
    ----------
    days : tuple of int
        Days of the month, ascending; a month that is too short for one has its last day instead. With the roll
        ``weekday``: 7 times the week, from 0, plus the day of the week, as 18 for the third Friday.
    roll : {"none", "backward", "forward", "weekday"}
        Where a day goes that is no business day.
    months : int
        From one month with rows to the next.
    phase : int
        A month with rows, counted from January 1970.
    """

    days: tuple[int, ...]
    roll: Roll = "none"
    months: int = 1
    phase: int = 0
    is_of_days = True

    def following(self, last: np.ndarray, count: int) -> np.ndarray:
        """Return the `count` days after each of `last`, (n, count)."""
        return _following(self, last, count)

    def keeps(self, local: np.ndarray) -> np.ndarray:
        """Tell which of the times are on its days."""
        midnight = local - local % DAY
        return self.at(self.number_of(midnight)) == midnight

    def in_words(self) -> str:
        """Say when rows come."""
        often = {1: "", 3: " of a quarter", 12: " of a year"}.get(self.months, f" of every {self.months} months")
        return " and ".join(self._day_in_words(day) for day in self.days) + (often or " of the month")

    def _day_in_words(self, day: int) -> str:
        if self.roll == "weekday":
            return f"{_ordinal(day // 7 + 1)} {WEEKDAYS[day % 7]}"
        if self.roll == "none":
            return "last day" if day == LAST else "first day" if day == 1 else _ordinal(day)
        if (day, self.roll) in ((1, "forward"), (LAST, "backward")):
            return f"{'first' if day == 1 else 'last'} business day"
        named = "last day" if day == LAST else _ordinal(day)
        return f"{named} or the business day {'before' if self.roll == 'backward' else 'after'} it"

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON values, for `from_dict`."""
        return {
            "kind": "monthly", "days": list(self.days), "roll": self.roll, "months": self.months, "phase": self.phase,
        }  # fmt: skip

    def at(self, number: np.ndarray) -> np.ndarray:
        """Return the slots with these numbers, counted over all months."""
        periods, place = np.divmod(number, len(self.days))
        month = self.phase + periods * self.months
        return day_of_month(month, np.array(self.days)[place], self.roll) * DAY

    def number_of(self, local: np.ndarray) -> np.ndarray:
        """Return the number of the last slot that is not after each time."""
        month = month_of(local // DAY)
        number = ((month - self.phase) // self.months + 2) * len(self.days)
        while (is_later := self.at(number) > local).any():
            number = number - is_later
        return number


Schedule = Plain | Weekly | Monthly


def from_dict(state: Mapping[str, Any]) -> Schedule:
    """Return the schedule that `to_dict` wrote.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        if state["kind"] == "plain" and state["step"] > 0:
            return Plain(int(state["step"]))
        if state["kind"] == "weekly" and state["slots"]:
            return Weekly(tuple(map(int, state["slots"])), bool(state["is_of_days"]), state["calendar"])
        if state["kind"] == "monthly" and state["days"]:
            return Monthly(tuple(map(int, state["days"])), state["roll"], int(state["months"]), int(state["phase"]))
    except (KeyError, TypeError) as error:
        raise ValueError("a schedule lacks something") from error
    raise ValueError("a schedule is of no known kind")


def month_of(days: np.ndarray) -> np.ndarray:
    """Return the months of days, both counted from 1 January 1970."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_of(month: np.ndarray) -> np.ndarray:
    """Return the first day of months."""
    return month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def day_of_month(month: np.ndarray, day: np.ndarray | int, roll: Roll) -> np.ndarray:
    """Return the days of months that `Monthly` describes, counted from 1970."""
    first = first_of(month)
    if roll == "weekday":
        return first + (day % 7 - (first + 3)) % 7 + day // 7 * 7
    found = first + np.minimum(day, first_of(month + 1) - first) - 1
    if roll == "none":
        return found
    return np.busday_offset(found.astype("datetime64[D]"), 0, roll=roll).astype(np.int64)


def _following(schedule: Weekly | Monthly, last: np.ndarray, count: int) -> np.ndarray:
    number = schedule.number_of(last)
    before = schedule.at(number)
    after = schedule.at(number + 1)
    stands_for_next = (before < last) & (_NEAR * (after - last) < after - before)
    return schedule.at((number + stands_for_next)[:, None] + np.arange(1, count + 1))


# ---------------------------------------------------------------- words


def _length(step: int) -> str:
    units = (("week", WEEK), ("day", DAY), ("hour", DAY // 24), ("minute", DAY // 1440), ("second", DAY // 86400))
    name, unit = next((pair for pair in units if step % pair[1] == 0), ("second", DAY // 86400))
    many = step / unit
    return name if many == 1 else f"{many:g} {name}s"


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _days_in_words(days: tuple[int, ...]) -> str:
    if days == (0, 1, 2, 3, 4):
        return "business days"
    if len(days) == 7:
        return "every day"
    if len(days) > 2:
        first = next((day for day in days if (day - 1) % 7 not in days), days[0])
        if {(first + number) % 7 for number in range(len(days))} == set(days):
            return f"{WEEKDAYS[first]} to {WEEKDAYS[(first + len(days) - 1) % 7]}"
    names = [WEEKDAYS[day] for day in days]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _times_in_words(slots: tuple[int, ...]) -> str:
    """Say the times of the day: ``half hours 9:30–15:30``, or the hours of the longest day where days differ."""
    by_day = [[slot % DAY for slot in slots if slot // DAY == day] for day in sorted({slot // DAY for slot in slots})]
    times = max(by_day, key=len)
    differ = any(other != times for other in by_day)
    span = f"{_clock(times[0])}–{_clock(times[-1])}" if len(times) > 1 else _clock(times[0])
    if len(times) == 1:
        return f"{span}{' or other times' if differ else ''}"
    steps = {after - before for before, after in pairwise(times)}
    step = min(steps)
    what = {DAY // 24: "hours", DAY // 48: "half hours"}.get(step, f"every {_length(step)}")
    return f"{what} {span}{' with breaks' if len(steps) > 1 else ''}{', other hours on some days,' if differ else ''}"


def _clock(time: int) -> str:
    minutes = time // (DAY // 1440)
    seconds = time // (DAY // 86400) % 60
    return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")

"""What a person says about the dates of a series: a frequency, closed days, an exchange."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from gatecast.data.dates.calendar import require_calendar
from gatecast.data.dates.inference import usual_value
from gatecast.data.dates.schedules import DAY, LAST, WEEK, Monthly, Plain, Roll, Schedule, Weekly, month_of
from gatecast.data.errors import InputError

__all__ = ["DAYS", "DateRules", "require_closed", "require_freq"]

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_UNITS: Mapping[str, int] = MappingProxyType(
    {"D": DAY, "h": DAY // 24, "min": DAY // 1440, "s": DAY // 86400, "ms": DAY // 86_400_000, "us": 1000, "ns": 1}
)
_MONTHLY: Mapping[str, tuple[int, Roll]] = MappingProxyType(
    {"E": (LAST, "none"), "S": (1, "none"), "BE": (LAST, "backward"), "BS": (1, "forward")}
)
_PERIODS: Mapping[str, int] = MappingProxyType({"M": 1, "Q": 3, "Y": 12})
# As older versions of pandas and other libraries call them.
_ALIASES: Mapping[str, str] = MappingProxyType(
    {"H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns", "d": "D", "b": "B"}
    | {"M": "ME", "BM": "BME", "Q": "QE", "BQ": "BQE", "Y": "YE", "A": "YE", "AS": "YS", "BA": "BYE", "BAS": "BYS"}
)
ADVICE = "write one of pandas', as D, B, W-FRI, MS, ME, QE, SME, h or 30min"


@dataclass(frozen=True)
class DateRules:
    """What is known of the dates of all series; what is not given is found in their rows.

    Attributes
    ----------
    freq : str or None
        Frequency, as pandas writes it: exactly these dates.
    closed : tuple of str
        Days of the week without rows, as ``SUN``; for daily and finer data.
    calendar : str or None
        Exchange on whose sessions alone rows come; for daily and finer data.
    """

    freq: str | None = None
    closed: tuple[str, ...] = ()
    calendar: str | None = None

    def __post_init__(self) -> None:
        if self.freq is not None:
            require_freq(self.freq)
        require_closed(self.closed)
        if self.calendar is not None:
            require_calendar(self.calendar)

    def schedule_of(self, local: np.ndarray) -> Schedule:
        """Return the schedule that `freq` says.

        Parameters
        ----------
        local : int64, (rows,)
            Local times of the rows, in nanoseconds since 1970, which say where a frequency begins.
        """
        assert self.freq is not None
        return _restricted(_read(self.freq, local), local, self)

    def restrict(self, schedule: Schedule, local: np.ndarray) -> Schedule:
        """Leave closed days and those without a session out of a schedule.

        Raises
        ------
        InputError
            No day is left.
        """
        return _restricted(schedule, local, self)


def require_freq(freq: str) -> str:
    """Return a frequency.

    Raises
    ------
    InputError
        It is none, or one that pandas knows and this does not.
    """
    if not isinstance(freq, str) or _parts(freq) is None:
        raise InputError(f"freq {freq!r} is no frequency that Gatecast knows; {ADVICE}.")
    return freq


def require_closed(closed: Sequence[str]) -> tuple[str, ...]:
    """Return closed days.

    Raises
    ------
    InputError
        One is not a day of the week, or all are closed.
    """
    given = (closed,) if isinstance(closed, str) else tuple(closed)
    wrong = [day for day in given if day not in DAYS]
    if wrong:
        raise InputError(f"closed {wrong[0]!r} is not a day of the week; write {', '.join(DAYS)}.")
    if set(given) == set(DAYS):
        raise InputError("closed names all days of the week, so no date would be left; leave one out.")
    return given


def _parts(freq: str) -> tuple[int, str, str] | None:
    """Return number, unit and anchor of a frequency; None if it is none."""
    name, _, anchor = freq.partition("-")
    match = re.fullmatch(r"([1-9]\d*)?([A-Za-z]+)", name)
    if match is None:
        return None
    number = int(match[1] or 1)
    unit = _ALIASES.get(match[2], match[2])
    if unit in ("B", "SME", "SMS") and number > 1:
        return None
    return (number, unit, anchor) if not freq.endswith("-") and anchor in _anchors(unit) else None


def _anchors(unit: str) -> Collection[str]:
    """Return what may follow a unit after a dash, with "" for nothing; none of an unknown unit."""
    if unit in _UNITS or unit == "B":
        return ("",)
    if unit == "W":
        return ("", *DAYS)
    if unit == "WOM":
        return [f"{week}{day}" for week in range(1, 5) for day in DAYS]
    if unit in ("SME", "SMS"):
        return ("", *map(str, range(2, 28)))
    if unit[:-1] in ("M", "BM", "Q", "BQ", "Y", "BY") and unit[-1] in "ES":
        return ("",) if unit[-2] == "M" else ("", *_MONTHS)
    return ()


def _read(freq: str, local: np.ndarray) -> Schedule:
    parts = _parts(freq)
    assert parts is not None  # required when the rules were made
    number, unit, anchor = parts
    if unit in _UNITS:
        return Plain(number * _UNITS[unit])
    if unit in ("B", "W"):
        if number > 1:
            return Plain(number * WEEK)
        days = range(5) if unit == "B" else [DAYS.index(anchor or "SUN")]
        return Weekly(tuple(day * DAY for day in days), is_of_days=True)
    month = month_of(local // DAY)
    if unit == "WOM":
        code = 7 * (int(anchor[0]) - 1) + DAYS.index(anchor[1:])
        return Monthly((code,), "weekday", number, usual_value(month % number))
    if unit in ("SME", "SMS"):
        day = int(anchor or 15)
        return Monthly((day, LAST) if unit == "SME" else (1, day))
    months = number * _PERIODS[unit[-2]]
    day, roll = _MONTHLY[unit[:-2] + unit[-1]]
    return Monthly((day,), roll, months, _phase(unit, anchor, months, month))


def _phase(unit: str, anchor: str, months: int, month: np.ndarray) -> int:
    """Return a month in which a frequency has a row: as its name says, or as the rows have it if that is open."""
    period = _PERIODS[unit[-2]]
    named = _MONTHS.index(anchor or ("DEC" if unit[-1] == "E" else "JAN"))
    if period == 1:
        return usual_value(month % months)
    fitting = month[(month - named) % period == 0]
    return usual_value(fitting % months) if len(fitting) else named


def _restricted(schedule: Schedule, local: np.ndarray, rules: DateRules) -> Schedule:
    if not rules.closed and rules.calendar is None:
        return schedule
    if isinstance(schedule, Plain) and schedule.step <= DAY and DAY % schedule.step == 0:
        phase = 0 if schedule.is_of_days else usual_value(local % schedule.step)
        slots = tuple(range(phase, WEEK, schedule.step))
        schedule = Weekly(slots, schedule.is_of_days)
    if not isinstance(schedule, Weekly) or len(schedule.slots) == 1:
        return schedule
    days = [DAYS.index(day) for day in rules.closed]
    if set(schedule.days) <= set(days):
        raise InputError(f"closed {', '.join(rules.closed)} leaves no day on which the data has rows; correct it.")
    return replace(schedule.without(days), calendar=rules.calendar or schedule.calendar)

"""Timestamps as people write them, brought into ISO 8601; a form that gives two different days is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import pandas as pd

from gatecast.data.dates.steps import dates_of_steps
from gatecast.data.dates.timestamps import parse_dates
from gatecast.data.errors import InputError

__all__ = ["STEPS", "are_dates", "read_dates"]

STEPS = "steps"
"""In place of a form: rows are numbered, and a number counts days from 2000-01-01"""

_DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y"),
    *("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%Y%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y"),
    *("%Y %m %d", "%Y %m %d %H", "%Y %m", "%Y %b", "%Y %B"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SHARE_TO_FIND = 0.9
"""A form is the column's if this share of the dates has it; the others are then errors"""
_SAMPLE = 200
"""Values that tell whether a column may hold dates"""
_EPOCHS: Mapping[int, Literal["s", "ms", "us", "ns"]] = MappingProxyType({10: "s", 13: "ms", 16: "us", 19: "ns"})
"""Digits of a count since 1970 and its unit, for every moment from 2001 to 2286"""
_QUARTER = r"(?:(\d{4})[- ]?[Qq]([1-4])|[Qq]([1-4])[- /]?(\d{4}))"
_WEEK = r"\d{4}-?W\d{2}"


def are_dates(column: pd.Series) -> bool:
    """Tell whether a column holds timestamps: as such, or as text or days such as 20200131."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if pd.api.types.is_integer_dtype(column):
        column = column.drop_duplicates().astype(str)
        return len(column) > 0 and bool(column.str.fullmatch(r"(?:19|20)\d{6}").all() and _fits(column, "%Y%m%d"))
    if pd.api.types.is_numeric_dtype(column) or not len(column):
        return False
    sample = _text(column).drop_duplicates().head(_SAMPLE)
    if pd.to_numeric(sample, errors="coerce").notna().all():
        return False
    has_periods = any(sample.str.fullmatch(pattern).mean() >= _SHARE_TO_FIND for pattern in (_QUARTER, _WEEK))
    is_standard = parse_dates(sample).notna().mean() >= _SHARE_TO_FIND
    return has_periods or bool(is_standard) or any(_fits(sample, form) for form in _forms())


def read_dates(
    column: pd.Series,
    date_format: str | None,
    origin: str,
    *,
    say_which: str = "say which with --date-format",
    count_steps: str = "if rows are numbered, --date-format steps says so",
) -> pd.Series:
    """Return timestamps or, if some cannot be read, the others in ISO 8601 and these as they are.

    Parameters
    ----------
    column : Series
        Of text, or of whole numbers: days such as 20200131, a count since 1970 or, where `date_format` says so, steps.
    date_format : str, optional
        As `datetime.strptime` has it, or ``steps``; by default it is found, if ISO 8601 is not it.
    origin : str
        What errors begin with.
    say_which, count_steps : str
        What errors advise where two forms fit, and where numbers are none of a date.

    Raises
    ------
    InputError
        Two forms fit that give different days, as with 01/02/2020, or rows are numbered and nobody says so.
    """
    if pd.api.types.is_datetime64_any_dtype(column) or not len(column):
        return column
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    values = _text(pd.Series(distinct))
    found = _read_distinct(values, date_format, origin, say_which, count_steps)
    if found is None:
        found = parse_dates(values)
        written = values
    else:
        written = found.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str.removesuffix(".000000").where(found.notna(), values)
    # Timestamps where all could be read, since text would be read once more.
    return (found if found.notna().all() else written).take(codes).set_axis(column.index)


def _text(column: pd.Series) -> pd.Series:
    text = column.astype("string").fillna("").astype(str).str.strip()
    return text.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)  # whole numbers that a program wrote as 1577836800.0


def _read_distinct(
    values: pd.Series, date_format: str | None, origin: str, say_which: str, count_steps: str
) -> pd.Series | None:
    """Return the timestamps that values are, or None if they are written as they should be, or cannot be read."""
    if date_format == STEPS:
        return dates_of_steps(values, origin)
    if date_format is not None:
        return _read(values, date_format)
    is_count = values.str.fullmatch(r"-?\d+")
    if not is_count.all() and parse_dates(values).notna().any():
        return None
    if is_count.all():
        return _read_counts(values, origin, count_steps)
    return _read_in_the_only_form(values, origin, say_which)


def _read_counts(values: pd.Series, origin: str, count_steps: str) -> pd.Series | None:
    """Read whole numbers: days as 20200131, months as 202001, years, or a count since 1970."""
    for form, digits_of_rest in (("%Y%m%d", 6), ("%Y%m", 4), ("%Y", 2)):
        pattern = rf"(?:1[789]|2[01])\d{{{digits_of_rest}}}"
        if values.str.fullmatch(pattern).mean() >= _SHARE_TO_FIND and _fits(values, form):
            return _read(values, form)
    (digits, *others) = set(values.str.len())
    if not others and digits in _EPOCHS:
        return pd.to_datetime(pd.to_numeric(values), unit=_EPOCHS[digits])
    raise InputError(f"{origin}: the timestamp {values.iloc[0]} is a bare number; {count_steps}.")


def _read_in_the_only_form(values: pd.Series, origin: str, say_which: str) -> pd.Series | None:
    for pattern, read in ((_QUARTER, _quarters), (_WEEK, _weeks)):
        if values.str.fullmatch(pattern).mean() >= _SHARE_TO_FIND:
            return read(values)
    fitting = [form for form in _forms() if _fits(values, form)]
    if not fitting:
        return None
    # A form that reads all dates wins over those that do not: 13/1/2020 tells days from months.
    fitting = [form for form in fitting if _read(values, form).notna().all()] or fitting
    first = _read(values, fitting[0])
    for other in fitting[1:]:
        if not first.equals(_read(values, other)):
            raise InputError(
                f"{origin}: the date {values.iloc[0]} can be read as {fitting[0]} and as {other}; {say_which}."
            )
    return first


def _forms() -> list[str]:
    return [f"{day}{time}" for day in _DAYS for time in _TIMES if not (time and "%H" in day)]


def _fits(values: pd.Series, form: str) -> bool:
    # A few decide for most forms, so that the others cost nothing.
    few = values.head(5)
    if len(values) > 2 * len(few) and not _read(few, form).notna().any():
        return False
    return bool(_read(values, form).notna().mean() >= _SHARE_TO_FIND)


def _read(values: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(values, format=form, errors="coerce")


def _quarters(values: pd.Series) -> pd.Series:
    """Read 2020-Q1 and Q1 2020 as the first day of the quarter."""
    parts = values.str.extract(_QUARTER)
    year = pd.to_numeric(parts[0].fillna(parts[3]))
    month = 3 * pd.to_numeric(parts[1].fillna(parts[2])) - 2
    return _read((year * 100 + month).map("{:.0f}".format), "%Y%m")


def _weeks(values: pd.Series) -> pd.Series:
    """Read 2020-W05 as the Monday of the week."""
    return _read(values.str.replace("-", "").str.replace("W", "-") + "-1", "%G-%V-%u")

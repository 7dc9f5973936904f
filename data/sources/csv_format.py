"""The form of a CSV file: delimiter, decimal mark and dates, found out if they are not given."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from gatecast.data.dates.timestamps import parse_dates
from gatecast.data.errors import InputError

_DELIMITERS = ",;\t|"
_LINES = 50
_DATES = ("%d.%m.%Y", "%Y%m%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%b %d, %Y")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_SHARE_TO_FIND = 0.9
"""A form is the file's if this share of the dates has it; the others are then errors"""

_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
_DECIMAL_POINT = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)\.\d+")
_THOUSANDS_OR_DECIMALS = re.compile(r"[-+]?\d{1,3},\d{3}")


@dataclass(frozen=True)
class CsvFormat:
    """The form of a file, as far as it is given; None is to be found out.

    Attributes
    ----------
    delimiter : str, optional
        Between fields.
    decimal : {".", ","}, optional
    date_format : str, optional
        As `datetime.strptime` has it, such as ``%d/%m/%Y``.
    """

    delimiter: str | None = None
    decimal: str | None = None
    date_format: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise InputError(f"The delimiter {self.delimiter!r} has to be one character, as ';'; choose another.")
        if self.decimal not in (None, ".", ","):
            raise InputError(f"The decimal mark {self.decimal!r} has to be '.' or ','; choose one.")
        if self.date_format is not None and "%" not in self.date_format:
            raise InputError(f"The date format {self.date_format!r} has no field such as %Y; write it as %d/%m/%Y.")


def find_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts the header and the first lines into the same number of fields, the most of all."""
    widths = {}
    for delimiter in _DELIMITERS:
        counts = {len(row) for row in csv.reader(lines[:_LINES], delimiter=delimiter) if row}
        widths[delimiter] = counts.pop() if len(counts) == 1 else 1
    # If none fits all lines, a line is broken; then the header alone decides.
    if max(widths.values()) == 1:
        widths = {delimiter: lines[0].count(delimiter) for delimiter in _DELIMITERS} if lines else widths
    return max(widths, key=lambda delimiter: widths[delimiter])


def find_decimal(cells: Sequence[str], delimiter: str, origin: str) -> str:
    """Return the decimal mark of a file's numbers.

    Raises
    ------
    InputError
        1,234 may be more than a thousand or little more than one, and nothing in the file decides it.
    """
    if delimiter == ",":
        return "."
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if not commas or any(_DECIMAL_POINT.fullmatch(cell) for cell in cells):
        return "."
    if all(_THOUSANDS_OR_DECIMALS.fullmatch(cell) for cell in commas):
        raise InputError(
            f"{origin}: {commas[0]} can be read in two ways; say which mark is the decimal one: --decimal."
        )
    return ","


def read_dates(column: pd.Series, date_format: str | None, origin: str) -> pd.Series:
    """Return dates written in ISO 8601, as far as they can be read; what cannot be stays as it is.

    Parameters
    ----------
    column : Series of str
    date_format : str, optional
        Their form; by default it is found, if ISO 8601 is not it.
    origin : str
        What errors begin with.

    Raises
    ------
    InputError
        Two forms fit that give different days, as with 01/02/2020.
    """
    if date_format is None:
        if parse_dates(column).notna().any() and not column.str.fullmatch(r"\d{8}").all():
            return column
        fitting = [form for form in _forms() if _read(column, form).notna().mean() >= _SHARE_TO_FIND]
        if not fitting:
            return column
        first = _read(column, fitting[0])
        for other in fitting[1:]:
            if not first.equals(_read(column, other)):
                raise InputError(
                    f"{origin}: the date {column.iloc[0]} can be read as {fitting[0]} and as {other}; say which with "
                    "--date-format."
                )
        date_format = fitting[0]
    found = _read(column, date_format)
    return found.dt.strftime("%Y-%m-%dT%H:%M:%S").where(found.notna(), column)


def _forms() -> list[str]:
    return [f"{day}{time}" for day in _DATES for time in _TIMES]


def _read(column: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(column, format=form, errors="coerce")

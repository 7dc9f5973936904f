"""Numbers as people write them: which mark is the decimal one, found from every cell of a table, and how to read them.

A group of exactly three digits after a single mark, as in 1.846, may be thousands or decimals. Other cells decide it
where they can; nothing is guessed where they cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError

__all__ = [
    "Mark",
    "find_decimal",
    "hold_numbers",
    "may_be_grouped",
    "read_numbers",
    "show_decimal_point",
    "without_unit",
]

Mark = Literal[".", ","]

_BLANKS = " '’\u00a0\u202f"
"""What separates thousands besides a point or a comma"""
_EXPONENT = r"(?:[eE][-+]?\d+)?"
_LIKE_A_NUMBER = rf"[-+]?[\d.,{_BLANKS}]*\d[\d.,{_BLANKS}]*{_EXPONENT}"
_UNITS = "$€£¥%"
"""What may be written before or after a number, if it is the same in the whole column"""
_FEW_DIGITS = r"[-+]?\d{1,3}"
_MOSTLY = 0.5
"""A column holds numbers if this share of its cells look like one"""


def without_unit(cells: pd.Series) -> pd.Series:
    """Return the cells of a column of text without blanks around them and without the unit of its numbers.

    ``$9,875.00`` is 9,875.00, ``9.9%`` is 9.9, and ``(3.94)`` is -3.94, as accountants write it. A column of several
    units stays as it is.
    """
    cells = cells.str.strip()
    cells = cells.str.replace(rf"^\(([{_UNITS}]? ?{_LIKE_A_NUMBER})\)$", r"-\1", regex=True)
    if not cells.str.contains(f"[{_UNITS}]", regex=True).any():
        return cells
    parts = cells.str.extract(rf"^([-+]?)([{_UNITS}]?) ?({_LIKE_A_NUMBER}) ?([{_UNITS}]?)$")
    units = set(parts[1].dropna()) | set(parts[3].dropna())
    if len(units - {""}) != 1:
        return cells
    return cells.where(parts[2].isna(), parts[0] + parts[2].str.strip())


def hold_numbers(cells: pd.Series) -> bool:
    """Tell whether any of the cells of a column of text looks like a number."""
    return bool(without_unit(cells).str.fullmatch(_LIKE_A_NUMBER).any())


def show_decimal_point(columns: Iterable[pd.Series]) -> bool:
    """Tell whether a number in columns of text can only have a decimal point, as 12.5."""
    return _first((column for column in columns if _holds_numbers(column)), _shows(".")) is not None


def may_be_grouped(values: np.ndarray, with_integers: bool) -> bool:
    """Tell whether numbers that were read with a decimal point may have been thousands, as 1.846.

    Parameters
    ----------
    values : array of float
    with_integers : bool
        Whether they only may be if there are also numbers below 1000 without a mark.
    """
    finite = np.abs(values[np.isfinite(values)])
    is_whole = finite == np.floor(finite)
    broken = finite[~is_whole]
    if not broken.size or broken.min() < 1 or broken.max() >= 1000:
        return False
    has_three_decimals = bool((np.abs(broken * 1000 - np.rint(broken * 1000)) < 1e-6).all())
    return has_three_decimals and (not with_integers or bool((finite[is_whole] < 1000).any()))


def find_decimal(columns: Iterable[pd.Series], delimiter: str, origin: str) -> Mark:
    """Return the decimal mark of a table's numbers.

    Parameters
    ----------
    columns : iterable of Series of str
        The cells as they were written, without blanks around them; columns of text are left out of account.
    delimiter : str
        Between fields. Where it is a comma, ``"1,846"`` is a number above a thousand.
    origin : str
        What errors begin with.

    Raises
    ------
    InputError
        A number can be read in two ways and no other decides it, or the mark changes within the table.
    """
    numbers = [column for column in columns if _holds_numbers(column)]
    shows_point = _first(numbers, _shows("."))
    shows_comma = _first(numbers, _shows(","))
    if shows_point is not None and shows_comma is not None:
        raise InputError(
            f"{origin}: {shows_point} has a decimal point and {shows_comma} a decimal comma; write all numbers with the"
            " same mark."
        )
    if shows_point is not None:
        return "."
    if shows_comma is not None:
        return ","
    with_point = _first(numbers, _unclear("."))
    with_comma = _first(numbers, _unclear(","))
    if delimiter == "," and (with_point is None or not _grouped_next_to_small(numbers)):
        unclear = with_point and with_comma
    else:
        unclear = with_point or with_comma
    if unclear:
        digits = unclear.replace(".", "").replace(",", "")
        raise InputError(
            f"{origin}: {unclear} can be read in two ways, as {digits} and as {unclear.replace(',', '.')}; say which"
            " mark is the decimal one: --decimal=. or --decimal=,"
        )
    return "."


def read_numbers(column: pd.Series, decimal: Mark, origin: str) -> pd.Series:
    """Return a column of text with its numbers read; a column of other text stays as it is.

    Parameters
    ----------
    column : Series of str
        Without blanks around the cells.
    decimal : {".", ","}
    origin : str
        What errors begin with.

    Returns
    -------
    Series
        Of float64, empty cells being NaN; of objects where some cells are not numbers.

    Raises
    ------
    InputError
        A number has the other mark as its decimal one.
    """
    if not _holds_numbers(column):
        return column
    other = "," if decimal == "." else "."
    strange = _first([column], _shows(other))
    if strange is not None:
        row = int(np.flatnonzero(column.eq(strange))[0]) + 1
        raise InputError(
            f"{origin}: row {row}: {column.name} is {strange}, which is not a number whose decimal mark is {decimal!r};"
            " correct it or choose another --decimal."
        )
    is_number = column.str.fullmatch(_number(decimal))
    is_empty = column.eq("")
    plain = column.where(is_number, "nan").str.replace(f"[{_BLANKS}{other}]", "", regex=True)
    numbers = plain.str.replace(decimal, ".", regex=False).astype(np.float64)
    if (is_number | is_empty).all():
        return numbers
    return numbers.astype(object).where(is_number, column.astype(object))


def _holds_numbers(column: pd.Series) -> bool:
    filled = column[column.ne("")]
    return len(filled) > 0 and float(filled.str.fullmatch(_LIKE_A_NUMBER).mean()) >= _MOSTLY


def _number(decimal: str) -> str:
    grouping = "," if decimal == "." else r"\."
    mark = rf"\{decimal}"
    whole = rf"(?:\d+|\d{{1,3}}(?:[{grouping}{_BLANKS}]\d{{3}})+)"
    return rf"[-+]?(?:{whole}(?:{mark}\d*)?|{mark}\d+){_EXPONENT}"


def _shows(decimal: str) -> str:
    """Return the pattern of numbers that have only one reading, in which `decimal` is or would be the decimal mark."""
    grouping = "," if decimal == "." else r"\."
    mark = rf"\{decimal}"
    grouped = rf"\d{{1,3}}(?:[{grouping}{_BLANKS}]\d{{3}})+"
    several_groups = rf"\d{{1,3}}(?:{grouping}\d{{3}}){{2,}}"
    with_decimals = rf"(?:0\d*|\d{{4,}}|{grouped})?{mark}\d*{_EXPONENT}"
    few_or_many_decimals = rf"\d{{1,3}}{mark}(?:\d{{0,2}}|\d{{4,}}){_EXPONENT}"
    with_exponent = rf"\d{{1,3}}{mark}\d*[eE][-+]?\d+"
    return rf"[-+]?(?:{several_groups}|{with_decimals}|{few_or_many_decimals}|{with_exponent})"


def _unclear(mark: str) -> str:
    return rf"[-+]?[1-9]\d{{0,2}}\{mark}\d{{3}}"


def _first(columns: Iterable[pd.Series], pattern: str) -> str | None:
    """Return the first cell that has a pattern."""
    for column in columns:
        found = column[column.str.fullmatch(pattern)]
        if len(found):
            return str(found.iloc[0])
    return None


def _grouped_next_to_small(columns: Iterable[pd.Series]) -> bool:
    """Tell whether a column holds numbers such as 1.846 next to numbers below 1000 that have no mark."""
    for column in columns:
        has_unclear = column.str.fullmatch(_unclear(".")).any()
        if has_unclear and column.str.fullmatch(_FEW_DIGITS).any():
            return True
    return False

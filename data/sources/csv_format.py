"""The form of a CSV file: delimiter, decimal mark, dates and where its table begins, found out if not given."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from gatecast.data.errors import InputError
from gatecast.data.sources.dates import STEPS
from gatecast.data.sources.numbers import Mark
from gatecast.data.sources.spellings import spelling

_DELIMITERS = ",;\t|"
_LINES = 50
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_COMMENT = "#"
_VALUE = re.compile(r"[-+]?[\d.,:/ -]*\d[\d.,:/ -]*")


@dataclass(frozen=True)
class CsvFormat:
    """The form of a file, as far as it is given; None is to be found out.

    Attributes
    ----------
    delimiter : str, optional
        Between fields.
    decimal : {".", ","}, optional
    date_format : str, optional
        As `datetime.strptime` has it, such as ``%d/%m/%Y``; or ``steps``, where rows are numbered.
    encoding : str, optional
        As Python calls it, such as ``cp1252``.
    """

    delimiter: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise InputError(f"The delimiter {self.delimiter!r} has to be one character, as ';'; choose another.")
        if self.decimal not in (None, ".", ","):
            raise InputError(f"The decimal mark {self.decimal!r} has to be '.' or ','; choose one.")
        if self.date_format is not None and "%" not in self.date_format and self.date_format != STEPS:
            raise InputError(f"The date format {self.date_format!r} has no field such as %Y; write it as %d/%m/%Y.")
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise InputError(
                f"There is no encoding {self.encoding!r}; write utf-8, cp1252, latin-1, shift_jis or another."
            )

    @property
    def mark(self) -> Mark | None:
        """`decimal`, as one of the two that there are."""
        return cast(Mark | None, self.decimal)


@dataclass(frozen=True)
class Layout:
    """Where the table of a file begins, and what is between its fields.

    Attributes
    ----------
    delimiter : str
    skipped : int
        Lines before the header.
    is_of_yahoo : bool
        Whether the header is three lines, as yfinance's ``to_csv()`` writes it.
    encoding : str
        UTF-8, or UTF-16 where the file begins with its mark.
    """

    delimiter: str
    skipped: int
    is_of_yahoo: bool
    encoding: str = "utf-8-sig"


def _is_text_encoding(name: str) -> bool:
    try:
        return "a".encode(name).decode(name) == "a"
    except (LookupError, TypeError, ValueError):
        return False


def find_layout(lines: Sequence[str], delimiter: str | None = None) -> Layout:
    """Find the table in a file that may begin with a line ``sep=;``, comments, or lines of prose.

    Parameters
    ----------
    lines : sequence of str
        The first lines of the file, empty ones included.
    delimiter : str, optional
        If it is known.
    """
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].lstrip().startswith(_COMMENT)):
        start += 1
    told = _SEPARATOR_LINE.fullmatch(lines[start].strip()) if start < len(lines) else None
    if told:
        start += 1
        delimiter = delimiter or told[1]
    rest = [line for line in lines[start:] if line.strip()]
    delimiter = delimiter or find_delimiter(rest)
    rows = list(csv.reader(rest[:_LINES], delimiter=delimiter))
    prose = _lines_of_prose(rows)
    if prose:
        # The table's own delimiter decides, not that of the prose before it.
        start = lines.index(rest[prose], start)
        rows = rows[prose:]
    return Layout(delimiter, start, _is_of_yahoo(rows))


def is_row(header: Sequence[str]) -> bool:
    """Tell whether the first line of a table holds dates and numbers, so that it is a row and names no columns.

    Whole numbers alone may be names.
    """
    cells = [cell.strip() for cell in header]
    return len(cells) > 1 and all(map(_VALUE.fullmatch, cells)) and not all(cell.isdigit() for cell in cells)


def _lines_of_prose(rows: Sequence[Sequence[str]]) -> int:
    """Return how many lines of a single field come before rows that have all the same number, and a header first."""
    widths = [len(row) for row in rows]
    prose = next((place for place, width in enumerate(widths) if width > 1), 0)
    table = widths[prose:]
    if not prose or len(table) < 3 or len(set(table)) > 1:
        return 0
    return 0 if any(_VALUE.fullmatch(cell.strip()) for cell in rows[prose]) else prose


def _is_of_yahoo(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the third line only names the index, as under the two lines of a header with fields and tickers."""
    if len(rows) < 4 or spelling(rows[2][0]) != "ds" or any(cell.strip() for cell in rows[2][1:]):
        return False
    return len(rows[0]) > 1 and len({len(row) for row in rows[:4]}) == 1


def find_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts most of the first lines into the same number of fields, the most of all."""
    widths = {}
    for delimiter in _DELIMITERS:
        counts = Counter(len(row) for row in csv.reader(lines[:_LINES], delimiter=delimiter) if row)
        ((width, count),) = counts.most_common(1) or [(1, 0)]
        widths[delimiter] = (width > 1, count, width)
    return max(widths, key=lambda delimiter: widths[delimiter])

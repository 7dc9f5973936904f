"""What has to hold of every row, and what was found wrong with the rows that break it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date, parse_dates
from gatecast.data.errors import InputError

KEYS = ("unique_id", "ds")
PRICE_COLUMNS = ("open", "high", "low", "close")

# Feeds round each price by itself, so that a high may lie a hair below the close.
ROUNDING = 1e-4

ERROR = "error"
WARNING = "warning"
PROBLEM_COLUMNS = ("severity", "rule", "unique_id", "ds", "row", "column", "value", "problem")


# What is said of a row that breaks a rule, after its column and its value; the order is that of a row's problems.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "name": "but every row needs the name of its series; add it",
        "date": "which is not a date; write dates as 2020-01-31 or 2020-01-31 15:30, all with a UTC offset or none",
        "number": "which is not a finite number; correct or remove the row",
        "price": "but a price is above 0; correct or remove the row",
        "volume": "but a volume is 0 or more; correct or remove the row",
        "high": "below another price of its bar; correct or remove the row",
        "low": "above another price of its bar; correct or remove the row",
        "twice": "the date of an earlier row as well; keep one row for each date",
        "order": "earlier than the row before it in its series; sort the rows by date",
    }
)


@dataclass(frozen=True, eq=False)
class Checked:
    """A frame after its check.

    Attributes
    ----------
    rows : DataFrame
        The rows that break no rule, with their types, sorted by ``unique_id``, then ``ds``.
    refused : DataFrame
        The other rows as they came, with what is wrong in a further column ``problem``.
    problems : DataFrame
        One line for each rule that a row breaks: ``severity``, ``rule``, ``unique_id``, ``ds``, ``row`` (counted from
        1, without a header), ``column``, ``value`` and ``problem``, in words.
    notices : tuple of str
        What was found out about the table or left out of it, a sentence each.
    """

    rows: pd.DataFrame
    refused: pd.DataFrame
    problems: pd.DataFrame
    notices: tuple[str, ...] = ()

    def require(self, origin: str) -> pd.DataFrame:
        """Return the rows, if none was refused.

        Raises
        ------
        InputError
            About the first row that was.
        """
        errors = self.problems[self.problems["severity"] == ERROR]
        if len(errors):
            raise InputError(f"{origin}: {sentence(errors.iloc[0])}.")
        return self.rows


def check_rows(
    frame: pd.DataFrame,
    columns: Sequence[str],
    origin: str,
    kind: Literal["bars", "series"],
    in_order: bool = True,
) -> Checked:
    """Check every row of a frame against the rules of its kind.

    Parameters
    ----------
    frame : DataFrame
        ``unique_id``, ``ds`` and `columns`; others are left out.
    columns : sequence of str
        What has to be a number.
    origin : str
        What the frame was read from; errors begin with it.
    kind : {"bars", "series"}
        Bars have further rules: positive prices, volume of 0 or more, a high and a low that hold the other prices.
    in_order : bool
        Whether the dates of each series have to be ascending; otherwise they are sorted.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or there is no row: nothing can be checked then.
    """
    _require_columns(frame, columns, origin)
    original = frame[[*KEYS, *columns]].reset_index(drop=True)
    order = np.arange(len(original))
    if not in_order:
        order = parse_dates(original["ds"]).sort_values(kind="stable").index.to_numpy()
        original = original.take(order).reset_index(drop=True)
    typed = _typed(original, columns)
    problems = _problems(_broken(typed, columns, kind), original, typed, order + 1)
    wrong = np.zeros(len(typed), dtype=bool)
    wrong[problems["position"].to_numpy(np.int64)] = True
    refused = original[wrong].assign(problem=problems.groupby("position")["text"].agg("; ".join).to_numpy())
    return Checked(_sorted(typed[~wrong]), refused.reset_index(drop=True), problems[list(PROBLEM_COLUMNS)])


def sentence(problem: Mapping[str, Any] | pd.Series) -> str:
    """Return what is wrong with a row, and where, as one sentence without its full stop."""
    where = []
    if problem["rule"] != "name":
        dated = problem["column"] != "ds" and not pd.isna(problem["ds"])
        where = [str(problem["unique_id"]), *([format_date(problem["ds"])] if dated else [])]
    place = f" ({', '.join(where)})" if where else ""
    row = f"row {problem['row']}{place}: " if problem["row"] else f"{', '.join(where)}: "
    return f"{row}{problem['column']} is {problem['value']}, {problem['problem']}"


def as_problems(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return problems as the frame that `Checked` describes."""
    return pd.DataFrame(list(records), columns=list(PROBLEM_COLUMNS))


def _require_columns(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> None:
    for column in (*KEYS, *columns):
        if column not in frame.columns:
            found = ", ".join(reprlib.repr(name) for name in frame.columns[:12] if name != "unique_id")
            raise InputError(
                f"{origin} has no column {column!r}, only {found}; bars need ds, open, high, low, close and volume, "
                "a series needs ds and y: rename or add the column."
            )
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{origin} has two columns for {twice!r}; keep one.")
    if frame.empty:
        raise InputError(f"{origin} has no rows; give at least one.")


def _typed(original: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the frame with its types; what cannot be read is an empty name, NaT or NaN."""
    names = original["unique_id"].astype(str).where(original["unique_id"].notna(), "")
    numbers = {column: _numbers(original[column]) for column in columns}
    return pd.DataFrame({"unique_id": names, "ds": parse_dates(original["ds"]), **numbers})


def _numbers(column: pd.Series) -> np.ndarray:
    # As objects, so that a date does not count as a number; to_numeric alone would take its nanoseconds.
    numeric = column if column.dtype.kind in "fiub" else pd.to_numeric(column.astype(object), errors="coerce")
    return numeric.to_numpy(np.float64, na_value=np.nan)


def _broken(typed: pd.DataFrame, columns: Sequence[str], kind: str) -> Iterator[tuple[str, str, pd.Series]]:
    """Give the rules of `RULES`, in their order, each with the column that it is about and whether a row breaks it."""
    yield "name", "unique_id", typed["unique_id"].str.strip() == ""
    yield "date", "ds", typed["ds"].isna()
    for column in columns:
        yield "number", column, ~np.isfinite(typed[column])
    if kind == "bars":
        for column in columns:
            if column in PRICE_COLUMNS:
                yield "price", column, typed[column] <= 0
        if "volume" in columns:
            yield "volume", "volume", typed["volume"] < 0
        # What is infinite breaks another rule already, and counts as missing here.
        prices = typed[list(PRICE_COLUMNS)].replace([np.inf, -np.inf], np.nan)
        yield "high", "high", prices["high"] < prices.max(axis=1, skipna=False) * (1 - ROUNDING)
        yield "low", "low", prices["low"] > prices.min(axis=1, skipna=False) * (1 + ROUNDING)
    yield "twice", "ds", typed[list(KEYS)].duplicated() & typed["ds"].notna()
    yield "order", "ds", typed["ds"] < typed.groupby("unique_id", sort=False)["ds"].shift()


def _problems(
    broken: Iterable[tuple[str, str, pd.Series]], original: pd.DataFrame, typed: pd.DataFrame, numbers: np.ndarray
) -> pd.DataFrame:
    """Return a line for each rule that a row breaks, row by row.

    `numbers` are those that the rows had where they came from.
    """
    found = [
        (position, rule, column)
        for rule, column, rows in broken
        for position in np.flatnonzero(rows.to_numpy(bool, na_value=False))
    ]
    records = []
    for position, rule, column in sorted(found, key=itemgetter(0)):
        # Text that is not a number is shown as it was written.
        shown = typed if rule in ("price", "volume", "high", "low", "twice", "order") else original
        value = _shown(shown[column].iloc[position])
        records.append(
            {
                "severity": ERROR,
                "rule": rule,
                "unique_id": typed["unique_id"].iloc[position],
                "ds": typed["ds"].iloc[position],
                "row": int(numbers[position]),
                "position": position,
                "column": column,
                "value": value,
                "problem": RULES[rule],
                "text": f"{column} is {value}, {RULES[rule].split(';')[0]}",
            }
        )
    return pd.DataFrame(records, columns=[*PROBLEM_COLUMNS, "position", "text"])


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return format_date(value)
    return reprlib.repr(value) if isinstance(value, str) else str(value)


def _sorted(typed: pd.DataFrame) -> pd.DataFrame:
    # Stable, and by name alone: the dates of each series are ascending already.
    codes, _ = pd.factorize(typed["unique_id"], sort=True)
    return typed.take(np.argsort(codes, kind="stable")).reset_index(drop=True)

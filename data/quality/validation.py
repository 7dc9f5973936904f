"""What has to hold of every row, and what was found wrong with the rows that break it."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date, parse_dates
from gatecast.data.errors import InputError
from gatecast.data.frames import as_numbers, as_text

_LOGGER = logging.getLogger(__name__)
KEYS = ("unique_id", "ds")
PRICE_COLUMNS = ("open", "high", "low", "close")

# Feeds round each price by itself, so that a high may lie a hair below the close.
ROUNDING = 1e-4

ERROR = "error"
WARNING = "warning"
MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", ".", "..", ":")
"""Text, in small letters, that stands for a missing number: as pandas, R, SQL, FRED and Eurostat write it"""
PROBLEM_COLUMNS = ("severity", "rule", "unique_id", "ds", "row", "column", "value", "problem")


# What is said of a row that breaks a rule, after its column and its value; the order is that of a row's problems.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "name": "but every row needs the name of its series; add it",
        "date": "which is not a date; write dates as 2020-01-31 or 2020-01-31 15:30, all with a UTC offset or none",
        "number": "which is not a finite number; correct or remove the row",
        "values": "which is not a finite number, like every other value of the column; write the column as numbers",
        "covariate": "which is not a finite number, like every other value of the column; write it as numbers or leave"
        " it out",
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
        """Return the rows, if none was refused; warnings are logged.

        Raises
        ------
        InputError
            About the first row that was.
        """
        errors = self.problems[self.problems["severity"] == ERROR]
        if len(errors):
            raise InputError(f"{origin}: {sentence(errors.iloc[0])}.")
        for _, problem in self.problems.iterrows():
            _LOGGER.warning("%s: %s.", origin, sentence(problem))
        return self.rows


def check_rows(
    frame: pd.DataFrame,
    columns: Sequence[str],
    origin: str,
    kind: Literal["bars", "series"],
    in_order: bool = True,
    newest_first: bool = True,
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
        Bars have further rules: positive prices, volume of 0 or more, a high and a low that hold the other prices. Of a
        series, a value may be missing, unless the whole column is.
    in_order : bool
        Whether the dates of each series have to be ascending; otherwise they are sorted.
    newest_first : bool
        Whether a series may also begin with its newest row and go back in time; it is sorted, with a warning.

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
    newest = _latest_before(typed)
    turned = _newest_first(typed, newest) if newest_first else order[:0]
    warnings = as_problems([_turned_in_words(typed, turned)] if len(turned) else [])
    if len(turned):
        places = np.arange(len(original))
        places[turned] = turned[::-1]
        order = order[places]
        original = original.take(places).reset_index(drop=True)
        typed = typed.take(places).reset_index(drop=True)
        newest = _latest_before(typed)
    broken = list(_broken(typed, original, columns, kind, newest))
    problems = _problems(broken, original, typed, order + 1)
    wrong = np.zeros(len(typed), dtype=bool)
    for _, _, rows in broken:
        wrong |= rows
    texts = problems.groupby("position")["text"].agg("; ".join).reindex(np.flatnonzero(wrong), fill_value="see row 1")
    refused = original[wrong].assign(problem=texts.to_numpy())
    found = [problems[list(PROBLEM_COLUMNS)], *([warnings] if len(warnings) else [])]
    return Checked(_sorted(typed[~wrong]), refused.reset_index(drop=True), pd.concat(found, ignore_index=True))


def _latest_before(typed: pd.DataFrame) -> pd.Series:
    """Return the latest date in the rows before each row in its series."""
    before = typed.groupby("unique_id", sort=False)["ds"].shift()
    if typed["ds"].notna().all() and not (typed["ds"] < before).any():
        return before  # the latest too
    dated = typed[typed["ds"].notna()]
    latest = dated.groupby("unique_id", sort=False)["ds"].cummax()
    return latest.groupby(dated["unique_id"], sort=False).shift().reindex(typed.index)


def _newest_first(typed: pd.DataFrame, latest: pd.Series) -> np.ndarray:
    """Return the positions of the rows of all series whose dates only go back in time; two rows may be just swapped."""
    falls = typed["ds"] < latest
    if not falls.any():
        return np.array([], dtype=np.int64)
    rises = typed["ds"] > latest
    names = set(typed["unique_id"][falls]) - set(typed["unique_id"][rises])
    dated = typed[typed["ds"].notna() & typed["unique_id"].isin(names)]
    dates = dated.groupby("unique_id", sort=False)["ds"]
    names -= set(dated["unique_id"][dated["ds"] > dates.shift()])
    names &= set(dated["unique_id"][dates.cumcount() >= 2])
    return np.flatnonzero(typed["unique_id"].isin(names))


def _turned_in_words(typed: pd.DataFrame, turned: np.ndarray) -> dict[str, Any]:
    """Return the warning about series that begin with their newest row."""
    first = typed.iloc[turned].dropna(subset=["ds"]).iloc[0]
    others = typed["unique_id"].iloc[turned].nunique() - 1
    as_well = f", as in {others:,} more series" if others else ""
    return {
        "severity": WARNING,
        "rule": "newest first",
        "unique_id": first["unique_id"],
        "ds": first["ds"],
        "row": 0,
        "column": "ds",
        "value": _shown(first["ds"]),
        "problem": f"the newest date, in the first row{as_well}; the rows were sorted by date",
    }


def sentence(problem: Mapping[str, Any] | pd.Series) -> str:
    """Return what is wrong with a row, and where, as one sentence without its full stop.

    A problem of no column is one of all the data, and a sentence already.
    """
    if not problem["column"]:
        return str(problem["problem"])
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
    names = as_text(original["unique_id"]).where(original["unique_id"].notna(), "")
    numbers = {column: _numbers(original[column]) for column in columns}
    return pd.DataFrame({"unique_id": names, "ds": parse_dates(original["ds"]), **numbers})


def _numbers(column: pd.Series) -> np.ndarray:
    # As objects, so that a date does not count as a number; to_numeric alone would take its nanoseconds.
    numeric = column if column.dtype.kind in "fiub" else as_numbers(column.astype(object))
    return numeric.to_numpy(np.float64, na_value=np.nan)


def _is_missing(column: pd.Series) -> pd.Series:
    """Tell which values are none, as against text that cannot be read."""
    if column.dtype.kind in "fiub":
        return column.isna()
    return column.isna() | as_text(column).str.strip().str.lower().isin(MISSING)


def _broken(
    typed: pd.DataFrame, original: pd.DataFrame, columns: Sequence[str], kind: str, latest: pd.Series
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Give the rules of `RULES`, in their order, each with the column that it is about and whether a row breaks it."""
    for rule, column, rows in _rules(typed, original, columns, kind, latest):
        yield rule, column, rows.to_numpy(bool, na_value=False)


def _rules(
    typed: pd.DataFrame, original: pd.DataFrame, columns: Sequence[str], kind: str, latest: pd.Series
) -> Iterator[tuple[str, str, pd.Series]]:
    yield "name", "unique_id", typed["unique_id"].str.strip() == ""
    yield "date", "ds", typed["ds"].isna()
    needed = ("y",) if kind == "series" else ("volume", *PRICE_COLUMNS)
    for column in columns:
        wrong = ~np.isfinite(typed[column])
        if len(typed) > 1 and wrong.all():
            yield ("values" if column in needed else "covariate"), column, wrong
        elif kind == "series" and wrong.any():
            yield "number", column, wrong & ~_is_missing(original[column])
        else:
            yield "number", column, wrong
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
    yield "order", "ds", typed["ds"] < latest


def _problems(
    broken: Iterable[tuple[str, str, np.ndarray]], original: pd.DataFrame, typed: pd.DataFrame, numbers: np.ndarray
) -> pd.DataFrame:
    """Return a line for each rule that a row breaks, row by row; one line for a column without any number.

    `numbers` are those that the rows had where they came from.
    """
    found = [pd.DataFrame(columns=[*PROBLEM_COLUMNS, "position", "text"])]
    for rule, column, rows in broken:
        positions = np.flatnonzero(rows)[: 1 if rule in ("values", "covariate") else None]
        if not len(positions):
            continue
        # Text that is not a number is shown as it was written.
        shown = typed if rule in ("price", "volume", "high", "low", "twice", "order") else original
        values = [_shown(value) for value in shown[column].iloc[positions]]
        lines = typed[list(KEYS)].iloc[positions].astype(object)
        text = RULES[rule].split(";")[0]
        found.append(
            lines.assign(
                severity=ERROR,
                rule=rule,
                row=numbers[positions],
                position=positions,
                column=column,
                value=values,
                problem=RULES[rule],
                text=[f"{column} is {value}, {text}" for value in values],
            )
        )
    if len(found) == 1:
        return found[0]
    return pd.concat(found[1:], ignore_index=True).sort_values("position", kind="stable", ignore_index=True)


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return format_date(value)
    return reprlib.repr(value) if isinstance(value, str) else str(value)


def _sorted(typed: pd.DataFrame) -> pd.DataFrame:
    # Stable, and by name alone: the dates of each series are ascending already.
    codes, _ = pd.factorize(typed["unique_id"], sort=True)
    return typed.take(np.argsort(codes, kind="stable")).reset_index(drop=True)

"""What has to hold of every row, as a schema, and what was found wrong with the rows that break it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from data.dates import format_date, parse_dates
from data.errors import InputError

if TYPE_CHECKING:
    import pandera.pandas as pa

KEYS = ("unique_id", "ds")
PRICE_COLUMNS = ("open", "high", "low", "close")

# Feeds round each price by itself, so that a high may lie a hair below the close.
ROUNDING = 1e-4

ERROR, WARNING = "error", "warning"
PROBLEM_COLUMNS = ("severity", "rule", "unique_id", "ds", "row", "column", "value", "problem")


class Rule(NamedTuple):
    """What is said of a row that breaks a rule; where the rule compares columns, one of them is named."""

    problem: str
    column: str | None = None


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "name": Rule("but every row needs the name of its series; add it"),
        "date": Rule(
            "which is not a date; write dates as 2020-01-31 or 2020-01-31 15:30, all with a UTC offset or none"
        ),
        "number": Rule("which is not a finite number; correct or remove the row"),
        "price": Rule("but a price is above 0; correct or remove the row"),
        "volume": Rule("but a volume is 0 or more; correct or remove the row"),
        "high": Rule("below another price of its bar; correct or remove the row", "high"),
        "low": Rule("above another price of its bar; correct or remove the row", "low"),
        "twice": Rule("the date of an earlier row as well; keep one row for each date", "ds"),
        "order": Rule("earlier than the row before it in its series; sort the rows by date", "ds"),
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
    """

    rows: pd.DataFrame
    refused: pd.DataFrame
    problems: pd.DataFrame

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
    """Check every row of a frame against the schema of its kind.

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
    import pandera.pandas as pa

    _require_columns(frame, columns, origin)
    original = frame[[*KEYS, *columns]].reset_index(drop=True)
    order = np.arange(len(original))
    if not in_order:
        order = parse_dates(original["ds"]).sort_values(kind="stable").index.to_numpy()
        original = original.take(order).reset_index(drop=True)
    typed = _typed(original, columns)
    schema = _schema(columns, kind)
    try:
        schema.validate(typed, lazy=True)
        failures = pd.DataFrame({"rule": [], "column": [], "index": []})
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.rename(columns={"check": "rule"})
    problems = _problems(failures, original, typed, order + 1)
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
    # As objects, so that a date is no number; to_numeric alone would take its nanoseconds.
    numeric = column if column.dtype.kind in "fiub" else pd.to_numeric(column.astype(object), errors="coerce")
    return numeric.to_numpy(np.float64, na_value=np.nan)


def _schema(columns: Sequence[str], kind: str) -> pa.DataFrameSchema:
    """Return the schema of a typed frame; each check is named after its rule in `RULES`."""
    import pandera.pandas as pa

    def number(*checks: pa.Check) -> pa.Column:
        finite = pa.Check(np.isfinite, error="number", ignore_na=False)
        return pa.Column(float, [finite, *checks], nullable=True)

    keys = {
        "unique_id": pa.Column(str, pa.Check(lambda names: names.str.strip() != "", error="name")),
        "ds": pa.Column(None, pa.Check(lambda dates: dates.notna(), error="date", ignore_na=False), nullable=True),
    }
    of_frame = [
        pa.Check(_is_first_of_its_date, error="twice", ignore_na=False),
        pa.Check(_is_in_order, error="order", ignore_na=False),
    ]
    if kind == "series":
        return pa.DataFrameSchema({**keys, **{column: number() for column in columns}}, checks=of_frame)
    further = {column: [pa.Check.gt(0, error="price")] for column in PRICE_COLUMNS}
    further["volume"] = [pa.Check.ge(0, error="volume")]
    bars = {column: number(*further.get(column, [])) for column in columns}
    of_bars = [
        pa.Check(_holds_from_above, error="high", ignore_na=False),
        pa.Check(_holds_from_below, error="low", ignore_na=False),
    ]
    return pa.DataFrameSchema({**keys, **bars}, checks=[*of_bars, *of_frame])


def _is_first_of_its_date(frame: pd.DataFrame) -> pd.Series:
    return ~frame[list(KEYS)].duplicated() | frame["ds"].isna()


def _is_in_order(frame: pd.DataFrame) -> pd.Series:
    former = frame.groupby("unique_id", sort=False)["ds"].shift()
    return ~(frame["ds"] < former)


def _holds_from_above(bars: pd.DataFrame) -> pd.Series:
    return ~((bars["high"] < _prices(bars).max(axis=1) * (1 - ROUNDING)) & _prices(bars).notna().all(axis=1))


def _holds_from_below(bars: pd.DataFrame) -> pd.Series:
    return ~((bars["low"] > _prices(bars).min(axis=1) * (1 + ROUNDING)) & _prices(bars).notna().all(axis=1))


def _prices(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the prices; what is infinite breaks another rule already, and counts as missing here."""
    return bars[list(PRICE_COLUMNS)].replace([np.inf, -np.inf], np.nan)


def _problems(failures: pd.DataFrame, original: pd.DataFrame, typed: pd.DataFrame, numbers: np.ndarray) -> pd.DataFrame:
    """Turn pandera's failure cases, of which a frame's check gives one for each column, into problems by row.

    `numbers` are those that the rows had where they came from.
    """
    ranks = {rule: rank for rank, rule in enumerate(RULES)}
    columns = [RULES[rule].column or column for rule, column in failures[["rule", "column"]].to_numpy()]
    failures = failures.assign(column=columns, rank=failures["rule"].map(ranks), position=failures["index"].astype(int))
    failures = failures.drop_duplicates(["position", "rule", "column"]).sort_values(["position", "rank"])
    records = []
    for position, rule, column in failures[["position", "rule", "column"]].itertuples(index=False):
        # Text that is no number is shown as it was written.
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
                "problem": RULES[rule].problem,
                "text": f"{column} is {value}, {RULES[rule].problem.split(';')[0]}",
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

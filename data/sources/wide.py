"""Wide tables, made long: a column for each series, or a row for each series and a column for each date."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.sources.dates import read_dates

__all__ = ["dated_columns", "from_columns", "from_rows"]

_LEAST_DATES = 3


def dated_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that are called by dates, if most of them are."""
    dated = [name for name in names if name[:1].isdigit()]
    if len(dated) < max(_LEAST_DATES, len(names) / 2):
        return []
    try:
        dates = read_dates(pd.Series(dated), None, "")
    except InputError:  # bare numbers, or dates that can be read in two ways
        return []
    is_read = pd.api.types.is_datetime64_any_dtype(dates) and dates.is_unique
    return dated if is_read and dates.notna().all() else []


def from_columns(frame: pd.DataFrame, series: Sequence[str]) -> pd.DataFrame:
    """Return a long frame of a table with timestamps in ``ds`` and a column for each series."""
    return _within(frame.melt(id_vars="ds", value_vars=list(series), var_name="unique_id", value_name="y"))


def from_rows(frame: pd.DataFrame, dated: Sequence[str]) -> pd.DataFrame:
    """Return a long frame of a table with the names of series in ``unique_id`` and a column for each date."""
    names = frame["unique_id"].drop_duplicates()
    long = frame.melt(id_vars="unique_id", value_vars=list(dated), var_name="ds", value_name="y")
    order = long["unique_id"].map({name: place for place, name in enumerate(names)})
    return _within(long.iloc[order.argsort(kind="stable")].reset_index(drop=True))


def _within(long: pd.DataFrame) -> pd.DataFrame:
    """Let a series begin and end where it has values; a hole within it is a missing value."""
    filled = long["y"].notna().groupby(long["unique_id"])
    begun = filled.cummax()
    going_on = long["y"].notna()[::-1].groupby(long["unique_id"][::-1]).cummax()[::-1]
    return long[begun & going_on].reset_index(drop=True)

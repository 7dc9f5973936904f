"""A frame as a person gives it in Python: which of its columns are the names, the times and the values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import pandas as pd

from gatecast.data.dates.steps import are_steps, dates_of_steps
from gatecast.data.frames import as_pandas, as_text
from gatecast.data.sources.columns import Columns, arranged
from gatecast.data.sources.dates import read_dates
from gatecast.data.sources.spellings import fallback, spelling

__all__ = ["ColumnNames", "GivenFrame", "columns_of", "read_frame"]

_LOGGER = logging.getLogger(__name__)
_KEYS = frozenset({"unique_id", "ds"})
_ONE_SERIES = "series"
"""Name of the series of a frame without a column for it"""


class ColumnNames(TypedDict, total=False):
    """What a person says of the columns of a frame: the options of the command line, as Python writes them."""

    id_column: str | Sequence[str] | None
    """Column with the names of the series; several that name them together as a list"""
    time_column: str | None
    """Column with the timestamps"""
    target: str | None
    """Column that is forecast"""
    exclude: Sequence[str]
    """Columns to leave out"""


@dataclass(frozen=True, eq=False)
class GivenFrame:
    """A frame whose columns are known.

    Attributes
    ----------
    frame : DataFrame
        ``unique_id``, ``ds``, ``y`` and covariates; not checked.
    names : DataFrame
        The columns that name the series, a row for each series, in the order in which they first came, indexed by its
        name here; no columns where the frame has none for it.
    time, target : str
        What ``ds`` and ``y`` were called.
    is_numbered : bool
        Whether rows were numbered instead of dated.
    """

    frame: pd.DataFrame
    names: pd.DataFrame
    time: str
    target: str
    is_numbered: bool


def columns_of(
    id_column: str | Sequence[str] | None = None,
    time_column: str | None = None,
    target: str | None = None,
    exclude: Sequence[str] = (),
) -> Columns:
    """Return what a person says of the columns of a frame."""
    names = id_column if id_column is None or isinstance(id_column, str) else ",".join(id_column)
    return Columns(names, time_column, target, (exclude,) if isinstance(exclude, str) else tuple(exclude))


def read_frame(frame: Any, columns: Columns, origin: str = "The series frame") -> GivenFrame:
    """Find the columns of a frame, as those of a file are found.

    A frame with ``unique_id`` and ``ds`` stays as it is if it has none of the columns that were named, so that a model
    takes both. What is found out about another one is logged.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, polars or Arrow. An index of dates is a column of them, and whole numbers in place of dates are
        steps.
    columns : Columns
        What was said of them.
    origin : str
        What errors begin with.

    Raises
    ------
    InputError
        A column that was named is not there, or cannot be told from others.
    """
    frame = as_pandas(frame, origin)
    if _has_names_here(frame, columns):
        left = [name for name in frame.columns if str(name) in columns.exclude]
        return _dated(frame.drop(columns=left), frame, {}, origin)
    source = _with_index(frame)
    table = arranged(source, columns, origin, may_be_bars=False, say=_as_argument)
    for notice in table.notices:
        _LOGGER.warning("%s", notice)
    return _dated(table.frame, source.rename(columns=lambda name: str(name).strip()), table.written, origin)


def _has_names_here(frame: pd.DataFrame, columns: Columns) -> bool:
    """Tell whether a frame has ``unique_id`` and ``ds``, and none of the columns that were named instead.

    If such a frame lacks ``y``, no other column is taken for it: it may be a covariate.
    """
    found = {str(name) for name in frame.columns}
    named = {name for name in (columns.id, columns.time, columns.target) if name} | set((columns.id or "").split(","))
    if not found >= _KEYS or (named - _KEYS - {"y"}) & found:
        return False
    return "y" in found or not any("y" in (spelling(name), fallback(name)) for name in found)


def _dated(frame: pd.DataFrame, source: pd.DataFrame, written: Mapping[str, str], origin: str) -> GivenFrame:
    """Read the dates of a frame whose columns have their names here, and keep the names that they had."""
    time = written.get("ds", "ds")
    is_numbered = "ds" in frame.columns and are_steps(frame["ds"])
    if is_numbered:
        frame = frame.assign(ds=dates_of_steps(frame["ds"], origin))
    elif "ds" in frame.columns:
        frame = frame.assign(ds=_dates(frame["ds"], time, origin))
    if "unique_id" not in frame.columns:
        frame = frame.assign(unique_id=_ONE_SERIES)
        ids = []
    else:
        name = written.get("unique_id", "unique_id")
        ids = [name] if name in source.columns else name.split(",")
    first = ~frame["unique_id"].duplicated().to_numpy()
    names = source.loc[first, ids].set_axis(as_text(frame["unique_id"][first]), axis=0)
    return GivenFrame(frame, names, time, written.get("y", "y"), is_numbered)


def _dates(column: pd.Series, name: str, origin: str) -> pd.Series:
    """Read dates as those of a file are read; what is neither text nor a number is left to the check of the rows."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    is_text = pd.api.types.infer_dtype(column, skipna=True) == "string"
    if not is_text and not pd.api.types.is_integer_dtype(column):
        return column
    way_out = f"convert it first, as with pd.to_datetime(df[{name!r}], format=...)"
    return read_dates(column, None, origin, say_which=way_out, count_steps=way_out)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Make an index of dates, or one that has a name, a column."""
    if isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex):
        return frame.rename_axis(index=str(frame.index.name or "ds")).reset_index()
    return frame.reset_index() if all(name is not None for name in frame.index.names) else frame


def _as_argument(name: str, value: str | None = None) -> str:
    """Return how an attribute of `Columns` is given in Python, as ``id_column='store'``."""
    if name == "is_wide":
        return ""
    argument = {"id": "id_column", "time": "time_column"}.get(name, name)
    if value is None:
        return argument
    given = value.split(",") if "," in value or name == "exclude" else value
    return f"{argument}={given!r}"

"""The long frame: ``unique_id, ds, y, covariates...``, as Nixtla's libraries have it, and checks that bars share."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.dates import format_date, parse_dates
from data.errors import InputError

KEYS = ("unique_id", "ds")


def validate_series(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Check a series frame and return it in its one form.

    Parameters
    ----------
    frame : DataFrame
        Columns ``unique_id``, ``ds``, ``y``; every further column is a covariate and has to be numeric.
    origin : str
        What the frame was read from; errors begin with it.

    Returns
    -------
    DataFrame
        ``unique_id`` (str), ``ds`` (datetime64[ns], naive or with a time zone), ``y`` and the covariates (float64),
        sorted by ``unique_id``, then ``ds``.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or a row holds text, NaN or infinity where a number belongs, no date, a
        date twice, or a date out of order. The row is counted from 1, without the header.
    """
    frame = frame.rename(columns=str)
    covariates = [column for column in frame.columns if column not in (*KEYS, "y")]
    return sort_rows(typed_frame(frame, ["y", *covariates], origin), origin)


def typed_frame(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> pd.DataFrame:
    """Return keys and number `columns` with their types, rows in the order of the file.

    Raises
    ------
    InputError
        As `validate_series`, but for the order of the rows.
    """
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

    frame = frame.reset_index(drop=True)
    typed = pd.DataFrame({"unique_id": frame["unique_id"].astype(str)})
    nameless = frame["unique_id"].isna() | (typed["unique_id"].str.strip() == "")
    reject_rows(typed[[]], nameless, origin, frame["unique_id"], "but every row needs the name of its series; add it")
    ds = parse_dates(frame["ds"])
    problem = "which is not a date; write dates as 2020-01-31 or 2020-01-31 15:30, all with a UTC offset or none"
    reject_rows(typed, ds.isna(), origin, frame["ds"], problem)
    typed["ds"] = ds
    numbers = {column: _numbers(typed, frame[column], origin) for column in columns}
    return typed.assign(**numbers)


def _numbers(keys: pd.DataFrame, column: pd.Series, origin: str) -> np.ndarray:
    # As objects, so that a date is no number; to_numeric alone would take its nanoseconds.
    numeric = column if column.dtype.kind in "fiub" else pd.to_numeric(column.astype(object), errors="coerce")
    numbers = numeric.to_numpy(np.float64, na_value=np.nan)
    wrong = pd.Series(~np.isfinite(numbers))
    reject_rows(keys, wrong, origin, column, "which is not a finite number; correct or remove the row")
    return numbers


def sort_rows(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Sort by ``unique_id``; the dates of each series have to be ascending already.

    Raises
    ------
    InputError
        A series has a date twice or out of order.
    """
    codes, _ = pd.factorize(frame["unique_id"], sort=True)
    repeated = pd.DataFrame({"series": codes, "ds": frame["ds"]}).duplicated()
    reject_rows(frame, repeated, origin, frame["ds"], "the date of an earlier row as well; keep one row for each date")
    order = np.argsort(codes, kind="stable")
    ordered = frame.take(order).reset_index(drop=True)
    backwards = np.zeros(len(frame), dtype=bool)
    backwards[order[1:]] = (np.diff(codes[order]) == 0) & (
        np.diff(ordered["ds"].to_numpy("datetime64[ns]").view(np.int64)) < 0
    )
    reject_rows(
        frame,
        pd.Series(backwards),
        origin,
        frame["ds"],
        "earlier than the row before it in its series; sort the rows by date",
    )
    return ordered


def reject_rows(keys: pd.DataFrame, wrong: pd.Series, origin: str, values: pd.Series, problem: str) -> None:
    """Raise InputError about the first row that is `wrong`, with its number, keys and value."""
    if not wrong.any():
        return
    row = int(wrong.to_numpy().argmax())
    names = [str(keys["unique_id"].iloc[row])] if "unique_id" in keys else []
    dates = [format_date(keys["ds"].iloc[row])] if "ds" in keys and values.name != "ds" else []
    where = f" ({', '.join(names + dates)})" if names else ""
    value = values.iloc[row]
    if isinstance(value, pd.Timestamp):
        value = format_date(value)
    elif isinstance(value, str):
        value = reprlib.repr(value)
    raise InputError(f"{origin}: row {row + 1}{where}: {values.name} is {value}, {problem}.")

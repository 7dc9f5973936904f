"""Frames of other libraries, as pandas has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError

__all__ = ["as_numbers", "as_pandas", "as_text", "series_of", "utc"]


def as_pandas(frame: Any, origin: str) -> pd.DataFrame:
    """Return a frame of pandas, polars, Arrow or whatever else narwhals knows as one of pandas.

    Parameters
    ----------
    frame : DataFrame or Table
        One of pandas is returned as it is.
    origin : str
        What errors begin with.

    Raises
    ------
    InputError
        It is no frame.
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    import narwhals

    try:
        native = narwhals.from_native(frame)
        eager = native.collect() if isinstance(native, narwhals.LazyFrame) else native
        return eager.to_pandas()
    except (TypeError, ModuleNotFoundError) as error:
        raise InputError(
            f"{origin} is a {type(frame).__name__}, which is no frame; give one of pandas, polars or pyarrow."
        ) from error


def as_text(column: pd.Series) -> pd.Series:
    """Return the values of a column as text; bytes that are not UTF-8 are escaped."""
    try:
        return column.astype(str)
    except UnicodeDecodeError:
        return column.map(lambda value: repr(value) if isinstance(value, bytes) else value).astype(str)


def as_numbers(column: pd.Series) -> pd.Series:
    """Return the values of a column as numbers: NaN what is none, infinity what is too large for a float."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:
        largest = int(np.finfo(np.float64).max)
        too_large = column.map(lambda value: isinstance(value, int) and abs(value) > largest)
        return pd.to_numeric(column.mask(too_large, np.inf), errors="coerce")


def series_of(frame: pd.DataFrame) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the series of a frame whose series lie one after another, and where each begins and ends.

    Rows of series k are ``offsets[k]:offsets[k + 1]``; the offsets are int64, (n_series + 1,).
    """
    codes, names = pd.factorize(frame["unique_id"])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)
    return tuple(str(name) for name in names), offsets


def utc(ds: pd.DatetimeIndex) -> np.ndarray:
    """Return timestamps as datetime64[ns], in UTC if there is a time zone."""
    return (ds if ds.tz is None else ds.tz_convert(None)).to_numpy("datetime64[ns]")

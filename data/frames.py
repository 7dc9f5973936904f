"""Frames of other libraries, as pandas has them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gatecast.data.errors import InputError

__all__ = ["as_pandas"]


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

"""The long frame: ``unique_id, ds, y, covariates...``, as Nixtla's libraries have it."""

from __future__ import annotations

import pandas as pd

from gatecast.data.frames import as_pandas
from gatecast.data.quality.validation import KEYS, Checked, check_rows


def validate_series(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Check a series frame and return it in its one form.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, polars or Arrow. Columns ``unique_id``, ``ds``, ``y``; every further column is a covariate and has to
        be numeric.
    origin : str
        What the frame was read from; errors begin with it.

    Returns
    -------
    DataFrame
        ``unique_id`` (str), ``ds`` (datetime64[ns], naive or with a time zone), ``y`` and the covariates (float64, NaN
        where a value is missing), sorted by ``unique_id``, then ``ds``.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or holds no number at all, or a row holds text or infinity where a number
        belongs, no date, a date twice, or a date out of order, unless all dates of a series are in descending order.
        The row is counted from 1, without the header.
    """
    return check_series(frame, origin).require(origin)


def check_series(frame: pd.DataFrame, origin: str, in_order: bool = True, newest_first: bool = True) -> Checked:
    """Check a series frame as `validate_series` does, but sort its rows into good and refused ones.

    `in_order` and `newest_first` are those of `data.quality.validation.check_rows`.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or there is no row.
    """
    frame = as_pandas(frame, origin).rename(columns=str)
    covariates = [column for column in frame.columns if column not in (*KEYS, "y")]
    return check_rows(frame, ["y", *dict.fromkeys(covariates)], origin, "series", in_order, newest_first)

"""Price bars: their columns, their check and coarser intervals."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.quality.validation import PRICE_COLUMNS, Checked, check_rows

BAR_COLUMNS = (*PRICE_COLUMNS, "volume")

# Interval: (pandas frequency, longest usual step between rows).
INTERVALS: Mapping[str, tuple[str, pd.Timedelta]] = MappingProxyType(
    {
        "1d": ("D", pd.Timedelta(days=1)),
        "1wk": ("W-SUN", pd.Timedelta(days=7)),
        "1mo": ("ME", pd.Timedelta(days=31)),
    }
)

# Finer intervals, which not every source has, and how long their bars last.
INTRADAY: Mapping[str, pd.Timedelta] = MappingProxyType(
    {
        **{f"{minutes}m": pd.Timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30, 90)},
        "1h": pd.Timedelta(hours=1),
    }
)


def validate_bars(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Check a bars frame and return it in its one form.

    Parameters
    ----------
    frame : DataFrame
        Columns ``unique_id``, ``ds``, ``open``, ``high``, ``low``, ``close``, ``volume`` and, if there, ``adj_close``;
        further columns are left out.
    origin : str
        What the frame was read from; errors begin with it.

    Returns
    -------
    DataFrame
        ``unique_id`` (str), ``ds`` (datetime64[ns], naive or with a time zone) and the numbers (float64), sorted by
        ``unique_id``, then ``ds``. Prices are in the currency of the file, volume in its unit.

    Raises
    ------
    InputError
        As `data.quality.series.validate_series`; also a price that is not positive, a negative volume, or a high or low
        that the other prices exceed.
    """
    return check_bars(frame, origin).require(origin)


def check_bars(frame: pd.DataFrame, origin: str, in_order: bool = True) -> Checked:
    """Check a bars frame as `validate_bars` does, but sort its rows into good and refused ones.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or there is no row.
    """
    columns = [*BAR_COLUMNS, "adj_close"] if "adj_close" in frame.columns else list(BAR_COLUMNS)
    return check_rows(frame, columns, origin, "bars", in_order)


def resample_bars(frame: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Merge bars into days, weeks or months.

    Parameters
    ----------
    frame : DataFrame
        Valid bars, as fine as the interval or finer.
    interval : {"1d", "1wk", "1mo"}
        A day's bar carries its date, a week's the Sunday that ends it, a month's its last calendar day, so that all of
        a bar is known at its ``ds``. A last week or month that still lacks a business day is left out.

    Returns
    -------
    DataFrame
        Bars with naive dates; first open, highest high, lowest low, last close, summed volume.

    Raises
    ------
    InputError
        An unknown interval, one finer than the data, or no period that is complete.
    """
    if interval not in INTERVALS:
        raise InputError(f"Unknown interval {interval!r}; choose one of {', '.join(INTERVALS)}.")
    frequency, longest_step = INTERVALS[interval]
    steps = frame.groupby("unique_id", sort=False)["ds"].diff()
    typical_step = steps.groupby(frame["unique_id"]).median()
    if (typical_step > longest_step).any():
        symbol = str((typical_step > longest_step).idxmax())
        raise InputError(
            f"Interval {interval} is finer than the bars of {symbol}, which lie {typical_step[symbol]} apart; "
            "choose a longer interval."
        )
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "adj_close": "last", "volume": "sum"}
    # A bar belongs to the day it has in its own time zone.
    dated = frame.assign(ds=frame["ds"].dt.tz_localize(None))
    periods = dated.groupby(["unique_id", pd.Grouper(key="ds", freq=frequency)])
    merged = periods.agg({column: how[column] for column in frame.columns if column in how})
    next_day = pd.DatetimeIndex(periods["ds"].max()).normalize() + pd.offsets.BDay(1)
    merged = merged.reset_index()
    unfinished = ~merged["unique_id"].duplicated(keep="last") & (next_day <= merged["ds"])
    if unfinished.all():
        raise InputError(
            f"The bars do not fill one interval of {interval}; give more rows or choose a shorter interval."
        )
    return merged[~unfinished].reset_index(drop=True)

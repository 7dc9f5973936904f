"""Splits and dividends: bars as they were traded, and bars adjusted to today's shares.

A source gives prices that are adjusted to the day of the request, so its history changes with every split and dividend.
Bars as they were traded never change; the adjusted ones follow from them and the actions.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.quality.validation import PRICE_COLUMNS

Adjustment = Literal["all", "splits", "none"]


def split_factors(split: pd.Series) -> np.ndarray:
    """Return what turns a price of each day into one of today's shares: 1 over the product of all later splits.

    Parameters
    ----------
    split : Series, (rows,)
        New shares for an old one from that row on; 1 without a split. A row of the day itself is in new shares.

    Returns
    -------
    float64, (rows,)
    """
    return 1 / _product_of_later(split.to_numpy(np.float64))


def dividend_factors(bars: pd.DataFrame) -> np.ndarray:
    """Return what takes the later dividends out of each price: the product of ``1 - dividend / previous close``.

    Parameters
    ----------
    bars : DataFrame, (rows,)
        As traded, of one symbol: ``close``, ``dividend``, ``split``.

    Returns
    -------
    float64, (rows,)

    References
    ----------
    CRSP, "Data Definitions & Coding Schemes": factor to adjust price, as Yahoo uses it for its adjusted close.
    """
    # A dividend is paid in new shares' money if a split falls on the same day.
    previous = bars["close"].shift() / bars["split"]
    factor = (1 - bars["dividend"] / previous).fillna(1.0).to_numpy()
    # A payment of the whole price and more is a liquidation, which no factor describes.
    return _product_of_later(np.where(factor > 0, factor, 1.0))


def _product_of_later(values: np.ndarray) -> np.ndarray:
    later = np.append(values[1:], 1.0)
    return np.cumprod(later[::-1])[::-1]


def as_traded(bars: pd.DataFrame) -> pd.DataFrame:
    """Return split-adjusted bars of one symbol, as a source gives them up to today, as they were traded.

    Parameters
    ----------
    bars : DataFrame
        ``open``, ``high``, ``low``, ``close``, ``volume``, ``dividend``, ``split``, with every later split among the
        rows.
    """
    factor = split_factors(bars["split"])
    traded = {column: bars[column] / factor for column in (*PRICE_COLUMNS, "dividend")}
    return bars.assign(**traded, volume=bars["volume"] * factor)


def adjust(bars: pd.DataFrame, adjustment: Adjustment = "all") -> pd.DataFrame:
    """Return bars of one symbol, as they were traded, in today's shares and without the dividends' drops.

    Parameters
    ----------
    bars : DataFrame
        As `as_traded` returns them.
    adjustment : {"all", "splits", "none"}
        What is adjusted for.

    Returns
    -------
    DataFrame
        The same columns without ``dividend`` and ``split``; the last row is as it was.

    Raises
    ------
    InputError
        An unknown adjustment.
    """
    if adjustment not in get_args(Adjustment):
        raise InputError(f"Unknown adjustment {adjustment!r}; choose one of {', '.join(get_args(Adjustment))}.")
    adjusted = bars.drop(columns=["dividend", "split"])
    if adjustment == "none":
        return adjusted
    shares = split_factors(bars["split"])
    factor = shares * dividend_factors(bars) if adjustment == "all" else shares
    return adjusted.assign(
        **{column: bars[column] * factor for column in PRICE_COLUMNS}, volume=bars["volume"] / shares
    )


def adjusted_close(bars: pd.DataFrame) -> pd.Series:
    """Return the close of one symbol's bars, as they were traded, adjusted for splits and dividends."""
    return adjust(bars, "all")["close"]

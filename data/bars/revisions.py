"""Merging the end of a history, fetched again, into the stored rows: what is new, revised, withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from gatecast.data.bars.adjustment import adjusted_close
from gatecast.data.bars.prices import BAR_COLUMNS
from gatecast.data.dates.timestamps import DAY
from gatecast.data.quality.validation import PRICE_COLUMNS

_OVERLAP_ROWS = 10
_OVERLAP_INTRADAY = DAY
_ROWS_THAT_SHOW_HISTORY = 3
"""A revision of one of the overlap's first rows counts as a revision of all rows before it"""
_SAME_PRICE = 1e-5
SAME_ADJUSTED_CLOSE = 5e-3
"""Dividends are rounded, so that adjusted closes differ a little; by more than this, an action is missing"""


@dataclass(frozen=True, eq=False)
class Merged:
    """Stored rows with fetched ones.

    Attributes
    ----------
    rows : DataFrame
        All rows, fetched ones in place of stored ones of the same time; ``adj_close`` computed again.
    new : DataFrame
        The rows that were not stored before.
    revised : int
        Stored rows that the source now gives with other values.
    withdrawn : DataFrame
        Stored rows that the source no longer gives.
    """

    rows: pd.DataFrame
    new: pd.DataFrame
    revised: int
    withdrawn: pd.DataFrame


def merge(stored: pd.DataFrame | None, fetched: pd.DataFrame) -> Merged:
    """Merge bars of one symbol, as they were traded and sorted by time."""
    if stored is None:
        return Merged(fetched.assign(adj_close=adjusted_close(fetched)), fetched, 0, fetched.iloc[:0])
    if stored["ds"].dt.tz is not None:
        stored = stored.assign(ds=stored["ds"].dt.tz_convert(fetched["ds"].dt.tz))
    is_older = stored["ds"] < fetched["ds"].iloc[0]
    both = stored.merge(fetched, on="ds", suffixes=("", "_now"))
    same = np.ones(len(both), dtype=bool)
    for column in (*BAR_COLUMNS, "dividend", "split"):
        same &= np.isclose(both[column], both[f"{column}_now"], rtol=_SAME_PRICE)
    rows = pd.concat([stored[is_older], fetched], ignore_index=True)
    return Merged(
        rows=rows.assign(adj_close=adjusted_close(rows)),
        new=fetched[~fetched["ds"].isin(stored["ds"])],
        revised=int((~same).sum()),
        withdrawn=stored[~is_older & ~stored["ds"].isin(fetched["ds"])],
    )


def overlap_start(ds: pd.Series, is_intraday: bool) -> date:
    """Return the day from which the end of stored rows is fetched again, since their last values change."""
    if is_intraday:
        return (ds.iloc[-1] - _OVERLAP_INTRADAY).date()
    return ds.iloc[-min(_OVERLAP_ROWS, len(ds))].date()


def history_has_changed(stored: pd.DataFrame, fetched: pd.DataFrame) -> bool:
    """Tell whether the end of a history, fetched again, shows that the stored rows before it are no longer valid.

    That is so if the first of the stored rows that were fetched again have other prices, or if no such row was fetched.
    """
    both = stored.merge(fetched.dropna(), on="ds", suffixes=("", "_now")).head(_ROWS_THAT_SHOW_HISTORY)
    same = [np.isclose(both[column], both[f"{column}_now"], rtol=_SAME_PRICE) for column in PRICE_COLUMNS]
    return both.empty or not np.all(same)


def adjustment_error(fetched: pd.DataFrame) -> float:
    """Return how far the adjusted close that follows from the actions is from the source's own, as a share of it."""
    if fetched.empty:
        return 0.0
    return float((adjusted_close(fetched) / fetched["adj_close"] - 1).abs().max())


def carry_actions(bars: pd.DataFrame, good: pd.DataFrame) -> pd.DataFrame:
    """Give good bars their splits and dividends, and those of bars that were refused to the good one after them."""
    place = np.searchsorted(good["ds"].to_numpy(), bars["ds"].to_numpy())
    within = place < len(good)
    moved = bars[within].groupby(place[within]).agg({"dividend": "sum", "split": "prod"})
    moved = moved.reindex(range(len(good)))
    return good.assign(dividend=moved["dividend"].fillna(0.0), split=moved["split"].fillna(1.0))

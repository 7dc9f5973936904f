"""Which part of a source is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import pandas as pd

from gatecast.data.bars.prices import INTERVALS, INTRADAY, resample_bars
from gatecast.data.dates.timestamps import end_of_day, format_date, start_of_day
from gatecast.data.errors import InputError


@dataclass(frozen=True)
class Selection:
    """Which part of a source is wanted; None stands for all there is.

    Attributes
    ----------
    symbols : tuple of str, optional
        Names of series.
    start, end : date, optional
        First and last day, both included.
    interval : str, optional
        Bars are merged to "1d", "1wk" or "1mo"; the finer ones of `data.bars.prices.INTRADAY` are for sources that have
        them.

    Raises
    ------
    InputError
        No symbol, an empty one, a start after the end, or an unknown interval.
    """

    symbols: tuple[str, ...] | None = None
    start: date | None = None
    end: date | None = None
    interval: str | None = None

    def __post_init__(self) -> None:
        if self.symbols is not None and not (self.symbols and all(symbol.strip() for symbol in self.symbols)):
            raise InputError(
                "The list of symbols is empty or holds an empty name; name each symbol, or leave the list out."
            )
        if self.start and self.end and self.start > self.end:
            raise InputError(f"The start {self.start} comes after the end {self.end}; exchange them.")
        known = (*INTRADAY, *INTERVALS)
        if self.interval is not None and self.interval not in known:
            raise InputError(f"Unknown interval {self.interval!r}; choose one of {', '.join(known)}.")


def frame_kind(frame: pd.DataFrame) -> Literal["bars", "series"]:
    """Tell a bars frame from a series frame, which has a column ``y``."""
    return "series" if "y" in frame.columns else "bars"


def select(frame: pd.DataFrame, selection: Selection, origin: str) -> pd.DataFrame:
    """Return the selected rows of a valid frame.

    Raises
    ------
    InputError
        An unknown symbol, no row left, or an interval that does not fit.
    """
    if selection.symbols is not None:
        known = frame["unique_id"].unique()
        unknown = [symbol for symbol in selection.symbols if symbol not in known]
        if unknown:
            listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            raise InputError(f"{origin} has no symbol {unknown[0]!r}; choose from {listed}.")
        frame = frame[frame["unique_id"].isin(selection.symbols)]
    first = frame["ds"].min()
    last = frame["ds"].max()
    timezone = frame["ds"].dt.tz
    if selection.start is not None:
        frame = frame[frame["ds"] >= start_of_day(selection.start, timezone)]
    if selection.end is not None:
        frame = frame[frame["ds"] < end_of_day(selection.end, timezone)]
    if frame.empty:
        period = f"{format_date(first)} and {format_date(last)}"
        raise InputError(f"{origin} has no row in the period asked for; choose one between {period}.")
    frame = frame.reset_index(drop=True)
    if selection.interval is None:
        return frame
    if frame_kind(frame) == "series":
        raise InputError(f"{origin} holds series, and an interval is for bars; leave the interval out.")
    return resample_bars(frame, selection.interval)

"""What is worth a look in valid data: gaps, outliers against their neighbours, days without volume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.calendar import sessions
from gatecast.data.dates.periods import period_name, spacing
from gatecast.data.dates.timestamps import DAY, format_date
from gatecast.data.quality.validation import PRICE_COLUMNS, WARNING, as_problems

_NEIGHBOURS = 2
"""Rows on each side that a value is compared with"""
_TIMES_USUAL = 12
"""A value is an outlier if it is this many times farther from its neighbours than usual"""
_LEAST_SHARE = 0.25
"""A price nearer than this to its neighbours is not an outlier, however calm the series"""
_MOST_OUTLIERS = 0.005
"""If a larger share of the rows are outliers, that is normal for the series"""
_LEAST_ROWS = 2 * _NEIGHBOURS + 1
_HOLE = 10
"""Without a calendar, a gap is longer than this many usual steps"""
_MOST_HOLES = 0.1
"""If there are more holes than this per day with a row, such as nights, that is normal for the series"""


def inspect(frame: pd.DataFrame, calendar: str | None = None) -> pd.DataFrame:
    """Look through a valid bars or series frame.

    Parameters
    ----------
    frame : DataFrame
        As `data.bars.prices.validate_bars` or `data.quality.series.validate_series` return it.
    calendar : str, optional
        The calendar that daily or finer rows should follow. Without one, gaps are steps much longer than the usual.

    Returns
    -------
    DataFrame
        Warnings, in the form of `data.quality.validation.Checked.problems`; ``row`` is 0.
    """
    warnings: list[dict[str, Any]] = []
    for unique_id, rows in frame.groupby("unique_id", sort=False):
        for rule, ds, column, value, problem in _look(rows, calendar):
            keys = {"severity": WARNING, "rule": rule, "unique_id": str(unique_id), "ds": ds, "row": 0}
            warnings.append({**keys, "column": column, "value": value, "problem": problem})
    return as_problems(warnings)


def _look(rows: pd.DataFrame, calendar: str | None) -> Iterator[tuple[str, pd.Timestamp, str, str, str]]:
    if calendar is not None:
        yield from _gaps(rows["ds"], calendar)
    else:
        yield from _holes(pd.DatetimeIndex(rows["ds"]))
    if "y" in rows.columns:
        yield from _outliers(rows, "y", rows["y"].to_numpy(), 0.0)
        return
    for column in PRICE_COLUMNS:
        yield from _outliers(rows, column, np.log(rows[column].to_numpy()), np.log1p(_LEAST_SHARE))
    empty = rows["volume"] == 0
    # Indices and currencies have no volume at all, so that is not worth a warning.
    if empty.mean() < 0.5:
        for ds in rows.loc[empty, "ds"]:
            yield "no volume", ds, "volume", "0", "while other days have one; it may be missing"


def missing_sessions(ds: pd.Series, calendar: str) -> pd.DatetimeIndex:
    """Return the sessions of an exchange, between the first and the last timestamp, that have no row."""
    days = pd.DatetimeIndex(ds).tz_localize(None).normalize().unique()
    return sessions(calendar, days[0], days[-1]).difference(days)


def _gaps(ds: pd.Series, calendar: str) -> Iterator[tuple[str, pd.Timestamp, str, str, str]]:
    days = pd.DatetimeIndex(ds).tz_localize(None).normalize().unique()
    expected = sessions(calendar, days[0], days[-1])
    missing = ~expected.isin(days)
    begins = np.flatnonzero(missing & ~np.concatenate([[False], missing[:-1]]))
    ends = np.flatnonzero(missing & ~np.concatenate([missing[1:], [False]]))
    for first, last in zip(begins, ends, strict=True):
        many = "a session" if first == last else f"the first of {last - first + 1} sessions"
        day = expected[int(first)]
        yield "gap", day, "ds", format_date(day), f"{many} of {calendar} without a row"
    if len(expected):
        within = days[(days >= expected[0]) & (days <= expected[-1])]
        for day in within.difference(expected):
            yield "no session", day, "ds", format_date(day), f"a day on which {calendar} does not trade"


def _holes(ds: pd.DatetimeIndex) -> Iterator[tuple[str, pd.Timestamp, str, str, str]]:
    """Look for steps much longer than the usual: between rows, or between days where rows pause every night."""
    days = ds.tz_localize(None).normalize().unique()
    if len(days) * _MOST_HOLES < 1:
        return
    for times in (ds if spacing(ds) < DAY else days, days):
        before = np.flatnonzero(_usual_steps(times) > _HOLE)
        if len(before) <= len(days) * _MOST_HOLES:
            break
    else:
        return
    unit = min(spacing(times), DAY)
    what = "days" if unit == DAY else f"{period_name(times)} times"
    for first, last in zip(times[before] + unit, times[before + 1] - unit, strict=True):
        many = f"the first of {(last - first) // unit + 1:,} {what} without a row, until {format_date(last)}"
        yield "gap", first, "ds", format_date(first), many


def _usual_steps(times: pd.DatetimeIndex) -> np.ndarray:
    """Return how many of the usual steps lie between neighbours: business days if no day is on a weekend."""
    usual = spacing(times)
    if usual == DAY and (times.day_of_week < 5).all():
        days = times.to_numpy().astype("datetime64[D]")
        return np.busday_count(days[:-1], days[1:])
    return ((times[1:] - times[:-1]) / usual).to_numpy()


def _outliers(
    rows: pd.DataFrame, column: str, values: np.ndarray, least: float
) -> Iterator[tuple[str, pd.Timestamp, str, str, str]]:
    """Compare each value with the median of itself and its neighbours; a step to a new level is not an outlier."""
    if len(values) < _LEAST_ROWS:
        return
    padded = np.pad(values, _NEIGHBOURS, mode="reflect")
    deviation = values - np.median(np.lib.stride_tricks.sliding_window_view(padded, _LEAST_ROWS), axis=1)
    usual = np.median(np.abs(np.diff(values)))
    found = np.flatnonzero((np.abs(deviation) > _TIMES_USUAL * usual) & (np.abs(deviation) > least))
    if len(found) > max(1, _MOST_OUTLIERS * len(values)):
        return
    for row in found:
        value = rows[column].iloc[row]
        far = f"{abs(np.expm1(deviation[row])):.0%}" if least else f"{abs(deviation[row]):.3g}"
        yield "outlier", rows["ds"].iloc[row], column, f"{value:g}", f"{far} away from its neighbours"

"""What is worth a look in valid data: gaps, changes of scale, outliers, days without volume."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.calendar import sessions
from gatecast.data.dates.periods import period_name, spacing
from gatecast.data.dates.timestamps import DAY, MONTH, format_date
from gatecast.data.quality.breaks import ScaleBreak, scale_breaks
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
_HOLE = 4
"""Without a calendar, a gap is at least this many usual steps: three rows or more are missing"""
_LONG_HOLIDAY = 9
"""On working days, a gap is at least this many: a public holiday may take a week and a half"""
_TIMES_LONG = 4
"""And this many times as long as all but the longest twentieth of the steps"""
_LEAST_TIMES = 8
"""Fewer timestamps do not show what is usual"""
_MOST_HOLES = 0.1
"""If there are more holes than this per day with a row, such as nights, that is normal for the series"""
_LEAST_DAYS = 7
"""Times finer than a day show only over so many days whether a pause, or a change of scale, comes every night"""
_OPEN = 0.1
"""A day of the week that has less than this share of the rows of another is no working day of the series"""
_MOST_BREAKS = 0.05
"""Share of the rows at which the scale may change, beyond which that is normal for the series"""

_Found = tuple[str, pd.Timestamp, str, str, str]


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
    groups = frame.groupby("unique_id", sort=False)
    return as_problems([record for name, rows in groups for record in findings(str(name), rows, calendar)])


def findings(unique_id: str, rows: pd.DataFrame, calendar: str | None) -> list[dict[str, Any]]:
    """Return the warnings about one series, as records of the frame that `inspect` returns."""
    keys = {"severity": WARNING, "unique_id": unique_id, "row": 0}
    return [
        {**keys, "rule": rule, "ds": ds, "column": column, "value": value, "problem": problem}
        for rule, ds, column, value, problem in _look(rows, calendar)
    ]


def _look(rows: pd.DataFrame, calendar: str | None) -> Iterator[_Found]:
    ds = pd.DatetimeIndex(rows["ds"])
    usual = spacing(ds) if len(ds) > 1 else DAY
    if calendar is not None:
        yield from _gaps(rows["ds"], calendar)
    else:
        yield from _holes(ds, usual)
    if "y" in rows.columns:
        yield from _missing(rows)
        rows = rows[rows["y"].notna()]
        if rows.empty:
            return
        ds = pd.DatetimeIndex(rows["ds"])
        values = rows["y"].to_numpy()
        outliers = _outliers(values, 0.0)
        yield from _in_words(rows, "y", values, outliers, 0.0)
        yield from _scales(ds, usual, "y", values, outliers)
        return
    least = math.log1p(_LEAST_SHARE)
    for column in PRICE_COLUMNS:
        values = np.log(rows[column].to_numpy())
        outliers = _outliers(values, least)
        yield from _in_words(rows, column, values, outliers, least)
    # The prices of a bar change their scale together.
    yield from _scales(ds, usual, "close", rows["close"].to_numpy(), outliers)
    empty = rows["volume"] == 0
    # Indices and currencies have no volume at all, so that is not worth a warning.
    if empty.mean() < 0.5:
        for ds in rows.loc[empty, "ds"]:
            yield "no volume", ds, "volume", "0", "while other days have one; a model sees the last one before it"


def _missing(rows: pd.DataFrame) -> Iterator[_Found]:
    for column in rows.columns.drop(["unique_id", "ds"]):
        lacking = rows[column].isna().to_numpy()
        if lacking.any():
            many = f"as in {lacking.sum():,} of {len(rows):,} rows" if lacking.sum() > 1 else "in this row alone"
            yield "missing", rows["ds"].iloc[int(lacking.argmax())], column, "missing", f"{many}; it is masked"


def missing_sessions(ds: pd.Series, calendar: str) -> pd.DatetimeIndex:
    """Return the sessions of an exchange, between the first and the last timestamp, that have no row."""
    days = pd.DatetimeIndex(ds).tz_localize(None).normalize().unique()
    return sessions(calendar, days[0], days[-1]).difference(days)


def _gaps(ds: pd.Series, calendar: str) -> Iterator[_Found]:
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


def _holes(ds: pd.DatetimeIndex, usual: pd.Timedelta) -> Iterator[_Found]:
    """Look for steps much longer than the usual: between rows, or between days where rows pause every night."""
    if len(ds) < _LEAST_TIMES:
        return
    days = ds.tz_localize(None).normalize()
    is_new_day = np.diff(days.asi8) != 0
    if usual < DAY:
        steps = np.diff(ds.as_unit("ns").asi8)
        steps = steps / np.median(steps)
        nights = int(is_new_day.sum())
        yield from _holes_between(ds, usual, _long(steps, ~is_new_day), nights)
        if (steps[is_new_day] >= _HOLE).sum() <= _most_holes(nights):
            yield from _holes_between(ds, usual, _long(steps, is_new_day), nights)
            return
        days = days[np.append(True, is_new_day)]
        if len(days) < _LEAST_TIMES:
            return
        usual = spacing(days)
    steps, least = _day_steps(days, usual)
    yield from _holes_between(days, usual, _long(steps, least=least), len(days))


def _most_holes(days: int) -> float:
    return max(_MOST_HOLES * days, days >= _LEAST_DAYS)


def _long(steps: np.ndarray, of_kind: np.ndarray | bool = True, least: int = _HOLE) -> np.ndarray:
    """Return the numbers of the steps of a kind that are long enough for a hole."""
    usual = np.quantile(steps, 0.95, method="lower")
    return np.flatnonzero((steps >= max(least, _TIMES_LONG * usual)) & of_kind)


def _holes_between(times: pd.DatetimeIndex, usual: pd.Timedelta, before: np.ndarray, days: int) -> Iterator[_Found]:
    """Put holes into words; `before` are the rows before each."""
    if not 0 < len(before) <= _most_holes(days):
        return
    unit = min(usual, DAY)
    what = "days" if usual >= DAY else f"{period_name(times)} times"
    for first, last in zip(times[before] + unit, times[before + 1] - unit, strict=True):
        many = f"the first of {(last - first) // unit + 1:,} {what} without a row, until {format_date(last)}"
        if usual > DAY:
            many += f", where rows are {period_name(times)}"
        yield "gap", first, "ds", format_date(first), many


def _day_steps(days: pd.DatetimeIndex, usual: pd.Timedelta) -> tuple[np.ndarray, int]:
    """Return how many of the usual steps lie between neighbours, and how many are a hole.

    If the series is daily, the days of the week on which it hardly ever has a row do not count.
    """
    if usual == DAY:
        rows = np.bincount(days.day_of_week, minlength=7)
        is_open = rows >= _OPEN * rows.max()
        numbers = days.to_numpy().astype("datetime64[D]")
        least = _LONG_HOLIDAY if is_open.tolist() == [True] * 5 + [False] * 2 else _HOLE
        return np.busday_count(numbers[:-1], numbers[1:], weekmask=is_open.tolist()), least
    months = round(usual / MONTH)
    period = months * MONTH if months and abs(usual - months * MONTH) < _LEAST_DAYS * DAY else usual
    return np.round(np.asarray((days[1:] - days[:-1]) / period)), _HOLE


def _scales(
    ds: pd.DatetimeIndex, usual: pd.Timedelta, column: str, values: np.ndarray, outliers: np.ndarray
) -> Iterator[_Found]:
    """Look for rows on another scale; single ones that are outliers already are left out."""
    if usual < DAY:
        # Nights may be on another scale.
        days = ds.tz_localize(None).normalize()
        begins = np.flatnonzero(np.diff(days.asi8, prepend=-1))
        if len(begins) < _LEAST_DAYS:
            return
        breaks = scale_breaks(values, _MOST_HOLES * len(begins))
        if not breaks:
            means = np.add.reduceat(values, begins) / np.diff(begins, append=len(values))
            ends = np.append(begins, len(values))
            breaks = [
                each._replace(first=ends[each.first], stop=ends[each.stop])
                for each in scale_breaks(means, _MOST_BREAKS * len(begins))
            ]
    else:
        breaks = scale_breaks(values, _MOST_BREAKS * len(values))
    known = set(outliers.tolist())
    for each in breaks:
        if not known.issuperset(range(each.first, each.stop)):
            first = ds[each.first]
            yield "scale", first, column, f"{values[each.first]:g}", _scale_in_words(each)


def _scale_in_words(found: ScaleBreak) -> str:
    factor = max(found.factor, 1 / found.factor)
    times = f"{float(f'{factor:.2g}'):,.0f} times {'larger' if found.factor > 1 else 'smaller'}"
    rows = found.stop - found.first
    if found.lasts:
        return f"the first of {rows:,} rows that are about {times} than those before; see whether the unit has changed"
    if rows == 1:
        return f"about {times} than the rows around it; see whether it is in another unit"
    return f"the first of {rows:,} rows that are about {times} than those around them; see whether the unit is another"


def _outliers(values: np.ndarray, least: float) -> np.ndarray:
    """Return the rows far from the median of themselves and their neighbours; a step to a new level is no outlier."""
    if len(values) < _LEAST_ROWS:
        return np.array([], dtype=np.int64)
    deviation = _deviation(values)
    # The middle of the changes is small in a series that hardly moves at night.
    middle, large = np.quantile(np.abs(np.diff(values)), (0.5, 0.9))
    usual = max(middle, large / 3)
    found = np.flatnonzero((np.abs(deviation) > _TIMES_USUAL * usual) & (np.abs(deviation) > least))
    return found if len(found) <= max(1, _MOST_OUTLIERS * len(values)) else found[:0]


def _deviation(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, _NEIGHBOURS, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _LEAST_ROWS)
    return values - np.sort(windows, axis=1)[:, _NEIGHBOURS]  # numpy's median takes three times as long


def _in_words(
    rows: pd.DataFrame, column: str, values: np.ndarray, outliers: np.ndarray, least: float
) -> Iterator[_Found]:
    if not len(outliers):
        return
    deviation = _deviation(values)
    for row in outliers:
        value = rows[column].iloc[row]
        far = f"{abs(np.expm1(deviation[row])):.0%}" if least else f"{abs(deviation[row]):.3g}"
        yield "outlier", rows["ds"].iloc[row], column, f"{value:g}", f"{far} away from its neighbours"

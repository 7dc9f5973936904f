"""Series that can be read but hardly learnt from: constant, too regular, of another size, with marks for no value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.quality.validation import WARNING, as_problems

__all__ = ["doubts"]

_LEAST_ROWS = 30
"""Fewer rows may be regular by chance"""
_MOST_PERIODS = 50
"""Periods that are tried: rows at which the first value comes again"""
_ORDER = 6
"""Earlier rows from which a formula may make the next: lines, waves and their sums"""
_ROWS_OF_FORMULA = 500
_LEFT_BY_FORMULA = 1e-3
"""A formula leaves less than this share of the changes unexplained"""
_SENTINELS = tuple(sign * (10.0**digits - 1) for digits in range(2, 7) for sign in (-1, 1))
"""What stands for a missing value in many public files: -99, 99, -999, ..."""
_MOST_SENTINELS = 0.5
_TIMES_OTHERS = 4.0
"""A series is of another size if it is ten thousand times larger or smaller than the others, as a power of ten"""
_TIMES_SPREAD = 6
"""And if their own sizes do not differ as much"""


def doubts(frame: pd.DataFrame) -> pd.DataFrame:
    """Look for series that a model learns nothing from, and for those that differ in size from all others.

    Parameters
    ----------
    frame : DataFrame
        Valid bars, whose closes are looked at, or series.

    Returns
    -------
    DataFrame
        Warnings, in the form of `data.quality.validation.Checked.problems`; ``row`` is 0.
    """
    column = "y" if "y" in frame.columns else "close"
    frame = frame[frame[column].notna()]
    codes, names = pd.factorize(frame["unique_id"])
    rows = np.argsort(codes, kind="stable")
    begins = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    series = np.split(frame[column].to_numpy(np.float64)[rows], begins[1:])
    found: list[dict[str, Any]] = []
    for number, rule, problem in [*_alone(series), *_among(series)]:
        keys = {"severity": WARNING, "rule": rule, "unique_id": str(names[number]), "row": 0, "column": column}
        first = frame["ds"].iloc[rows[begins[number]]]
        found.append({**keys, "ds": first, "value": f"{series[number][0]:g}", "problem": problem})
    return as_problems(found)


def _alone(series: list[np.ndarray]) -> Iterator[tuple[int, str, str]]:
    for number, values in enumerate(series):
        if len(values) > 1 and (values == values[0]).all():
            yield number, "constant", f"as in all {len(values):,} rows; there is nothing to learn"
        elif (mark := _sentinel(values)) is not None:
            rows = int((values == mark).sum())
            problem = (
                f"but {mark:g} in {rows:,} rows, far from all others; if it is a missing value, leave the cells empty"
            )
            yield number, "sentinel", problem
        elif len(values) >= _LEAST_ROWS and (_repeats(values) or _follows_formula(values)):
            yield (
                number,
                "regular",
                "and all later values follow from the first ones, as a formula's do; are they data?",
            )


def _sentinel(values: np.ndarray) -> float | None:
    """Return a number that several rows have in place of a value, far from all others; None if there is none."""
    for mark in _SENTINELS:
        is_mark = values == mark
        others = values[~is_mark]
        if 1 < is_mark.sum() < _MOST_SENTINELS * len(values):
            low, high = others.min(), others.max()
            if not low - (high - low) <= mark <= high + (high - low):
                return mark
    return None


def _repeats(values: np.ndarray) -> bool:
    """Say whether the values are those of a first period, over and over."""
    periods = np.flatnonzero(values[1 : len(values) // 2 + 1] == values[0])[:_MOST_PERIODS] + 1
    return any(np.array_equal(values[period:], values[:-period]) for period in periods)


def _follows_formula(values: np.ndarray) -> bool:
    """Say whether each value is the same linear function of those before it."""
    scaled = values / np.abs(values).max()  # so that no square is too large for a float64
    scaled = (scaled - scaled.mean()) / scaled.std()
    windows = np.lib.stride_tricks.sliding_window_view(scaled, _ORDER + 1)
    known = np.column_stack([windows[:, :-1], np.ones(len(windows))])
    weights = np.linalg.lstsq(known[:_ROWS_OF_FORMULA], windows[:_ROWS_OF_FORMULA, -1], rcond=None)[0]
    left = np.sqrt(np.mean((known @ weights - windows[:, -1]) ** 2))
    return bool(left < _LEFT_BY_FORMULA * np.diff(scaled).std() + 1e-9)


def _among(series: list[np.ndarray]) -> Iterator[tuple[int, str, str]]:
    sizes = np.array([np.abs(values).mean() for values in series])
    some = np.flatnonzero(sizes > 0)
    if len(some) < 2:
        return
    powers = np.log10(sizes[some])
    # Of two series, it is the larger one that is told.
    middle = np.median(powers) if len(some) > 2 else powers.min()
    spread = np.median(np.abs(powers - middle)) if len(some) > 2 else 0.0
    apart = powers - middle
    for number, power in zip(some, apart, strict=True):
        if abs(power) >= max(_TIMES_OTHERS, _TIMES_SPREAD * spread):
            size = "larger" if power > 0 else "smaller"
            times = f"about {float(f'{10 ** abs(power):.1g}'):,.0f} times {size}"
            yield int(number), "size", f"and the series is {times} than the others; see whether it is in another unit"

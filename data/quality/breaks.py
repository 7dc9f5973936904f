"""Where the scale of a series changes at once: single days in pence among pounds, or another unit from some day on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["ScaleBreak", "scale_breaks"]

_LEAST_FACTOR = math.log(5)
"""Rows are on another scale if they are this many times larger or smaller, as a logarithm"""
_LEAST_BETWEEN = math.log(3)
"""And this far from all but the most extreme of their neighbours, so that a wide scatter is no change of scale"""
_TIMES_USUAL = 3
"""A change of scale is this many times the size of all but the largest tenth of the relative changes"""
_TIMES_USUAL_AMOUNT = 1
"""And of the amounts: a random walk that comes near zero changes by large factors, but not by large amounts"""
_TIMES_USUAL_AMOUNT_OF_SOME = 2
_SOME_ROWS = 10
_TIMES_USUAL_AMOUNT_OF_FEW = 3
_FEW_ROWS = 3
_LEAST_FACTOR_OF_FEW = math.log(8)
"""Fewer rows near zero may be chance"""
_LEAST_ROWS = 21
"""A series with fewer rows does not show what is usual"""
_WINDOW = 20
"""Neighbours on each side that rows are compared with"""
_MOST_EDGES_AT_LEAST = 4
_BLOCK = 20
"""Rows whose mean change is the scale of a series that goes below zero"""


class ScaleBreak(NamedTuple):
    """Rows on another scale than those around them."""

    first: int
    stop: int
    """One past the last row"""
    factor: float
    """How many times larger the rows are; below 1 if they are smaller"""
    lasts: bool
    """Whether this goes on to the end of the series"""


def scale_breaks(values: np.ndarray, most: float) -> list[ScaleBreak]:
    """Find rows that are many times larger or smaller than those before and after, or from some row on than before.

    Parameters
    ----------
    values : float64, (rows,)
        Zeros, such as days without sales, are passed over. For a series that goes below zero, its changes are looked
        at.
    most : float
        If the scale changes at more rows than this, such as every night, that is normal for the series.
    """
    if not (values < 0).any():
        return _breaks(values, most)
    blocks = len(values) // _BLOCK
    changes = np.abs(np.diff(values, prepend=values[:1]))[: blocks * _BLOCK]
    found = _breaks(changes.reshape(blocks, _BLOCK).mean(axis=1), most / _BLOCK)
    return [each._replace(first=each.first * _BLOCK, stop=len(values)) for each in found if each.lasts]


def _breaks(values: np.ndarray, most: float) -> list[ScaleBreak]:
    rows = np.flatnonzero(values > 0)
    if len(rows) < _LEAST_ROWS:
        return []
    amounts = np.abs(np.diff(values[rows]))
    logs = np.log(values[rows])
    factors = np.abs(np.diff(logs))
    sharp = amounts / max(_usual(amounts), np.finfo(np.float64).tiny)
    is_edge = (factors > max(_LEAST_FACTOR, _TIMES_USUAL * _usual(factors))) & (sharp > _TIMES_USUAL_AMOUNT)
    edges = np.flatnonzero(is_edge) + 1
    if not 0 < len(edges) <= max(_MOST_EDGES_AT_LEAST, most):
        return []
    runs = list(_runs(logs, sharp, edges))
    kept = np.ones(len(rows), dtype=bool)
    for first, stop, _ in runs:
        kept[first:stop] = False
    used = {edge for first, stop, _ in runs for edge in (first, stop)}
    others = sorted(set(edges.tolist()) - used)
    lasting = [(edge, len(rows), by) for edge in others if (by := _lasting(logs, sharp, kept, edge))]
    return [
        ScaleBreak(int(rows[first]), int(rows[stop - 1]) + 1, math.exp(by), stop == len(rows))
        for first, stop, by in sorted(runs + lasting)
    ]


def _usual(changes: np.ndarray) -> float:
    return float(np.quantile(changes, 0.9))


def _runs(logs: np.ndarray, sharp: np.ndarray, edges: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Give first and stop of the rows between two edges that are apart from those on both sides, and by how much."""
    bounds = [0, *edges.tolist(), len(logs)]
    begins = 1
    while begins < len(bounds) - 2:
        first, stop = bounds[begins], bounds[begins + 1]
        before = logs[bounds[begins - 1] : first][-_WINDOW:]
        after = logs[stop : bounds[begins + 2]][:_WINDOW]
        own = logs[first:stop]
        sides = [_apart(own[:_WINDOW], before), _apart(own[-_WINDOW:], after)]
        by = min(sides, key=abs)
        if sides[0] * sides[1] > 0 and _is_no_chance(stop - first, by, min(sharp[first - 1], sharp[stop - 1])):
            yield first, stop, by
            begins += 1  # what follows is the usual scale again
        begins += 1


def _is_no_chance(rows: int, by: float, sharp: float) -> bool:
    if rows < _FEW_ROWS:
        return sharp > _TIMES_USUAL_AMOUNT_OF_FEW and abs(by) > _LEAST_FACTOR_OF_FEW
    return sharp > (_TIMES_USUAL_AMOUNT_OF_SOME if rows < _SOME_ROWS else _TIMES_USUAL_AMOUNT)


def _lasting(logs: np.ndarray, sharp: np.ndarray, kept: np.ndarray, edge: int) -> float:
    """Return by how much the rows from an edge on are larger than those before, 0 if they are not on another scale."""
    before = logs[:edge][kept[:edge]][-_WINDOW:]
    after = logs[edge:][kept[edge:]][:_WINDOW]
    rows = min(len(before), len(after))
    if rows < _FEW_ROWS or not _is_no_chance(rows, math.inf, sharp[edge - 1]):
        return 0.0
    return _apart(after, before)


def _apart(rows: np.ndarray, others: np.ndarray) -> float:
    """Return by how much rows are larger than others, 0 if they are not on another scale."""
    by = float(np.median(rows) - np.median(others))
    upper, lower = (rows, others) if by > 0 else (others, rows)
    between = np.quantile(upper, 0.1) - np.quantile(lower, 0.9)
    if abs(by) < _LEAST_FACTOR or between < _LEAST_BETWEEN:
        return 0.0
    if min(len(rows), len(others)) < _SOME_ROWS:
        return by
    # On a larger scale the changes are larger too; after a step of a random walk, or of a level, they are not.
    small, large = (np.abs(np.diff(np.exp(part))).mean() for part in (lower, upper))
    return by if large > small * math.exp(abs(by) / 2) or large == small == 0 else 0.0

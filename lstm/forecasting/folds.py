"""The validation windows in two folds: each tests weights that the other one chose."""

from __future__ import annotations

import numpy as np

from gatecast.data.sequences.windows import Windows

__all__ = ["NO_FOLD", "folds_of"]

NO_FOLD = -1
"""Of a window whose targets reach into those of the other fold"""
_MANY_SERIES = 20
_WINDOWS_PER_STEP = 4
"""Windows of a series, by steps ahead, from which on it is cut in time"""


def folds_of(windows: Windows, horizon: int) -> np.ndarray:
    """Return 0, 1 or `NO_FOLD` for each window, int8 (n,).

    Few series with many windows are cut in time, each in its middle, and windows whose targets overlap that boundary
    are in neither fold. Otherwise whole series are in one fold, every other one. A single series with few windows is
    cut in time without leaving any out. One window makes no folds.

    Parameters
    ----------
    windows : Windows
        Of one split; those of a series follow each other in time.
    horizon : int
        Target rows of a window.
    """
    if len(windows) < 2:
        return np.full(len(windows), NO_FOLD, np.int8)
    _, number, counts = np.unique(windows.series, return_inverse=True, return_counts=True)
    is_long = np.median(counts) >= _WINDOWS_PER_STEP * horizon and counts.min() > 1
    if len(counts) > 1 and (len(counts) >= _MANY_SERIES or not is_long):
        return (number % 2).astype(np.int8)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    middle = first + counts // 2
    folds = (np.arange(len(windows)) >= middle[number]).astype(np.int8)
    if is_long:
        overlaps = windows.end + horizon > windows.end[middle][number]
        folds[(folds == 0) & overlaps] = NO_FOLD
    return folds

"""Windows into rows: as an index, which a model trains from, and copied out, for small data and for trying things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import Scaler, scale
from gatecast.data.sequences.splits import SPLIT_NAMES, TRAIN

FEWEST_KNOWN = 2
"""Known rows that something can be forecast from"""


@dataclass(frozen=True, eq=False)
class Windows:
    """An index of windows into rows that lie series after series; all arrays have shape (n,).

    Attributes
    ----------
    series : int32
        Number of the series.
    start, end : int64
        Global row numbers: the inputs are rows ``start:end``, the targets rows ``end:end + horizon``. A start may lie
        before the first row of the series, even below 0; the rows before the first count as missing.
    split : int8
        TRAIN, VALIDATION or TEST.
    """

    series: np.ndarray
    start: np.ndarray
    end: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def of(self, split: int) -> Windows:
        """Return the windows of one split."""
        chosen = self.split == split
        return Windows(self.series[chosen], self.start[chosen], self.end[chosen], self.split[chosen])


def assign_windows(
    offsets: np.ndarray,
    lookback: int,
    horizon: int,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    purge: int,
    known: np.ndarray | None = None,
) -> Windows:
    """List every window whose target rows all lie in one split; the others are left out.

    A window begins before the first row of its series only where the series is too short to have a whole window in that
    split: the rows before the first count as missing. Windows with less than two known input rows, or without a known
    target, are left out.

    Parameters
    ----------
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    lookback, horizon : int
        Input rows and target rows of a window.
    train_rows, validation_rows : int64, (n_series,)
        The first rows of each series that train, and that train or validate.
    purge : int
        Rows after each boundary, series by series, that are targets of no split.
    known : bool, (rows,), optional
        Which rows have a value; all of them by default.
    """
    rows = np.arange(offsets[-1])
    series = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    own_row = rows - offsets[series]
    part = ((own_row >= train_rows[series]).astype(np.int8) + (own_row >= validation_rows[series])).astype(np.int8)

    begins_part = np.ones(len(rows), dtype=bool)
    begins_part[1:] = (np.diff(part) != 0) | (np.diff(series) != 0)
    row_in_part = rows - np.maximum.accumulate(np.where(begins_part, rows, 0))
    purged = (part != TRAIN) & (row_in_part < purge)

    fewest = min(lookback, FEWEST_KNOWN)
    end = np.flatnonzero((own_row >= fewest) & (rows + horizon <= offsets[series + 1]) & ~purged)
    # Purged rows come first in their part, so a window between two rows of one part crosses none.
    end = end[part[end] == part[end + horizon - 1]]
    of_part = len(SPLIT_NAMES) * series[end].astype(np.int64) + part[end]
    is_whole = own_row[end] >= lookback
    has_whole = np.bincount(of_part[is_whole], minlength=len(SPLIT_NAMES) * len(offsets)) > 0
    end = end[is_whole | ~has_whole[of_part]]
    if known is not None and not known.all():
        before = np.concatenate([[0], np.cumsum(known)])
        inputs = before[end] - before[np.maximum(end - lookback, offsets[series[end]])]
        end = end[(inputs >= fewest) & (before[end + horizon] > before[end])]
    return Windows(series[end], end - lookback, end, part[end])


def make_sequences(values: np.ndarray, lookback: int, horizon: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Cut an array into overlapping windows, all copied out: for small data and for trying things.

    Parameters
    ----------
    values : (rows,) or (rows, n_features)
        Column 0 is what is predicted.
    lookback, horizon : int
        Input rows and target rows of a window.

    Returns
    -------
    X : (n, lookback, n_features)
        Rows ``k : k + lookback``, n = rows - lookback - horizon + 1.
    y : (n, horizon)
        Column 0 of the `horizon` rows that follow.

    Raises
    ------
    InputError
        A length is not positive, or there are fewer rows than one window takes.
    """
    values = np.asarray(values)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if lookback < 1 or horizon < 1:
        raise InputError(f"Lookback {lookback} and horizon {horizon} have to be at least 1; choose others.")
    if len(values) < lookback + horizon:
        raise InputError(
            f"{len(values)} rows are fewer than lookback {lookback} plus horizon {horizon}; give more rows or choose a "
            "shorter lookback."
        )
    windows = np.lib.stride_tricks.sliding_window_view(values[: len(values) - horizon], lookback, axis=0)
    targets = np.lib.stride_tricks.sliding_window_view(values[lookback:, 0], horizon)
    return windows.swapaxes(1, 2).copy(), targets.copy()


def prepare_time_series(
    values: np.ndarray | pd.DataFrame, lookback: int, train_fraction: float = 0.8
) -> tuple[np.ndarray, np.ndarray, Scaler]:
    """Scale an array to [0, 1] and cut it into windows that predict column 0 one row ahead.

    Parameters
    ----------
    values : (rows,) or (rows, n_features)
        Column 0 is what is predicted.
    lookback : int
        Input rows of a window.
    train_fraction : float
        The min-max scaler is fitted on this leading share of the rows; later ones may leave [0, 1].

    Returns
    -------
    X : float32, (n, lookback, n_features)
    y : float32, (n, 1)
    scaler : Scaler

    Raises
    ------
    InputError
        As `make_sequences`; also a value that is not finite, or a `train_fraction` that leaves no row to fit the scaler
        on.
    """
    frame = pd.DataFrame(values)
    values = frame.to_numpy(np.float64)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"Row {row + 1} of column {frame.columns[column]} is {values[row, column]}, which is not a finite number; "
            "correct or remove the row."
        )
    if not 0 < train_fraction <= 1:
        raise InputError(f"train_fraction {train_fraction} has to lie above 0 and at most at 1; choose another.")
    training = values[: int(len(values) * train_fraction)]
    scaler = Scaler.fit(training, [str(column) for column in frame.columns], "minmax")
    x, y = make_sequences(scale("The data", values, scaler), lookback)
    return x, y, scaler

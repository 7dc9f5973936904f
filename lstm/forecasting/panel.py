"""`Panel`: the series of a frame end to end, so that all of them are forecast and measured at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Panel"]


@dataclass(frozen=True, eq=False)
class Panel:
    """Series that lie one after another, and how many rows of each may be fitted on.

    Attributes
    ----------
    unique_ids : Index, (n_series,)
        Names of the series.
    ds : Index, (rows,)
        Timestamps or whole numbers, ascending within each series.
    y : float64, (rows,)
        NaN where a value is missing.
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    trained : int64, (n_series,)
        Rows of each series that belong to the training, its first ones.
    """

    unique_ids: pd.Index
    ds: pd.Index
    y: np.ndarray
    offsets: np.ndarray
    trained: np.ndarray

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, train_end: Any = None) -> Panel:
        """Return the panel of a long frame ``unique_id``, ``ds``, ``y``.

        Parameters
        ----------
        frame : DataFrame
            Each series in the order of time.
        train_end : Timestamp, int or Series of them by unique_id, optional
            Last training row, of all series or of each; by default every row is one. A series that is not named has
            the latest.
        """
        codes, unique_ids = pd.factorize(frame["unique_id"])
        order = np.argsort(codes, kind="stable")
        ds = pd.Index(frame["ds"].iloc[order])
        y = frame["y"].to_numpy(np.float64)[order]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(unique_ids)))])
        if isinstance(train_end, pd.Series):
            ends = train_end.reindex(unique_ids).fillna(train_end.max())
            train_end = pd.Index(ends)[codes[order]]
        in_training = np.ones(len(ds), bool) if train_end is None else np.asarray(ds <= train_end)
        trained = np.add.reduceat(in_training, offsets[:-1]) if len(ds) else np.zeros(0, np.int64)
        return cls(pd.Index(unique_ids), ds, y, offsets, trained.astype(np.int64))

    def __len__(self) -> int:
        return len(self.unique_ids)

    @cached_property
    def series(self) -> np.ndarray:
        """Number of the series of each row, int64 (rows,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def filled(self) -> np.ndarray:
        """Values where a missing one is the one before it, float64 (rows,); NaN before the first that is known."""
        return pd.Series(self.y).groupby(self.series).ffill().to_numpy() if np.isnan(self.y).any() else self.y

    @cached_property
    def times(self) -> np.ndarray:
        """Place of each row's timestamp among all that occur, int64 (rows,)."""
        return np.asarray(pd.factorize(self.ds, sort=True)[0], np.int64)

    @property
    def training_rows(self) -> np.ndarray:
        """Whether each row belongs to the training, bool (rows,)."""
        return np.arange(len(self.y)) - self.offsets[self.series] < self.trained[self.series]

    def known(self, origins: np.ndarray) -> np.ndarray:
        """Return how many rows of its series are known at each origin, the origin included."""
        return origins + 1 - self.offsets[self.series[origins]]

    def each(self) -> Iterator[tuple[slice, int]]:
        """Give the rows of each series and the number of its training rows."""
        for first, stop, trained in zip(self.offsets[:-1], self.offsets[1:], self.trained, strict=True):
            yield slice(int(first), int(stop)), int(trained)

    def windows(self, origins: np.ndarray, length: int) -> np.ndarray:
        """Return the last `length` filled values at each origin, (n, length); NaN where the series is younger."""
        steps = np.arange(1 - length, 1)
        values = self.filled[np.maximum(origins[:, None] + steps, 0)]
        values[self.known(origins)[:, None] + steps <= 0] = np.nan
        return values

    def origins_of(self, keys: pd.DataFrame) -> np.ndarray:
        """Return the row of each ``unique_id`` and ``cutoff``, int64 (n,).

        Raises
        ------
        ValueError
            The panel has no such series, or no row at a cutoff.
        """
        series = self.unique_ids.get_indexer(pd.Index(keys["unique_id"]))
        if (series < 0).any():
            unique_id = keys["unique_id"].iloc[int(np.argmin(series))]
            raise ValueError(f"the series frame has no {unique_id!r}; give the frame that the keys were made from")
        known_times = self.ds.unique().sort_values()
        times = known_times.get_indexer(pd.Index(keys["cutoff"]))
        # Series by series and in each by time, a row's number among all possible ones rises from row to row.
        numbers = self.series * len(known_times) + self.times
        wanted = series * len(known_times) + times
        rows = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
        found = (times >= 0) & (numbers[rows] == wanted)
        if not found.all():
            key = keys.iloc[int(np.argmin(found))]
            raise ValueError(
                f"{key['unique_id']!r} has no row at the cutoff {key['cutoff']}; give the frame that the keys were"
                " made from"
            )
        return rows

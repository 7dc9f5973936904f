"""The end of every series, scaled: what a fitted forecaster needs to predict what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatecast.data.dates.periods import next_dates
from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.sequences import Sequences, scale_frame

__all__ = ["Context"]

# Enough dates to tell business days and months from a plain spacing.
_DATES = 64


@dataclass(frozen=True, eq=False)
class Context:
    """The last rows of several series, one series after another.

    Attributes
    ----------
    unique_ids : tuple of str, (n_series,)
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    values : float32, (rows, n_columns)
        Scaled; column 0 is the target.
    ds : datetime64[ns], (rows,)
        In UTC if there is a time zone.
    timezone : str or None
    """

    unique_ids: tuple[str, ...]
    offsets: np.ndarray
    values: np.ndarray
    ds: np.ndarray
    timezone: str | None

    @classmethod
    def of_sequences(cls, sequences: Sequences, rows: int) -> Context:
        """Keep the last `rows` rows of each series, or more if the dates need them."""
        whole = cls(sequences.unique_ids, sequences.offsets, sequences.values, sequences.ds, sequences.timezone)
        return whole._tail(max(rows, _DATES))

    @classmethod
    def of_frame(
        cls, frame: pd.DataFrame, columns: Sequence[str], scalers: Mapping[str, Scaler], least: int, rows: int
    ) -> Context:
        """Scale a series frame as a model was trained to see it, and keep the last `rows` rows of each series.

        Raises
        ------
        InputError
            When a column is missing, a series is unknown to the model, or has fewer than `least` rows.
        """
        whole = cls(*scale_frame(frame, columns, scalers, least))
        return whole._tail(max(rows, _DATES))

    def rows_of(self, series: int) -> np.ndarray:
        """Return the scaled rows of one series, (rows, n_columns)."""
        return self.values[self.offsets[series] : self.offsets[series + 1]]

    def next_rows(self, count: int) -> pd.DataFrame:
        """Return ``unique_id`` and ``ds`` of the `count` rows that follow each series."""
        dates = [self.next_dates(series, count) for series in range(len(self.unique_ids))]
        unique_ids = np.repeat(np.array(self.unique_ids, dtype=object), count)
        return pd.DataFrame({"unique_id": unique_ids, "ds": dates[0].append(dates[1:])})

    def next_dates(self, series: int, count: int) -> pd.DatetimeIndex:
        """Return the `count` timestamps that follow a series."""
        return next_dates(self.dates_of(series), count)

    def dates_of(self, series: int) -> pd.DatetimeIndex:
        """Return the timestamps of one series, in its time zone."""
        ds = pd.DatetimeIndex(self.ds[self.offsets[series] : self.offsets[series + 1]])
        if self.timezone is not None:
            ds = ds.tz_localize("UTC").tz_convert(self.timezone)
        return ds

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a safetensors file can hold; the names and the time zone are stored elsewhere."""
        return {"values": self.values, "ds": self.ds.astype(np.int64), "offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], unique_ids: Sequence[str], timezone: str | None) -> Context:
        """Undo `to_arrays`."""
        ds = arrays["ds"]
        offsets = arrays["offsets"]
        values = arrays["values"]
        fits = (
            (ds.shape, offsets.shape, values.ndim) == ((len(values),), (len(unique_ids) + 1,), 2)
            and (ds.dtype, offsets.dtype, values.dtype) == (np.int64, np.int64, np.float32)
            and (offsets[0], offsets[-1]) == (0, len(values))
            and bool((np.diff(offsets) > 0).all())
        )
        if not fits:
            raise ValueError("its last rows do not fit together")
        return cls(tuple(unique_ids), offsets, values, ds.astype("datetime64[ns]"), timezone)

    def _tail(self, rows: int) -> Context:
        spans = list(zip(self.offsets[:-1], self.offsets[1:], strict=True))
        kept = np.concatenate([np.arange(max(first, stop - rows), stop) for first, stop in spans])
        lengths = [min(rows, stop - first) for first, stop in spans]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Context(self.unique_ids, offsets, self.values[kept], self.ds[kept], self.timezone)

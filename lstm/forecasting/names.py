"""The names of series as their frame had them: numbers, categories or text of Arrow, in the frame's own order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from gatecast.data.frames import as_pandas

__all__ = ["SeriesNames"]

_TEXT = ("object", "str")


@dataclass(frozen=True)
class SeriesNames:
    """What turns forecasts, whose series are named by text and sorted, into what the user's frame looks like.

    Attributes
    ----------
    names : tuple of str
        In the order in which they first came.
    dtype : str
        Of the column ``unique_id``.
    """

    names: tuple[str, ...]
    dtype: str

    @classmethod
    def of_frame(cls, frame: Any) -> Self | None:
        """Return the names of a frame, or None where they are text that is sorted, so that nothing is to be done."""
        column = as_pandas(frame, "The series frame")["unique_id"].drop_duplicates()
        names = tuple(column.astype(str))
        dtype = str(column.dtype)
        is_plain = dtype in _TEXT and names == tuple(sorted(names))
        return None if is_plain else cls(names, dtype)

    def order_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the places of a frame's rows, sorted as the series first came; within a series they stay as they are.

        A series that is not known comes last.
        """
        places = {name: place for place, name in enumerate(self.names)}
        numbers = frame["unique_id"].map(places).fillna(len(places)).to_numpy(np.int64)
        return np.argsort(numbers, kind="stable")

    def restored(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame in the order, and with the names, that the user's frame had."""
        return self.renamed(frame.take(self.order_of(frame)).reset_index(drop=True))

    def renamed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with the names that the user's frame had."""
        if self.dtype in _TEXT:
            return frame
        return frame.assign(unique_id=frame["unique_id"].astype("str").astype(pd.api.types.pandas_dtype(self.dtype)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; undone by `from_dict`."""
        return {"names": list(self.names), "dtype": self.dtype}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        return cls(tuple(state["names"]), str(pd.api.types.pandas_dtype(state["dtype"])))

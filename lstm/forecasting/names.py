"""How a user's frame is written: the names of its series and of its columns, which forecasts of it have as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import with_steps
from gatecast.data.frames import as_pandas, as_text
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.given import GivenFrame, read_frame

__all__ = ["SeriesNames"]

_TEXT = ("object", "str")


@dataclass(frozen=True)
class NameColumn:
    """A column that names the series, alone or together with others.

    Attributes
    ----------
    name : str
    dtype : str
    values : tuple of str
        One for each series.
    """

    name: str
    dtype: str
    values: tuple[str, ...]

    def of(self, numbers: np.ndarray) -> pd.Series:
        """Return the values of the series with these numbers, as the user's frame has them."""
        values = pd.Series(np.array(self.values, dtype=object)[numbers])
        return values if self.dtype in _TEXT else values.astype("str").astype(pd.api.types.pandas_dtype(self.dtype))


@dataclass(frozen=True)
class SeriesNames:
    """What turns forecasts, whose series are named by text and sorted, into what the user's frame looks like.

    Attributes
    ----------
    names : tuple of str
        Of the series, in the order in which they first came.
    columns : tuple of NameColumn
        The user's columns that name them; none where a frame is one series without a name.
    time, target : str
        What the user calls ``ds`` and ``y``.
    is_numbered : bool
        Whether rows have numbers instead of dates.
    excluded : tuple of str
        Columns that the user left out.
    """

    names: tuple[str, ...]
    columns: tuple[NameColumn, ...]
    time: str = "ds"
    target: str = "y"
    is_numbered: bool = False
    excluded: tuple[str, ...] = ()

    @classmethod
    def of_frame(cls, given: GivenFrame, excluded: tuple[str, ...] = ()) -> Self | None:
        """Return the names of a frame, or None where they are those here, and sorted, so that nothing is to be done."""
        names = tuple(given.names.index)
        columns = tuple(
            NameColumn(str(name), str(column.dtype), tuple(as_text(column))) for name, column in given.names.items()
        )
        found = cls(names, columns, given.time, given.target, given.is_numbered, excluded)
        is_plain = [(column.name, column.dtype in _TEXT) for column in columns] == [("unique_id", True)]
        has_plain_rest = (found.time, found.target, found.is_numbered, excluded) == ("ds", "y", False, ())
        return None if is_plain and has_plain_rest and names == tuple(sorted(names)) else found

    def read(self, frame: Any) -> GivenFrame:
        """Read another frame of the same form, or one with the names here."""
        present = {str(name) for name in as_pandas(frame, "The series frame").columns}
        ids = ",".join(column.name for column in self.columns) or None
        excluded = tuple(name for name in self.excluded if name in present)
        return read_frame(frame, Columns(ids, self.time, self.target, excluded))

    def order_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the places of a frame's rows, sorted as the series first came; within a series they stay as they are.

        A series that is not known comes last.
        """
        numbers = pd.Index(self.names).get_indexer(pd.Index(frame["unique_id"]))
        return np.argsort(np.where(numbers < 0, len(self.names), numbers), kind="stable")

    def restored(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame in the order, and with the names, that the user's frame had."""
        return self.renamed(frame.take(self.order_of(frame)).reset_index(drop=True))

    def renamed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with the names that the user's frame had."""
        numbers = pd.Index(self.names).get_indexer(pd.Index(frame["unique_id"]))
        own = {column.name: column.of(numbers).set_axis(frame.index) for column in self.columns}
        rest = frame.drop(columns="unique_id").rename(columns={"ds": self.time, "y": self.target})
        if self.is_numbered:
            rest = with_steps(rest, (self.time, "cutoff"))
        return pd.concat([pd.DataFrame(own, index=frame.index), rest], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; undone by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Undo `to_dict`; models of before only know the names of a column ``unique_id`` and their type."""
        names = tuple(state["names"])
        if "columns" not in state:
            return cls(names, (_column("unique_id", state["dtype"], names),))
        columns = tuple(_column(**column) for column in state["columns"])
        excluded = tuple(state["excluded"])
        return cls(names, columns, state["time"], state["target"], bool(state["is_numbered"]), excluded)


def _column(name: str, dtype: str, values: Any) -> NameColumn:
    return NameColumn(name, str(pd.api.types.pandas_dtype(dtype)), tuple(values))

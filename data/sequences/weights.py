"""How much each row weighs as a target: a column of the data that is no covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import TRAIN, VALIDATION
from gatecast.data.sequences.windows import Windows

__all__ = ["RowWeights"]

_LARGEST = 1e30
"""Sums of weights stay finite in float32 up to here; below its inverse, a weight is as good as 0"""


class RowWeights:
    """The weights of the rows of several series, taken from their values series by series.

    Parameters
    ----------
    columns : tuple of str
        Those of the values.
    name : str
        The one that holds the weights.
    rows : int
        Of all series that will be added.

    Raises
    ------
    InputError
        There is no such column.
    """

    def __init__(self, columns: tuple[str, ...], name: str, rows: int):
        others = [column for column in columns if column != "y"]
        if name not in others:
            there_are = (
                f"the columns besides y are {', '.join(others)}; name one of them"
                if others
                else ("there is no column besides y; add it")
            )
            raise InputError(f"weight_column is {name}, but {there_are}, or leave weight_column out.")
        self._name = name
        self._place = columns.index(name)
        self._values = np.zeros(rows, np.float32)

    def take(self, unique_id: str, ds: pd.DatetimeIndex, values: np.ndarray, first: int) -> np.ndarray:
        """Keep the weights of a series, whose first row is row `first`, and return its values without them.

        A row whose y is missing weighs nothing, whatever is given.

        Parameters
        ----------
        unique_id : str
        ds : DatetimeIndex, (rows,)
        values : (rows, columns) array
        first : int

        Returns
        -------
        (rows, columns - 1) array

        Raises
        ------
        InputError
            A weight is missing, below 0, or too large for float32.
        """
        weights = values[:, self._place]
        is_target = ~np.isnan(values[:, 0])
        wrong = is_target & ~((weights >= 0) & (weights <= _LARGEST))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"{self._name} of {unique_id} is {weights[row]:g} on {format_date(ds[row])}, but a weight is a"
                f" number from 0 to {_LARGEST:g}; correct it."
            )
        self._values[first : first + len(weights)] = np.where(is_target & (weights >= 1 / _LARGEST), weights, 0)
        return np.delete(values, self._place, axis=1)

    def finished(self, rows: int) -> np.ndarray:
        """Return the weights of all rows, float32 (rows,)."""
        return self._values[:rows]

    def require_some(self, windows: Windows, horizon: int) -> None:
        """Raise InputError if nothing that could be learnt, or that validates, weighs anything."""
        for split, which in ((TRAIN, "could be learnt"), (VALIDATION, "validate")):
            ends = windows.of(split).end
            if not self._values[ends[:, None] + np.arange(horizon)].any():
                raise InputError(
                    f"{self._name} is 0, or below {1 / _LARGEST:g}, in all rows that {which}; give those that count"
                    " a greater weight, or choose other boundaries."
                )

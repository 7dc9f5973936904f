"""Rows that are numbered instead of dated: each number is a day from 2000-01-01 on in here, and a number outside."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError

__all__ = [
    "MOST_STEPS",
    "are_steps",
    "dates_of_steps",
    "day_in_words",
    "in_steps",
    "steps_of_dates",
    "with_dates",
    "with_steps",
]

_ZERO = pd.Timestamp("2000-01-01")
MOST_STEPS = 95_000
"""Days from 2000-01-01 on that a timestamp of nanoseconds can hold, and as many before it"""


def are_steps(column: pd.Series) -> bool:
    """Tell whether a column holds whole numbers that can be steps."""
    if not pd.api.types.is_integer_dtype(column) or column.isna().any():
        return False
    return bool(column.between(-MOST_STEPS, MOST_STEPS).all())


def dates_of_steps(numbers: pd.Series, origin: str) -> pd.Series:
    """Return the days that stand for steps; NaT for what is no number.

    Raises
    ------
    InputError
        A number is too large for a date.
    """
    steps = pd.to_numeric(numbers, errors="coerce")
    beyond = steps.abs() > MOST_STEPS
    if beyond.any():
        raise InputError(
            f"{origin}: the step {numbers[beyond].iloc[0]} is beyond {MOST_STEPS:,}; count the steps from 0, or give"
            " dates."
        )
    return _ZERO + pd.to_timedelta(steps.astype(np.float64), unit="D")


def steps_of_dates(ds: pd.Series) -> pd.Series:
    """Return the steps that days stand for, int64."""
    return (ds - _ZERO) // pd.Timedelta(days=1)


def with_steps(frame: pd.DataFrame, columns: tuple[str, ...] = ("ds", "cutoff")) -> pd.DataFrame:
    """Return a frame with steps instead of dates in those of the columns that it has."""
    return frame.assign(**{name: steps_of_dates(frame[name]) for name in columns if name in frame.columns})


def with_dates(frame: pd.DataFrame, origin: str, columns: tuple[str, ...] = ("ds", "cutoff")) -> pd.DataFrame:
    """Undo `with_steps`; columns that hold dates stay as they are."""
    numbered = [name for name in columns if name in frame.columns and are_steps(frame[name])]
    return frame.assign(**{name: dates_of_steps(frame[name], origin) for name in numbered})


def day_in_words(moment: Any, is_numbered: bool = False) -> str:
    """Return the day of a timestamp, or the step that it stands for; a step stays as it is."""
    if is_numbered and isinstance(moment, pd.Timestamp):
        moment = (moment - _ZERO) // pd.Timedelta(days=1)
    return f"{moment:%Y-%m-%d}" if isinstance(moment, pd.Timestamp) else str(moment)


def in_steps(sentence: str) -> str:
    """Return a sentence about numbered rows with steps in place of its dates."""
    return re.sub(r"\d{4}-\d\d-\d\d", lambda date: day_in_words(pd.Timestamp(date[0]), is_numbered=True), sentence)

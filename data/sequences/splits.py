"""Chronological splits: rows for training, for early stopping and for the test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, model_validator

from gatecast.data.errors import InputError
from gatecast.data.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TRAIN = 0
VALIDATION = 1
TEST = 2
SPLIT_NAMES = ("training", "validation", "test")


class SplitSettings(Settings):
    """Where training and validation end: by date, the same for all series, or as shares of each series' own rows.

    A window belongs to the split that holds all its target rows; its inputs may reach back over a boundary, since the
    past is known at that time. The first `purge` rows of a series after a boundary are targets of no split.
    """

    train_end: date | None = Field(
        default=None,
        description="Last day of training; give validation_end too",
        json_schema_extra={"panel": "Training, validation and test"},
    )
    validation_end: date | None = Field(
        default=None, description="Last day of validation; what follows is the test period"
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the rows of each series that validate, where no days are given"
    )
    test_fraction: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the rows of each series that test, where no days are given; 0 holds none back for a test",
    )
    purge: int = Field(default=1, ge=0, description="Rows after a boundary that are targets of no split")

    @property
    def has_test(self) -> bool:
        """Whether some rows are held back for a test."""
        return self.train_end is not None or self.test_fraction > 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.train_end is None) != (self.validation_end is None):
            raise ValueError("give both train_end and validation_end, or neither")
        if self.train_end and self.validation_end and self.train_end >= self.validation_end:
            raise ValueError(f"train_end {self.train_end} must come before validation_end {self.validation_end}")
        fields = type(self).model_fields
        shares = [
            name for name in ("validation_fraction", "test_fraction") if getattr(self, name) != fields[name].default
        ]
        if self.train_end and shares:
            raise ValueError(
                f"train_end and validation_end say where the periods begin already; leave {' and '.join(shares)} out"
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave nothing to train on: choose smaller ones")
        return self


# Not validated: that would build the validator wherever the settings are imported, for the help of a command too.
SAMPLE_SPLIT = SplitSettings.model_construct(train_end=date(2011, 12, 31), validation_end=date(2013, 12, 31))


class SeriesSplit(NamedTuple):
    """How one series is split.

    Attributes
    ----------
    rows : int
        Of the series.
    train_rows, validation_rows : int
        Its first rows train; the first `validation_rows` train or validate, and what follows tests.
    first, last : Timestamp
        Of the series.
    train_end, validation_end : Timestamp or None
        The last row that trains, and the last that trains or validates; None where there is none.
    """

    rows: int
    train_rows: int
    validation_rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    train_end: pd.Timestamp | None
    validation_end: pd.Timestamp | None


def split_series(
    ds: pd.DatetimeIndex, known: np.ndarray, settings: SplitSettings, lookback: int, horizon: int
) -> SeriesSplit:
    """Split one series.

    Shares are of the rows from its first value to its last. Validation and test have at least the rows that one window
    takes, and a series that is too short for both and a training window holds less back, or nothing.

    Parameters
    ----------
    ds : DatetimeIndex, (rows,)
        Ascending timestamps.
    known : bool, (rows,)
        Which rows have a value; at least one.
    settings : SplitSettings
        Days count whole, in the time zone of the data.
    lookback, horizon : int
        Input rows and target rows of a window.
    """
    from gatecast.data.dates.timestamps import end_of_day  # pandas, which settings do without

    if settings.train_end is not None and settings.validation_end is not None:
        train, until_test = (
            int(ds.searchsorted(end_of_day(day, ds.tz))) for day in (settings.train_end, settings.validation_end)
        )
    else:
        first = int(known.argmax())
        rows = len(known) - int(known[::-1].argmax()) - first
        # A window with two known rows is the least that can be learnt from.
        spare = rows - min(lookback, 2) - horizon
        least = horizon + settings.purge
        test = _held_back(settings.test_fraction, rows, least, spare)
        validation = _held_back(settings.validation_fraction, rows, least, spare - test)
        until_test = first + rows - test if test else len(ds)
        train = first + rows - test - validation if validation else until_test
    ends = (ds[count - 1] if count else None for count in (train, until_test))
    return SeriesSplit(len(ds), train, until_test, ds[0], ds[-1], *ends)


def _held_back(share: float, rows: int, least: int, spare: int) -> int:
    """Return how many of the rows of a series are held back: all that are wanted, or none."""
    wanted = max(1, round(rows * share), least) if share > 0 else 0
    return wanted if wanted <= spare else 0


def boundaries_of(splits: Iterable[SeriesSplit]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the last timestamp of training and the last of validation, over all series.

    Raises
    ------
    InputError
        No row is left for training or for validation.
    """
    from gatecast.data.dates.timestamps import format_date  # pandas, which settings do without

    splits = list(splits)
    training = sum(split.train_rows for split in splits)
    validation = sum(split.validation_rows for split in splits) - training
    if training < 1 or validation < 1:
        first = format_date(min(split.first for split in splits))
        last = format_date(max(split.last for split in splits))
        raise InputError(
            f"The {sum(split.rows for split in splits)} rows from {first} to {last} leave {training} for training and "
            f"{validation} for validation; give more, or choose other boundaries or a shorter horizon."
        )
    return (
        max(split.train_end for split in splits if split.train_end is not None),
        max(split.validation_end for split in splits if split.validation_end is not None),
    )


def own_boundaries(
    unique_ids: Sequence[str], splits: Sequence[SeriesSplit], boundaries: Mapping[str, str], settings: SplitSettings
) -> dict[str, dict[str, str]]:
    """Return where training and validation end for each series that has other boundaries than the latest ones.

    Days are the same for all series, so that there are none.
    """
    from gatecast.data.dates.timestamps import format_date  # pandas, which settings do without

    if settings.train_end is not None:
        return {}
    found = {}
    for unique_id, split in zip(unique_ids, splits, strict=True):
        assert split.train_end is not None and split.validation_end is not None, (
            "shares leave each series its first rows"
        )
        own = {"train_end": format_date(split.train_end), "validation_end": format_date(split.validation_end)}
        if own != boundaries:
            found[unique_id] = own
    return found


def ends_of(
    name: str, unique_ids: Iterable[str], boundaries: Mapping[str, str], own: Mapping[str, Mapping[str, str]]
) -> pd.Series:
    """Return when training or validation ends for each of several series.

    Parameters
    ----------
    name : {"train_end", "validation_end"}
    unique_ids : iterable of str
        One that is not in `own` has the common boundary.
    boundaries, own
        As those of `data.sequences.sequences.Sequences`.

    Returns
    -------
    Series of Timestamp
        By ``unique_id``.
    """
    import pandas as pd

    names = list(dict.fromkeys(unique_ids))
    found = [pd.Timestamp(own.get(unique_id, boundaries)[name]) for unique_id in names]
    # Summer and winter have other offsets from UTC, which one column cannot hold.
    ends = pd.DatetimeIndex([end if end.tz is None else end.tz_convert("UTC") for end in found])
    return pd.Series(ends, index=pd.Index(names, name="unique_id"), name=name)

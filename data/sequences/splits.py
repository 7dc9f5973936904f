"""Chronological splits: rows for training, for early stopping and for the test."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from gatecast.data.errors import InputError
from gatecast.data.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

TRAIN = 0
VALIDATION = 1
TEST = 2
SPLIT_NAMES = ("training", "validation", "test")


class SplitSettings(Settings):
    """Where training and validation end, by date or as fractions of the distinct timestamps.

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
        default=0.1, gt=0, lt=1, description="Share of the timestamps that validate, where no days are given"
    )
    test_fraction: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the timestamps that test, where no days are given; 0 holds nothing back for a test",
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


def split_boundaries(ds: pd.DatetimeIndex, settings: SplitSettings) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the last timestamp of training and the last of validation.

    Parameters
    ----------
    ds : DatetimeIndex
        Timestamps of all series together, in any order.
    settings : SplitSettings
        Days count whole, in the time zone of the data.

    Raises
    ------
    InputError
        No timestamp is left for training or for validation.
    """
    from gatecast.data.dates.timestamps import end_of_day, format_date  # pandas, which settings do without

    times = ds.unique().sort_values()
    if settings.train_end is None or settings.validation_end is None:
        test = max(1, round(len(times) * settings.test_fraction)) if settings.test_fraction > 0 else 0
        validation = max(1, round(len(times) * settings.validation_fraction))
        training = len(times) - validation - test
    else:
        training, until_test = (
            int(times.searchsorted(end_of_day(day, ds.tz))) for day in (settings.train_end, settings.validation_end)
        )
        validation = until_test - training
    if training < 1 or validation < 1:
        raise InputError(
            f"The {len(times)} timestamps from {format_date(times[0])} to {format_date(times[-1])} leave "
            f"{max(training, 0)} for training and {validation} for validation; choose other boundaries or give more."
        )
    return times[training - 1], times[training + validation - 1]

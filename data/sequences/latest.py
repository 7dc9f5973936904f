"""The latest rows of series, as a trained model sees them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.frames import as_pandas, series_of, utc
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.notes import named
from gatecast.data.sequences.scaling import Scaler, ScalerKind, scale_all, scaler_of
from gatecast.data.sequences.windows import FEWEST_KNOWN

__all__ = ["ScaledFrame", "frame_of_columns", "scale_frame"]

_LOGGER = logging.getLogger(__name__)


class ScaledFrame(NamedTuple):
    """A series frame as a trained model sees it; the attributes are those of `Sequences`."""

    unique_ids: tuple[str, ...]
    offsets: np.ndarray
    values: np.ndarray
    ds: np.ndarray
    timezone: str | None
    scalers: tuple[Scaler, ...]


def scale_frame(
    frame: pd.DataFrame, columns: Sequence[str], scalers: Mapping[str, Scaler], kind: ScalerKind | None = None
) -> ScaledFrame:
    """Scale a valid series frame with the scalers of a trained model.

    Parameters
    ----------
    frame : DataFrame
        As `frame_of_columns` returns it. Series with less than two known values are left out, with a warning.
    columns : sequence of str
        ``y`` and the covariates, in the model's order.
    scalers : mapping of unique_id to Scaler
        Those the model was trained with. A series without one gets its own, fitted on all rows given.
    kind : str, optional
        Of those scalers; by default that of the model's. The transform is always theirs.

    Raises
    ------
    InputError
        A series has other columns than its scaler, or no series is left.
    """
    unique_ids, offsets = series_of(frame)
    known = np.add.reduceat(frame["y"].notna().to_numpy(), offsets[:-1], dtype=np.int64)
    if (known < FEWEST_KNOWN).any():
        lacking = [unique_ids[number] for number in np.flatnonzero(known < FEWEST_KNOWN)]
        if len(lacking) == len(unique_ids):
            raise InputError(
                f"Fewer than {FEWEST_KNOWN} values of {named(lacking)} are known, so there is nothing to forecast from;"
                " give more rows."
            )
        _LOGGER.warning(
            "%d of %d series are not forecast, since fewer than %d of their values are known: %s.",
            len(lacking), len(unique_ids), FEWEST_KNOWN, named(lacking),
        )  # fmt: skip
        frame = frame[~frame["unique_id"].isin(lacking)]
        unique_ids, offsets = series_of(frame)
    numbers = frame[list(columns)].to_numpy(np.float64)
    if kind is None:
        kind = next(iter(scalers.values())).kind if scalers else "standard"
    transform = next(iter(scalers.values())).of_y.kind if scalers else "none"
    own = tuple(
        scaler_of(unique_id, columns, scalers)
        if unique_id in scalers
        else Scaler.fit(numbers[first:stop], columns, kind, unique_id, transform)
        for unique_id, first, stop in zip(unique_ids, offsets[:-1], offsets[1:], strict=True)
    )
    ds = pd.DatetimeIndex(frame["ds"])
    timezone = None if ds.tz is None else str(ds.tz)
    return ScaledFrame(unique_ids, offsets, scale_all(unique_ids, numbers, offsets, own), utc(ds), timezone, own)


def frame_of_columns(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the columns of a series frame that a model was trained with, as `validate_series` has them.

    Raises
    ------
    InputError
        A column is missing, or a row is wrong.
    """
    frame = as_pandas(frame, "The series frame")
    missing = [column for column in ("unique_id", "ds", *columns) if column not in frame.columns]
    if missing:
        raise InputError(f"The series frame has no column {missing[0]!r}, which the model was trained with; add it.")
    return validate_series(frame[["unique_id", "ds", *columns]], "The series frame")

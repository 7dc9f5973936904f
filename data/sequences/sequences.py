"""Sequences: scaled series and an index of windows into them, in memory and in Parquet."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.frames import as_pandas
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.files import Arrays, decode_arrays, map_arrays, read_description, write_arrays
from gatecast.data.sequences.scaling import Scaler, ScalerKind, scale, scale_all
from gatecast.data.sequences.splits import SPLIT_NAMES, TEST, SplitSettings, split_boundaries
from gatecast.data.sequences.windows import Windows, assign_windows
from gatecast.data.settings import Settings
from gatecast.data.store import atomic_directory, content_hash, settled

_LOGGER = logging.getLogger(__name__)


class SequenceSettings(Settings):
    """How a series frame becomes training windows."""

    lookback: int = Field(default=60, gt=0, description="Input rows of a window")
    horizon: int = Field(default=1, gt=0, description="Rows ahead that are predicted")
    scaling: ScalerKind = Field(default="standard", description="Scaler of each series, fitted on its training rows")
    split: SplitSettings = Field(default_factory=SplitSettings, description="Training, validation and test period")


@dataclass(frozen=True, eq=False)
class Sequences:
    """Scaled series, one after the other, and the windows into them.

    Attributes
    ----------
    columns : tuple of str
        Columns of `values`; ``y`` comes first.
    unique_ids : tuple of str, (n_series,)
        Names of the series.
    ds : datetime64[ns], (rows,)
        Timestamps, in UTC if there is a time zone.
    timezone : str or None
        Time zone of the data.
    values : float32, (rows, n_columns)
        Scaled values, C-contiguous.
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    windows : Windows
        Inputs are rows ``start:end``, targets column 0 of rows ``end:end + horizon``.
    scalers : tuple of Scaler, (n_series,)
        One for each series.
    settings : SequenceSettings
        How they were made.
    boundaries : dict of str to str
        ISO 8601 timestamps of the last training row and the last validation row: ``train_end``, ``validation_end``.
    """

    columns: tuple[str, ...]
    unique_ids: tuple[str, ...]
    ds: np.ndarray
    timezone: str | None
    values: np.ndarray
    offsets: np.ndarray
    windows: Windows
    scalers: tuple[Scaler, ...]
    settings: SequenceSettings
    boundaries: dict[str, str]

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns other than ``y``."""
        return self.columns[1:]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of all the other attributes, in hex."""
        windows = {name: getattr(self.windows, name) for name in ("series", "start", "end", "split")}
        description = np.array([json.dumps(self._description(), sort_keys=True)])
        arrays = {
            "ds": self.ds,
            "values": self.values,
            "offsets": self.offsets,
            "unique_ids": np.array(self.unique_ids),
        }
        return content_hash({"description": description, **arrays, **windows})

    def windows_of(self, split: int) -> Windows:
        """Return the windows of TRAIN, VALIDATION or TEST."""
        return self.windows.of(split)

    def dates(self, rows: np.ndarray) -> pd.DatetimeIndex:
        """Return the timestamps of rows, shape (n,), in the time zone of the data."""
        dates = pd.DatetimeIndex(self.ds[rows])
        return dates if self.timezone is None else dates.tz_localize("UTC").tz_convert(self.timezone)

    def unscale_y(self, values: np.ndarray, series: np.ndarray) -> np.ndarray:
        """Turn scaled y back into its unit.

        Parameters
        ----------
        values : float, (n,) or (n, horizon)
            Scaled.
        series : int, (n,)
            Number of the series of each row.

        Returns
        -------
        float64, shape of `values`
        """
        each_row = (-1,) + (1,) * (values.ndim - 1)
        center, scale = (
            np.array([getattr(scaler, name)[0] for scaler in self.scalers])[series].reshape(each_row)
            for name in ("center", "scale")
        )
        return values.astype(np.float64) * scale + center

    def _description(self) -> dict[str, object]:
        return {
            "format": 1,
            "columns": list(self.columns),
            "timezone": self.timezone,
            "settings": self.settings.model_dump(mode="json"),
            "boundaries": self.boundaries,
            "scalers": [scaler.to_dict() for scaler in self.scalers],
        }


def build_sequences(
    frame: pd.DataFrame, settings: SequenceSettings, scalers: Mapping[str, Scaler] | None = None
) -> Sequences:
    """Scale each series and index its windows.

    Parameters
    ----------
    frame : DataFrame
        Series frame: ``unique_id``, ``ds``, ``y`` and covariates.
    settings : SequenceSettings
        Lookback, horizon, scaling and split.
    scalers : mapping of unique_id to Scaler, optional
        Those of a trained model, to scale the data as it does. Without them, a scaler is fitted on each series'
        rows up to the last training timestamp, and on no other.

    Raises
    ------
    InputError
        A series is too short, has no training row, no scaler or a value beyond float32, or a split has no window.
    """
    frame = validate_series(frame, "The series frame")
    columns = tuple(column for column in frame.columns if column not in ("unique_id", "ds"))
    unique_ids, offsets = _series_of(frame)
    ds = pd.DatetimeIndex(frame["ds"])
    train_end, validation_end = split_boundaries(ds, settings.split)
    in_training = np.asarray(ds <= train_end)

    values = frame[list(columns)].to_numpy(np.float64)
    scaled = np.empty(values.shape, dtype=np.float32)
    used_scalers = []
    for unique_id, first, stop in zip(unique_ids, offsets[:-1], offsets[1:], strict=True):
        rows = slice(first, stop)
        scaler = training_scaler(unique_id, values[rows], in_training[rows], columns, settings)
        if scalers is not None:
            scaler = _scaler_of(unique_id, columns, scalers)
        scaled[rows] = scale(unique_id, values[rows], scaler)
        used_scalers.append(scaler)

    boundaries = (train_end, validation_end)
    windows = assign_windows(ds, offsets, settings.lookback, settings.horizon, boundaries, settings.split.purge)
    arrays = Arrays(unique_ids, offsets, utc(ds), scaled, windows)
    return finished(columns, ds.tz, arrays, used_scalers, settings, boundaries)


def training_scaler(
    unique_id: str, values: np.ndarray, in_training: np.ndarray, columns: Sequence[str], settings: SequenceSettings
) -> Scaler:
    """Fit the scaler of one series to its training rows.

    Parameters
    ----------
    unique_id : str
    values : float64, (rows, n_columns)
    in_training : bool, (rows,)
    columns : sequence of str
    settings : SequenceSettings

    Raises
    ------
    InputError
        The series is too short, has no training row, or values too large or too small to scale.
    """
    _require_rows(unique_id, len(values), int(in_training.sum()), settings)
    return Scaler.fit(values[in_training], columns, settings.scaling, unique_id)


def finished(
    columns: Sequence[str],
    timezone: tzinfo | None,
    arrays: Arrays,
    scalers: Sequence[Scaler],
    settings: SequenceSettings,
    boundaries: tuple[pd.Timestamp, pd.Timestamp],
) -> Sequences:
    """Put sequences together.

    Raises
    ------
    InputError
        A split has no window.
    """
    _require_windows(arrays.windows, settings, boundaries)
    return Sequences(
        columns=tuple(columns),
        timezone=None if timezone is None else str(timezone),
        scalers=tuple(scalers),
        settings=settings,
        boundaries=dict(zip(("train_end", "validation_end"), map(format_date, boundaries), strict=True)),
        **arrays._asdict(),
    )


class ScaledFrame(NamedTuple):
    """A series frame as a trained model sees it; the attributes are those of `Sequences`."""

    unique_ids: tuple[str, ...]
    offsets: np.ndarray
    values: np.ndarray
    ds: np.ndarray
    timezone: str | None


def scale_frame(frame: pd.DataFrame, columns: Sequence[str], scalers: Mapping[str, Scaler], least: int) -> ScaledFrame:
    """Scale a series frame with the scalers of a trained model.

    Parameters
    ----------
    frame : DataFrame
        Series frame; columns that are not in `columns` are left out.
    columns : sequence of str
        ``y`` and the covariates, in the model's order.
    scalers : mapping of unique_id to Scaler
        Those the model was trained with.
    least : int
        Rows that each series must have.

    Raises
    ------
    InputError
        A column is missing, or a series is unknown to the model or too short.
    """
    frame = as_pandas(frame, "The series frame")
    missing = [column for column in ("unique_id", "ds", *columns) if column not in frame.columns]
    if missing:
        raise InputError(f"The series frame has no column {missing[0]!r}, which the model was trained with; add it.")
    frame = validate_series(frame[["unique_id", "ds", *columns]], "The series frame")
    unique_ids, offsets = _series_of(frame)
    numbers = frame[list(columns)].to_numpy(np.float64)
    lengths = np.diff(offsets)
    own = [_scaler_of(unique_id, columns, scalers) for unique_id in unique_ids]
    if lengths.min() < least:
        short = int(np.argmax(lengths < least))
        raise InputError(f"{unique_ids[short]} has {lengths[short]} rows, fewer than lookback {least}; give more rows.")
    values = scale_all(unique_ids, numbers, offsets, own)
    ds = pd.DatetimeIndex(frame["ds"])
    return ScaledFrame(unique_ids, offsets, values, utc(ds), None if ds.tz is None else str(ds.tz))


def _series_of(frame: pd.DataFrame) -> tuple[tuple[str, ...], np.ndarray]:
    codes, names = pd.factorize(frame["unique_id"])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)
    return tuple(str(name) for name in names), offsets


def utc(ds: pd.DatetimeIndex) -> np.ndarray:
    """Return timestamps as datetime64[ns], in UTC if there is a time zone."""
    return (ds if ds.tz is None else ds.tz_convert(None)).to_numpy("datetime64[ns]")


def _scaler_of(unique_id: str, columns: Sequence[str], scalers: Mapping[str, Scaler]) -> Scaler:
    if unique_id not in scalers:
        raise InputError(f"The model was not trained on {unique_id!r}; leave it out or train again.")
    scaler = scalers[unique_id]
    if scaler.columns != tuple(columns):
        raise InputError(
            f"{unique_id} has the columns {', '.join(columns)}, but the model was trained on "
            f"{', '.join(scaler.columns)}; give the same ones."
        )
    return scaler


def _require_rows(unique_id: str, rows: int, training_rows: int, settings: SequenceSettings) -> None:
    if rows < settings.lookback + settings.horizon:
        raise InputError(
            f"{unique_id} has {rows} rows, fewer than lookback {settings.lookback} plus horizon {settings.horizon}; "
            "give more rows or choose a shorter lookback."
        )
    if training_rows == 0:
        raise InputError(f"{unique_id} has no row in the training period; leave it out or let training end later.")


def _require_windows(
    windows: Windows, settings: SequenceSettings, boundaries: tuple[pd.Timestamp, pd.Timestamp]
) -> None:
    for split, name in enumerate(SPLIT_NAMES):
        wanted = split != TEST or settings.split.has_test
        if wanted and not (windows.split == split).any():
            raise InputError(
                f"The {name} period has no window with lookback {settings.lookback}, horizon {settings.horizon} and "
                f"purge {settings.split.purge}, where training ends on {format_date(boundaries[0])} and validation on "
                f"{format_date(boundaries[1])}; give more rows, other boundaries, or a shorter lookback or horizon."
            )


def write_sequences(sequences: Sequences, directory: Path) -> Path:
    """Write ``series.parquet`` and ``windows.parquet`` into `directory`, which is replaced as a whole.

    Settings, scalers, boundaries and the content hash are JSON under the metadata key "gatecast" of both files.
    """
    description = {**sequences._description(), "content_hash": sequences.content_hash}
    arrays = Arrays(*(getattr(sequences, name) for name in Arrays._fields))
    with atomic_directory(directory) as temporary:
        write_arrays(arrays, sequences.columns, sequences.timezone, temporary, description)
    return directory


def read_sequences(directory: Path) -> Sequences:
    """Read what `write_sequences` wrote; every bit is the same.

    The arrays are mapped from Arrow files, which are made from the Parquet ones the first time, and again where they
    have been damaged since.

    Raises
    ------
    InputError
        A file is missing, damaged or not of this format, or the content hash does not agree.
    """
    directory = settled(directory).path
    try:
        description = read_description(directory)
        return _mapped(directory, description) or _decoded(directory, description)
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"{directory} does not hold sequences of this version of Gatecast; build them again."
        ) from error


def _mapped(directory: Path, description: Mapping[str, Any]) -> Sequences | None:
    """Return sequences from their Arrow files; None if those are missing or, with a warning, damaged."""
    try:
        arrays = map_arrays(directory, description["columns"], description["content_hash"])
        if arrays is None:
            return None
        sequences = _described(arrays, description)
        if sequences.content_hash == description["content_hash"]:
            return sequences
    except DamagedFileError:
        pass
    _LOGGER.warning("The Arrow files in %s are damaged; they are made again from the Parquet files.", directory)
    return None


def _decoded(directory: Path, description: Mapping[str, Any]) -> Sequences:
    """Return sequences from their Parquet files, mapped from Arrow files that are made of them."""
    sequences = _described(decode_arrays(directory, description["columns"], description["content_hash"]), description)
    if sequences.content_hash != description["content_hash"]:
        raise DamagedFileError(
            f"{directory} does not hold what was written there, its content hash differs; build it again."
        )
    return sequences


def _described(arrays: Arrays, description: Mapping[str, Any]) -> Sequences:
    return Sequences(
        columns=tuple(description["columns"]),
        timezone=description["timezone"],
        scalers=tuple(Scaler.from_dict(state) for state in description["scalers"]),
        settings=SequenceSettings.model_validate(description["settings"]),
        boundaries=description["boundaries"],
        **arrays._asdict(),
    )

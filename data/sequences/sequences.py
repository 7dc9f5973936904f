"""Sequences: scaled series and an index of windows into them, in memory and in Parquet."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.frames import series_of, utc
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.files import Arrays, decode_arrays, map_arrays, read_description, write_arrays
from gatecast.data.sequences.notes import NAMED, PanelNotes, named
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sequences.scaling import Scaler, ScalerKind, scale, scaler_of, unscale_y
from gatecast.data.sequences.splits import (
    SPLIT_NAMES,
    TEST,
    TRAIN,
    SeriesSplit,
    SplitSettings,
    boundaries_of,
    ends_of,
    own_boundaries,
    split_series,
)
from gatecast.data.sequences.transforms import TransformKind
from gatecast.data.sequences.weights import RowWeights
from gatecast.data.sequences.windows import FEWEST_KNOWN, Windows, assign_windows
from gatecast.data.settings import Settings
from gatecast.data.store import atomic_directory, content_hash, settled

_LOGGER = logging.getLogger(__name__)
Gaps = Literal["mask", "keep"]
FOUND = DateRules()


class SequenceSettings(Settings):
    """How a series frame becomes training windows."""

    lookback: int = Field(default=60, gt=0, description="Input rows of a window")
    horizon: int = Field(default=1, gt=0, description="Rows ahead that are predicted")
    scaling: ScalerKind = Field(default="standard", description="Scaler of each series, fitted on its training rows")
    transform: TransformKind = Field(default="none", description="What y goes through before it is scaled")
    split: SplitSettings = Field(default_factory=SplitSettings, description="Training, validation and test period")
    weight_column: str | None = Field(
        default=None, description="Column that says how much each row weighs as a target; it is no covariate"
    )
    fit_scalers_on: Literal["training", "all"] = Field(
        default="training", description="Rows that scalers are fitted on; all for a model that has been judged"
    )
    gaps: Gaps = Field(
        default="keep", description="mask: put in the rows that are missing on the calendar of a series; keep: do not"
    )


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
        Scaled values, C-contiguous; NaN where one is missing.
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    windows : Windows
        Inputs are rows ``start:end``, targets column 0 of rows ``end:end + horizon``; a start may lie before the first
        row of its series.
    scalers : tuple of Scaler, (n_series,)
        One for each series.
    settings : SequenceSettings
        How they were made.
    boundaries : dict of str to str
        ISO 8601 timestamps of the last training row and the last validation row, the latest over all series:
        ``train_end``, ``validation_end``.
    own_boundaries : dict of str to dict
        The same of each series that has other ones, by its name; see `ends`.
    train_rows, validation_rows : int64, (n_series,)
        The first rows of each series that train, and that train or validate.
    notes : PanelNotes
        What the panel lacks.
    weights : float32, (rows,), or None
        How much each row weighs as a target; None where all weigh the same.
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
    own_boundaries: dict[str, dict[str, str]]
    train_rows: np.ndarray
    validation_rows: np.ndarray
    notes: PanelNotes
    weights: np.ndarray | None = None

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
        if self.weights is not None:
            arrays["weights"] = self.weights
        return content_hash({"description": description, **arrays, **windows})

    def ends(self, name: Literal["train_end", "validation_end"]) -> pd.Series:
        """Return the last training or validation timestamp of each series, by ``unique_id``."""
        return ends_of(name, self.unique_ids, self.boundaries, self.own_boundaries)

    def windows_of(self, split: int) -> Windows:
        """Return the windows of TRAIN, VALIDATION or TEST."""
        return self.windows.of(split)

    def dates(self, rows: np.ndarray) -> pd.DatetimeIndex:
        """Return the timestamps of rows, shape (n,), in the time zone of the data."""
        dates = pd.DatetimeIndex(self.ds[rows])
        return dates if self.timezone is None else dates.tz_localize("UTC").tz_convert(self.timezone)

    def unscale_y(self, values: np.ndarray, series: np.ndarray, variance: np.ndarray | None = None) -> np.ndarray:
        """Turn scaled y back into its unit.

        Parameters
        ----------
        values : float, (n,) or (n, horizon)
            Scaled.
        series : int, (n,)
            Number of the series of each row.
        variance : float, (horizon,), optional
            As for `scaling.unscale_y`.

        Returns
        -------
        float64, shape of `values`
        """
        return unscale_y(values, self.scalers, series, variance)

    def _description(self) -> dict[str, object]:
        settings = self.settings.model_dump(mode="json")
        for name in ("weight_column", "fit_scalers_on"):  # the hash of what was written before there were these
            if settings[name] == SequenceSettings.model_fields[name].default:
                del settings[name]
        return {
            "format": 1,
            "columns": list(self.columns),
            "timezone": self.timezone,
            "settings": settings,
            "boundaries": self.boundaries,
            "own_boundaries": self.own_boundaries,
            "train_rows": self.train_rows.tolist(),
            "validation_rows": self.validation_rows.tolist(),
            "notes": self.notes.to_dict(),
            "scalers": [scaler.to_dict() for scaler in self.scalers],
        }


def build_sequences(
    frame: pd.DataFrame,
    settings: SequenceSettings,
    scalers: Mapping[str, Scaler] | None = None,
    rules: DateRules = FOUND,
) -> Sequences:
    """Scale each series and index its windows.

    A series that is too short to train on stays, without training windows; one with less than two known values is left
    out, with a warning.

    Parameters
    ----------
    frame : DataFrame
        Series frame: ``unique_id``, ``ds``, ``y`` and covariates; values may be missing.
    settings : SequenceSettings
        Lookback, horizon, scaling and split, and what happens to gaps.
    scalers : mapping of unique_id to Scaler, optional
        Those of a trained model, to scale the data as it does. Without them, a scaler is fitted on each series'
        training rows or, where there are none, on those before its test, and on no other.
    rules : DateRules
        What is said of the dates, for the gaps.

    Raises
    ------
    InputError
        A series has no scaler or a value beyond float32, a split has no window, or all series are left out.
    """
    frame = validate_series(frame, "The series frame")
    columns = tuple(column for column in frame.columns if column not in ("unique_id", "ds"))
    sparse: tuple[str, ...] = ()
    if settings.gaps == "mask":
        frame, _, _, sparse = regular_frame(frame, rules)
    parts = Parts(columns, settings, frame["ds"].dt.tz, len(frame), scalers)
    values = frame[list(columns)].to_numpy(np.float64)
    ds = pd.DatetimeIndex(frame["ds"])
    for unique_id, first, stop in _each(frame):
        parts.add(unique_id, ds[first:stop], values[first:stop])
    return parts.finished(sparse)


def _each(frame: pd.DataFrame) -> list[tuple[str, int, int]]:
    unique_ids, offsets = series_of(frame)
    return list(zip(unique_ids, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))


class Parts:
    """Sequences that are put together series by series.

    Parameters
    ----------
    columns : tuple of str
        ``y``, the covariates, and that of the weights if there is one.
    settings : SequenceSettings
    timezone : tzinfo or None
    rows : int
        Of all series that will be added.
    scalers : mapping of unique_id to Scaler, optional
        See `build_sequences`.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        settings: SequenceSettings,
        timezone: tzinfo | None,
        rows: int,
        scalers: Mapping[str, Scaler] | None = None,
    ):
        self.columns = tuple(column for column in columns if column != settings.weight_column)
        self.settings = settings
        name = settings.weight_column
        # Rows to forecast, as a trained model scales them, need no weights.
        is_weighted = name is not None and (scalers is None or name in columns)
        self.weights = RowWeights(columns, name, rows) if name is not None and is_weighted else None
        self.timezone = timezone
        self.given = scalers
        self.unique_ids: list[str] = []
        self.offsets = [0]
        self.splits: list[SeriesSplit] = []
        self.scalers: list[Scaler] = []
        self.left_out: list[str] = []
        self.ds = np.empty(rows, "datetime64[ns]")
        self.values = np.empty((rows, len(self.columns)), np.float32)
        self.known = np.empty(rows, bool)

    def add(self, unique_id: str, ds: pd.DatetimeIndex, values: np.ndarray) -> None:
        """Scale and keep a series, whose values are float64, (rows, all columns), or count it as left out.

        Raises
        ------
        InputError
            The series has no given scaler, or a value that is too large or too small to scale.
        """
        settings = self.settings
        if self.weights is not None:
            values = self.weights.take(unique_id, ds, values, self.offsets[-1])
        known = ~np.isnan(values[:, 0])
        if known.sum() < FEWEST_KNOWN:
            self.left_out.append(unique_id)
            return
        split = split_series(ds, known, settings.split, settings.lookback, settings.horizon)
        fitted = len(known) if settings.fit_scalers_on == "all" else _fitted_rows(known, split)
        if self.given is None and fitted is None:
            self.left_out.append(unique_id)
            return
        if self.given is None:
            # One row after another in memory: the order in which numbers are added decides the last bits of a mean.
            training = np.ascontiguousarray(values[:fitted])
            scaler = Scaler.fit(training, self.columns, settings.scaling, unique_id, settings.transform)
        else:
            scaler = scaler_of(unique_id, self.columns, self.given)
        here = slice(self.offsets[-1], self.offsets[-1] + len(ds))
        self.values[here] = scale(unique_id, values, scaler)
        self.ds[here] = utc(ds)
        self.known[here] = known
        self.offsets.append(here.stop)
        self.unique_ids.append(unique_id)
        self.splits.append(split)
        self.scalers.append(scaler)

    def finished(self, sparse: Sequence[str] = ()) -> Sequences:
        """Index the windows and put all together; `sparse` are series that are not on their calendar.

        Raises
        ------
        InputError
            No series is left, or a split has no window.
        """
        if not self.splits:
            raise InputError(
                f"Fewer than {FEWEST_KNOWN} values of {named(self.left_out)} are known before the test, so no series is"
                " left; give more rows."
            )
        settings = self.settings
        offsets = np.array(self.offsets, np.int64)
        rows = self.offsets[-1]
        boundaries = boundaries_of(self.splits)
        common = dict(zip(("train_end", "validation_end"), map(format_date, boundaries), strict=True))
        train_rows, validation_rows = (
            np.array([getattr(split, name) for split in self.splits], np.int64)
            for name in ("train_rows", "validation_rows")
        )
        windows = assign_windows(
            offsets, settings.lookback, settings.horizon, train_rows, validation_rows, settings.split.purge,
            self.known[:rows],
        )  # fmt: skip
        _require_windows(windows, settings, boundaries)
        if self.weights is not None and self.given is None:
            self.weights.require_some(windows, settings.horizon)
        notes = self._notes(windows, sparse)
        if self.left_out:
            left_out = PanelNotes(left_out=notes.left_out, left_out_named=notes.left_out_named)
            _LOGGER.warning("%s", *left_out.sentences())
        return Sequences(
            columns=self.columns,
            unique_ids=tuple(self.unique_ids),
            ds=self.ds[:rows],
            timezone=None if self.timezone is None else str(self.timezone),
            values=self.values[:rows],
            offsets=offsets,
            windows=windows,
            scalers=tuple(self.scalers),
            settings=settings,
            boundaries=common,
            own_boundaries=own_boundaries(self.unique_ids, self.splits, common, settings.split),
            train_rows=train_rows,
            validation_rows=validation_rows,
            notes=notes,
            weights=None if self.weights is None else self.weights.finished(rows),
        )

    def _notes(self, windows: Windows, sparse: Sequence[str]) -> PanelNotes:
        count = len(self.unique_ids)
        missing = np.add.reduceat(~self.known[: self.offsets[-1]], self.offsets[:-1], dtype=np.int64)
        trained = np.bincount(windows.series[windows.split == TRAIN], minlength=count)
        untrained = [self.unique_ids[number] for number in np.flatnonzero(trained == 0)]
        return PanelNotes(
            rows=self.offsets[-1],
            series=count,
            missing_rows=int(missing.sum()),
            missing_series=int((missing > 0).sum()),
            untrained=len(untrained),
            untrained_named=tuple(untrained[:NAMED]),
            left_out=len(self.left_out),
            left_out_named=tuple(self.left_out[:NAMED]),
            sparse=len(sparse),
            sparse_named=tuple(sparse[:NAMED]),
        )


def _fitted_rows(known: np.ndarray, split: SeriesSplit) -> int | None:
    """Return how many rows a scaler is fitted on: those that train, or those before the test; None if too few."""
    for rows in (split.train_rows, split.validation_rows):
        if known[:rows].sum() >= FEWEST_KNOWN:
            return rows
    return None


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
        own_boundaries=description["own_boundaries"],
        train_rows=np.array(description["train_rows"], np.int64),
        validation_rows=np.array(description["validation_rows"], np.int64),
        notes=PanelNotes.from_dict(description["notes"]),
        **arrays._asdict(),
    )

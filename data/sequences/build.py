"""Sequences of many series from their files, one series after the other, and only what has changed.

What a model learns from a series (its target and features) is computed once for each content of its file and kept, as
an uncompressed Arrow file that is mapped; if three of a thousand series have changed, three are computed. The
scaling and the windows, which depend on all series together, are cheap and made each time.

The name of a kept file ends in the hash of its bytes: a damaged file is noticed and computed again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gatecast.data.bars.store import read_rows
from gatecast.data.errors import InputError
from gatecast.data.quality.series import check_series
from gatecast.data.sequences.files import Arrays
from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.sequences import Sequences, SequenceSettings, finished, scale, training_scaler, utc
from gatecast.data.sequences.splits import split_boundaries
from gatecast.data.sequences.windows import Windows, assign_windows
from gatecast.data.store import atomic_file, locked, read_parquet_metadata, sha256_file

_LOGGER = logging.getLogger(__name__)
_HASH_DIGITS = 16


@dataclass(frozen=True, eq=False)
class _Learnt:
    """What a model learns from one series; mapped."""

    unique_id: str
    ds: pd.DatetimeIndex
    columns: tuple[str, ...]
    values: list[np.ndarray]
    """float64, (rows,), of each column"""


def build_from_files(
    files: Sequence[Path],
    series_frame_of: Callable[[pd.DataFrame], pd.DataFrame],
    key: str,
    settings: SequenceSettings,
    cache: Path,
) -> Sequences:
    """Build the same sequences as `build_sequences` from all files together, in less memory and time.

    Parameters
    ----------
    files : sequence of Path
        One for each series, as `data.bars.store.write_rows` writes them.
    series_frame_of : callable
        Rows of one file to its series frame.
    key : str
        Changes whenever `series_frame_of` would give something else.
    settings : SequenceSettings
    cache : Path
        Folder of the series frames that were computed before; those of other files and keys are removed, and damaged
        ones are computed again.

    Raises
    ------
    InputError
        As `data.sequences.sequences.build_sequences`; or the files have different columns.
    """
    if not files:
        raise InputError("There is no file to build sequences from; read the data again.")
    with locked(cache):
        kept = {path.name.partition("-")[0]: path for path in cache.glob("*.arrow")}
        paths = []
        for file in files:
            digest = _digest(file, key)
            path = kept.get(digest)
            if path is None or not _is_whole(path):
                path = _write_learnt(series_frame_of(read_rows(file).rows), cache, digest)
            paths.append(path)
        ordered = sorted(paths, key=lambda path: _read_learnt(path).unique_id)
        sequences = _assemble(ordered, settings)
        for other in set(cache.glob("*.arrow")) - set(ordered):
            other.unlink()
        return sequences


def _digest(file: Path, key: str) -> str:
    content = read_parquet_metadata(file).get("content_hash") or sha256_file(file)
    return hashlib.sha256(f"{content} {key}".encode()).hexdigest()[:32]


def _is_whole(path: Path) -> bool:
    """Tell whether a kept file holds what was written there."""
    if sha256_file(path)[:_HASH_DIGITS] == path.stem.partition("-")[2]:
        return True
    _LOGGER.warning("%s is damaged; its series is computed again.", path)
    return False


def _write_learnt(frame: pd.DataFrame, cache: Path, digest: str) -> Path:
    """Keep a series frame as ``DIGEST-HASH.arrow``, where the hash is that of the file's bytes."""
    import pyarrow as pa

    numbers = frame.drop(columns=["unique_id", "ds"])
    if np.isinf(numbers.to_numpy(np.float64)).any() or not (frame["ds"].diff().iloc[1:] > pd.Timedelta(0)).all():
        frame = check_series(frame, "The series frame", newest_first=False).require("The series frame")
    columns = {"ds": pa.array(frame["ds"]), **{name: pa.array(numbers[name].to_numpy(np.float64)) for name in numbers}}
    metadata = {"unique_id": str(frame["unique_id"].iloc[0])}
    batch = pa.RecordBatch.from_pydict(columns).replace_schema_metadata(metadata)
    content = pa.BufferOutputStream()
    with pa.ipc.new_file(content, batch.schema) as writer:
        writer.write_batch(batch)
    written = memoryview(content.getvalue())
    path = cache / f"{digest}-{hashlib.sha256(written).hexdigest()[:_HASH_DIGITS]}.arrow"
    with atomic_file(path) as temporary:
        temporary.write_bytes(written)
    return path


def _read_learnt(path: Path) -> _Learnt:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
    names = tuple(name for name in batch.schema.names if name != "ds")
    unique_id = batch.schema.metadata[b"unique_id"].decode()
    ds = pd.DatetimeIndex(batch.column("ds").to_pandas())
    return _Learnt(unique_id, ds, names, [batch.column(name).to_numpy() for name in names])


def _assemble(paths: Sequence[Path], settings: SequenceSettings) -> Sequences:
    # Series are mapped one at a time, twice, so that no more than one of them counts as memory.
    times, rows = _times(paths)
    columns = _read_learnt(paths[0]).columns
    unique_ids = []
    boundaries = split_boundaries(times, settings.split)
    values = np.empty((rows, len(columns)), np.float32)
    ds = np.empty(rows, "datetime64[ns]")
    offsets: list[int] = [0]
    scalers: list[Scaler] = []
    windows: list[Windows] = []
    for learnt in map(_read_learnt, paths):
        here = slice(offsets[-1], offsets[-1] + len(learnt.ds))
        numbers = np.stack(learnt.values).T
        scaler = training_scaler(learnt.unique_id, numbers, np.asarray(learnt.ds <= boundaries[0]), columns, settings)
        values[here] = scale(learnt.unique_id, numbers, scaler)
        ds[here] = utc(learnt.ds)
        windows.append(_windows(learnt.ds, len(scalers), here.start, settings, boundaries))
        scalers.append(scaler)
        unique_ids.append(learnt.unique_id)
        offsets.append(here.stop)
    joined = Windows(*(np.concatenate([getattr(part, name) for part in windows]) for name in _FIELDS))
    arrays = Arrays(tuple(unique_ids), np.array(offsets, np.int64), ds, values, joined)
    return finished(columns, times.tz, arrays, scalers, settings, boundaries)


_FIELDS = ("series", "start", "end", "split")


def _times(paths: Sequence[Path]) -> tuple[pd.DatetimeIndex, int]:
    """Return all timestamps, each once, and the number of rows; see that the series fit together."""
    first = _read_learnt(paths[0])
    times = first.ds
    rows = 0
    for learnt in map(_read_learnt, paths):
        if learnt.columns != first.columns or learnt.ds.tz != first.ds.tz:
            raise InputError(
                f"{learnt.unique_id} has the columns {', '.join(learnt.columns)} and {first.unique_id} has "
                f"{', '.join(first.columns)}, or another time zone; give all series the same."
            )
        rows += len(learnt.ds)
        if not learnt.ds.equals(times):
            times = times.union(learnt.ds)
    return times, rows


def _windows(
    ds: pd.DatetimeIndex,
    series: int,
    first_row: int,
    settings: SequenceSettings,
    boundaries: tuple[pd.Timestamp, pd.Timestamp],
) -> Windows:
    """Index the windows of one series, whose rows begin at `first_row` of all."""
    own = assign_windows(
        ds, np.array([0, len(ds)]), settings.lookback, settings.horizon, boundaries, settings.split.purge
    )
    return Windows(own.series + np.int32(series), own.start + first_row, own.end + first_row, own.split)

"""The files of sequences: Parquet to exchange, and uncompressed Arrow, decoded once from it, for training to map.

A compressed Parquet file has to be decoded before a row can be read; an uncompressed Arrow file can be used as it is on
the disk. Rows that training does not touch are never in memory, and several processes share those that they do touch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gatecast.data.errors import DamagedFileError
from gatecast.data.sequences.windows import Windows
from gatecast.data.store import atomic_file, parquet_options, require_file, unreadable_parquet

if TYPE_CHECKING:
    import pyarrow as pa

SERIES_FILE = "series.parquet"
WINDOWS_FILE = "windows.parquet"
METADATA_KEY = "gatecast"
_ROWS_AT_ONCE = 1 << 18
_WEIGHTS = "weight of a row"
"""Column of the weights; no column of anybody's data has this name by chance"""


class Arrays(NamedTuple):
    """What the files hold; as the attributes of `data.sequences.sequences.Sequences`."""

    unique_ids: tuple[str, ...]
    offsets: np.ndarray
    ds: np.ndarray
    values: np.ndarray
    windows: Windows
    weights: np.ndarray | None = None


def write_arrays(
    arrays: Arrays, columns: Sequence[str], timezone: str | None, directory: Path, description: dict[str, Any]
) -> None:
    """Write ``series.parquet`` and ``windows.parquet``, some rows at a time, with the description as metadata."""
    import pyarrow as pa

    metadata = {METADATA_KEY: json.dumps(description)}
    names = pa.array(arrays.unique_ids, pa.string())
    zone = None if timezone is None else str(timezone)

    def named(codes: np.ndarray) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)

    def series() -> Iterator[dict[str, pa.Array]]:
        """Give the rows of the series, some at a time."""
        for rows in _pieces(len(arrays.ds)):
            codes = np.searchsorted(arrays.offsets, np.arange(rows.start, rows.stop), side="right") - 1
            ds = pa.array(arrays.ds[rows]).cast(pa.timestamp("ns", zone))
            values = {name: pa.array(arrays.values[rows, place]) for place, name in enumerate(columns)}
            if arrays.weights is not None:
                values[_WEIGHTS] = pa.array(arrays.weights[rows])
            yield {"unique_id": named(codes), "ds": ds, **values}

    def windows() -> Iterator[dict[str, pa.Array]]:
        for rows in _pieces(len(arrays.windows)):
            start, end, split = (pa.array(getattr(arrays.windows, name)[rows]) for name in ("start", "end", "split"))
            yield {"unique_id": named(arrays.windows.series[rows]), "start": start, "end": end, "split": split}

    _write_parquet(series(), directory / SERIES_FILE, metadata)
    _write_parquet(windows(), directory / WINDOWS_FILE, metadata)


def read_description(directory: Path) -> dict[str, Any]:
    """Return the description that `write_arrays` was given.

    Raises
    ------
    InputError
        The file is missing or damaged.
    KeyError, ValueError
        The file has no description.
    """
    import pyarrow.parquet as pq

    path = directory / SERIES_FILE
    require_file(path)
    with _Named(path), pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
    return json.loads(metadata[METADATA_KEY.encode()])


def map_arrays(directory: Path, columns: Sequence[str], key: str) -> Arrays | None:
    """Return the arrays, mapped from the Arrow files that `decode_arrays` left; or None if they do not exist.

    What they hold is not checked, only that they can be mapped.

    Parameters
    ----------
    directory : Path
        Where `write_arrays` wrote.
    columns : sequence of str
    key : str
        Identifies the content: files with another key are not used.

    Raises
    ------
    DamagedFileError
        A file cannot be mapped.
    """
    import pyarrow as pa

    series_path, windows_path = _mapped_paths(directory, key)
    if not (series_path.exists() and windows_path.exists()):
        return None
    try:
        return _map(series_path, windows_path, len(columns))
    except (pa.ArrowException, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{series_path} or {windows_path.name} cannot be mapped; decode them again.") from error


def decode_arrays(directory: Path, columns: Sequence[str], key: str) -> Arrays:
    """Return the arrays of the Parquet files, mapped from Arrow files that are written next to them.

    Parameters
    ----------
    directory : Path
        Where `write_arrays` wrote. If nothing can be written there, the arrays are held in memory.
    columns : sequence of str
    key : str
        Names the content.

    Raises
    ------
    InputError
        A Parquet file is missing or damaged.
    KeyError, TypeError, ValueError
        A file is not of this form.
    """
    arrays = _decode(directory, columns)
    paths = _mapped_paths(directory, key)
    try:
        _write_mapped(arrays, *paths)
    except OSError:
        return arrays
    return _map(*paths, len(columns))


def _mapped_paths(directory: Path, key: str) -> tuple[Path, Path]:
    return directory / f"series-{key[:16]}.arrow", directory / f"windows-{key[:16]}.arrow"


# ---------------------------------------------------------------- Parquet


def _pieces(rows: int) -> Iterator[slice]:
    for first in range(0, rows, _ROWS_AT_ONCE):
        yield slice(first, min(rows, first + _ROWS_AT_ONCE))


def _write_parquet(pieces: Iterator[dict[str, pa.Array]], path: Path, metadata: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pa.table(next(pieces)).replace_schema_metadata(metadata)
    options = parquet_options(first.schema)
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, first.schema, **options) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(pa.table(piece).cast(first.schema))


def _decode(directory: Path, columns: Sequence[str]) -> Arrays:
    import pyarrow as pa
    import pyarrow.parquet as pq

    series_path = directory / SERIES_FILE
    windows_path = directory / WINDOWS_FILE
    require_file(windows_path)
    runs: list[tuple[str, int]] = []
    with _Named(series_path), pq.ParquetFile(series_path, page_checksum_verification=True) as file:
        rows = file.metadata.num_rows
        ds = np.empty(rows, "datetime64[ns]")
        values = np.empty((rows, len(columns)), np.float32)
        is_weighted = _WEIGHTS in file.schema_arrow.names
        weights = np.empty(rows, np.float32) if is_weighted else None
        wanted = ["unique_id", "ds", *columns, *([_WEIGHTS] if is_weighted else [])]
        first = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
            stop = first + len(batch)
            ds[first:stop] = batch.column("ds").cast(pa.timestamp("ns")).to_numpy()
            for place, name in enumerate(columns):
                values[first:stop, place] = batch.column(name).to_numpy(zero_copy_only=False)
            if weights is not None:
                weights[first:stop] = batch.column(_WEIGHTS).to_numpy()
            _add_runs(runs, batch.column("unique_id"))
            first = stop
    unique_ids = tuple(name for name, _ in runs)
    if len(set(unique_ids)) != len(unique_ids):
        raise ValueError("the rows of a series do not lie together")
    offsets = np.concatenate([[0], np.cumsum([count for _, count in runs])]).astype(np.int64)
    return Arrays(unique_ids, offsets, ds, values, _decode_windows(windows_path, unique_ids), weights)


def _decode_windows(path: Path, unique_ids: tuple[str, ...]) -> Windows:
    import pyarrow.parquet as pq

    with _Named(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
    numbers = {name: number for number, name in enumerate(unique_ids)}
    parts = [_encoded(chunk) for chunk in table.column("unique_id").chunks]
    series = [np.array([numbers[name] for name in names], np.int32)[codes] for names, codes in parts]
    start, end, split = (table.column(name).to_numpy() for name in ("start", "end", "split"))
    return Windows(np.concatenate(series), start, end, split)


def _add_runs(runs: list[tuple[str, int]], column: pa.Array) -> None:
    """Add the names of a column's rows, each with the number of rows that it names one after the other."""
    names, codes = _encoded(column)
    edges = np.flatnonzero(np.diff(codes)) + 1
    for begin, end in zip([0, *edges], [*edges, len(codes)], strict=True):
        name = names[codes[begin]]
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + int(end - begin))
        else:
            runs.append((name, int(end - begin)))


def _encoded(column: pa.Array) -> tuple[list[str], np.ndarray]:
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


class _Named:
    """Turn what Arrow raises into one sentence about the file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        import pyarrow as pa

        if isinstance(error, (pa.ArrowException, OSError)):
            raise unreadable_parquet(self.path) from error


# ---------------------------------------------------------------- mapped Arrow


def _write_mapped(arrays: Arrays, series_path: Path, windows_path: Path) -> None:
    import pyarrow as pa

    columns = arrays.values.shape[1]
    values = pa.FixedSizeListArray.from_arrays(pa.array(arrays.values.reshape(-1)), columns)
    names = json.dumps({"unique_ids": arrays.unique_ids, "offsets": arrays.offsets.tolist()})
    of_rows = {"ds": pa.array(arrays.ds), "values": values}
    if arrays.weights is not None:
        of_rows[_WEIGHTS] = pa.array(arrays.weights)
    _write_batch(of_rows, series_path, {METADATA_KEY: names})
    fields = {name: pa.array(getattr(arrays.windows, name)) for name in ("series", "start", "end", "split")}
    _write_batch(fields, windows_path, {})


def _write_batch(columns: dict[str, pa.Array], path: Path, metadata: dict[str, str]) -> None:
    import pyarrow as pa

    batch = pa.RecordBatch.from_pydict(columns).replace_schema_metadata(metadata)
    with atomic_file(path) as temporary, pa.ipc.new_file(temporary, batch.schema) as writer:
        writer.write_batch(batch)


def _map(series_path: Path, windows_path: Path, columns: int) -> Arrays:
    wanted = {"ds": "datetime64[ns]", "values": "float32", _WEIGHTS: "float32"}
    metadata, series = _mapped_columns(series_path, wanted, optional=_WEIGHTS)
    _, windows = _mapped_columns(windows_path, {"series": "int32", "start": "int64", "end": "int64", "split": "int8"})
    names = json.loads(metadata[METADATA_KEY.encode()])
    unique_ids = tuple(map(str, names["unique_ids"]))
    offsets = np.array(names["offsets"], np.int64)
    values = series["values"].reshape(-1, columns)
    return Arrays(unique_ids, offsets, series["ds"], values, Windows(**windows), series.get(_WEIGHTS))


def _mapped_columns(
    path: Path, dtypes: dict[str, str], optional: str = ""
) -> tuple[dict[bytes, bytes], dict[str, np.ndarray]]:
    """Return the metadata and the columns of a file of one batch; a change to an array stays with its process."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        whole = file.read_buffer()
        batch = pa.ipc.open_file(whole).get_batch(0)
        columns = {}
        for name, dtype in dtypes.items():
            if name == optional and name not in batch.schema.names:
                continue
            column = batch.column(name)
            numbers = column.values if pa.types.is_fixed_size_list(column.type) else column
            offset = numbers.buffers()[1].address - whole.address
            columns[name] = np.asarray(np.memmap(path, dtype, mode="c", offset=offset, shape=(len(numbers),)))
        return batch.schema.metadata or {}, columns

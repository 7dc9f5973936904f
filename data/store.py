"""Files that are whole or not there at all: Parquet, JSON, directories, their hashes and names."""

from __future__ import annotations

import hashlib
import json
import os
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from gatecast.data.errors import DamagedFileError, InputError, naming
from gatecast.data.exchange import exchange
from gatecast.data.hashes import HashError, checked, with_hash
from gatecast.data.leftovers import remove, remove_dead_leftovers, temporary_beside
from gatecast.data.locks import ON_WINDOWS, lock_file, open_lock_file, wait_for_lock

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

CONTENT_HASH = "content_hash"
"""Name of the hash of a table's rows in the metadata of its file"""
FILE_HASHES = "hashes.json"
LONGEST_FILENAME = 150
_UNREADABLE = (OSError, ValueError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError)
"""What libraries raise about a damaged file besides errors of their own"""
_VALUE = "value"
RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with naming(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(columns: pd.DataFrame | Mapping[str, Any]) -> str:
    """Hash names, types and values; the same in every process and on every machine of one byte order.

    Parameters
    ----------
    columns : DataFrame or mapping of str to array
        Numbers, timestamps or text. The index of a frame does not count.

    Returns
    -------
    str
        SHA-256, in hex.
    """
    digest = hashlib.sha256()
    for name, column in columns.items():
        values = pd.Series(column) if np.ndim(column) == 1 else np.asarray(column)
        kind = str(values.dtype)
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_convert(None)
        elif values.dtype.kind not in "fiubMm":
            # Codes and names: the type pandas gives to text differs between its versions.
            codes, names = pd.factorize(np.asarray(values, dtype=object))
            kind = f"text {json.dumps(list(names), default=str)}"
            values = codes
        array = np.ascontiguousarray(values)
        digest.update(json.dumps([str(name), kind, array.shape]).encode())
        # The bytes in place: a copy of large arrays would double the memory.
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that replaces `path` if the block succeeds, and is removed if it fails."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path) as temporary, naming(path, temporary):
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a temporary directory that replaces `path` if the block succeeds; see `atomic_file`.

    A reader that opens `path` through `settled` finds the former directory or the new one at every moment, also
    after a writer was killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        remove_dead_leftovers(path)
        with temporary_beside(path, is_directory=True) as temporary, naming(path, temporary):
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            sync(temporary)
            _take_place(temporary, path)
            sync(path.parent)


class Place(NamedTuple):
    """Where a directory is at a moment.

    Attributes
    ----------
    path : Path
    identity : tuple or None
        What tells it from a directory that takes its place later; None if there is no directory.
    """

    path: Path
    identity: tuple[int, int] | None


def settled(path: Path) -> Place:
    """Return where a directory is: at `path` or, while it is being replaced on a system without an exchange, aside.

    Do not call it while holding `locked(path)`.
    """
    place = _look(path)
    if place.identity is None and path.name:
        # Each look may have come at the wrong moment of a replacement, and none does while there is no replacement.
        with suppress(FileNotFoundError, PermissionError), open_lock_file(_lock_of(path), create=False) as lock:
            wait_for_lock(lock)
            return _look(path)
    return place


def _look(path: Path) -> Place:
    places = (path, _former(path)) if path.name else (path,)
    for place in places:
        with suppress(OSError):
            status = place.stat()
            return Place(place, (status.st_ino, status.st_ctime_ns))
    return Place(path, None)


def _take_place(temporary: Path, path: Path) -> None:
    """Give a directory the name `path`; what had the name is at `temporary` afterwards, or removed."""
    if settled(path).identity is None and _named(temporary, path):
        return
    if path.exists() and exchange(temporary, path):
        return
    # A directory cannot be renamed onto one that holds files, so the former one steps aside, to where `settled` looks.
    former = _former(path)
    with locked(path):
        try:
            while not _named(temporary, path):
                remove(former)
                path.rename(former)
        finally:
            if former.exists() and not path.exists():
                former.rename(path)
        remove(former)


def _named(directory: Path, path: Path) -> bool:
    """Rename a directory unless something has the new name already; return whether it was renamed."""
    try:
        directory.rename(path)
    except OSError:
        if not (directory.exists() and path.exists()):
            raise
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block; others wait. A process that dies leaves no lock behind.

    The lock is held on the file ``.NAME.lock`` next to `path`, which stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(_lock_of(path)):
        yield


def set_aside(path: Path) -> Path:
    """Rename a damaged file to ``NAME.damaged``, or to ``NAME.damaged-2`` and so on if that exists.

    If other processes replace the file, call it under the lock that they take.

    Returns
    -------
    Path
        Where the file is now.
    """
    for number in count(1):
        aside = path.with_name(f"{path.name}.damaged{f'-{number}' if number > 1 else ''}")
        try:
            # Taking the name first keeps two processes from the same one, on every file system.
            aside.touch(exist_ok=False)
            break
        except FileExistsError:
            continue
    try:
        path.replace(aside)
    except BaseException:
        aside.unlink()
        raise
    sync(path.parent)
    return aside


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _former(path: Path) -> Path:
    return path.with_name(f".{path.name}.former")


def sync(path: Path) -> None:
    """Return when a file or directory is on the disk."""
    if ON_WINDOWS and path.is_dir():
        return  # directories cannot be opened here, and the file system keeps a journal
    descriptor = os.open(path, os.O_RDWR if ON_WINDOWS else os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_parquet(table: pa.Table | pd.DataFrame, path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a table or frame (without its index), compressed with zstd, atomically.

    Its metadata get the hash of the rows, and then one of their own, see `data.hashes`.

    Parameters
    ----------
    table : pyarrow.Table or DataFrame
        What to write.
    path : Path
        Where; missing folders are made.
    metadata : mapping of str to str, optional
        Goes into the file's schema metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    table = _as_stored(table)
    # Of the rows as they will be read: Arrow has no column of every type that pandas has.
    rows = content_hash(table.to_pandas(ignore_metadata=True))
    described = with_hash({**_own_metadata(table.schema), **(metadata or {}), CONTENT_HASH: rows})
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **described})
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, **parquet_options(table.schema))
    return path


def _as_stored(table: pa.Table) -> pa.Table:
    """Return a table whose times have a unit that Parquet has: it has none for whole seconds."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.timestamp("ms", field.type.tz))
        if pa.types.is_timestamp(field.type) and field.type.unit == "s"
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return how tables are written: with checksums, and so that dates and numbers take little space.

    Dates and whole numbers are stored as differences, since those of rows in order are small. A dictionary pays for
    text only: floats hardly repeat.
    """
    from pyarrow import types

    whole = [field.name for field in schema if types.is_integer(field.type) or types.is_timestamp(field.type)]
    numbers = {*whole, *(field.name for field in schema if types.is_floating(field.type))}
    return {
        "compression": "zstd",
        "write_page_checksum": True,
        "use_dictionary": [name for name in schema.names if name not in numbers] or False,
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED") or None,
    }


def read_parquet(path: Path, mend: str = "write it again") -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a Parquet file of this package and its metadata, and check them against their hashes, if it has any.

    A pandas index comes as columns; what Arrow and pandas keep in the metadata for themselves is left out.

    Parameters
    ----------
    path : Path
    mend : str
        What makes the file whole again, for the message.

    Raises
    ------
    InputError
        The file is missing.
    DamagedFileError
        It is damaged, or no Parquet.
    """
    require_file(path)
    rows, stored = parquet_to_frame(path, str(path))
    metadata = _checked_metadata(stored, path, mend)
    if CONTENT_HASH in metadata and metadata[CONTENT_HASH] != content_hash(rows):
        raise DamagedFileError(f"{path} does not hold what was written there, its content hash differs; {mend}.")
    return rows, metadata


def read_parquet_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a Parquet file alone, and check them as `read_parquet` does.

    Raises
    ------
    InputError
        The file is missing.
    DamagedFileError
        It is damaged, or no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_file(path)
    try:
        stored = _own_metadata(pq.read_schema(path))
    except (pa.ArrowException, *_UNREADABLE) as error:
        raise unreadable_parquet(path) from error
    return _checked_metadata(stored, path, "write it again")


def _checked_metadata(stored: Mapping[str, str], path: Path, mend: str) -> dict[str, str]:
    """Return metadata without their hash, after checking it."""
    try:
        return checked(stored)
    except HashError as error:
        raise DamagedFileError(f"{path} does not say what was written there, it is damaged; {mend}.") from error


def _own_metadata(schema: pa.Schema) -> dict[str, str]:
    """Return the metadata without what Arrow and pandas keep there for themselves."""
    stored = schema.metadata or {}
    return {key.decode(): value.decode() for key, value in stored.items() if key not in (b"pandas", b"ARROW:schema")}


def parquet_to_frame(file: Path | BinaryIO, origin: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read any Parquet file, from a path or what is open already; `origin` is named in errors.

    The checksums of its pages are checked, if it has any, but no hashes: another program may have written other rows
    under the metadata of one of our files.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, since read_table would make columns of folders named like key=value.
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            table = opened.read()
        return table.to_pandas(ignore_metadata=True), _own_metadata(table.schema)
    except (pa.ArrowException, *_UNREADABLE) as error:
        raise unreadable_parquet(origin) from error


def unreadable_parquet(origin: str | Path) -> DamagedFileError:
    """Return the error of a file that cannot be read as Parquet."""
    return DamagedFileError(f"{origin} cannot be read as Parquet; it is damaged or of another format: write it again.")


def write_json(path: Path, value: Any) -> Path:
    """Write a value with its hash as indented JSON, atomically; NaN and infinity are refused, as by other readers.

    The hash is a key of the object (see `data.hashes`); what is no object becomes one, with the key ``value``.
    """
    content = as_json(with_hash(_document(json.loads(as_json(value)))))
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def as_json(value: Any) -> bytes:
    """Return a value as indented JSON, for a file whose hash is elsewhere; NaN and infinity are refused."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _document(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and set(value) != {_VALUE}:
        return value
    return {_VALUE: value}


def read_json(path: Path, form: Any = Any, mend: str = "write it again or restore it") -> Any:
    """Read a JSON file that `write_json` wrote, now or in a version of Gatecast that wrote no hashes.

    Parameters
    ----------
    path : Path
    form : type
        What the value has to be, as pydantic checks it: ``dict[str, Any]``, or a list of models.
    `mend` : str
        What makes the file whole again, for the message.

    Raises
    ------
    InputError
        The file is missing.
    DamagedFileError
        It is not JSON, has another hash than it states, or is not of this form.
    """
    require_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read ({error.strerror}); {mend}.") from error
    return json_of(content, path, form, mend)


def json_of(content: bytes, path: Path, form: Any = Any, mend: str = "write it again or restore it") -> Any:
    """Return the value in the bytes of a JSON file; see `read_json`."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} cannot be read as JSON; it is damaged: {mend}.") from error
    try:
        if isinstance(value, dict):
            value = checked(value)
            value = value[_VALUE] if set(value) == {_VALUE} else value
        _checker(form).validate_python(value)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} does not hold what was written there; it is damaged: {mend}.") from error
    return value


@cache
def _checker(form: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(form)


def write_file_hashes(folder: Path) -> Path:
    """Write the SHA-256 of each file in a folder to a file next to them, for those that can hold no hash."""
    return write_json(folder / FILE_HASHES, {file.name: sha256_file(file) for file in sorted(folder.iterdir())})


def require_hashed(path: Path, mend: str) -> None:
    """Raise DamagedFileError if a file differs from its hash in `FILE_HASHES` of its folder, if there is one."""
    hashes = path.with_name(FILE_HASHES)
    if hashes.exists() and read_json(hashes, dict[str, str], mend).get(path.name) != sha256_file(path):
        raise DamagedFileError(f"{path} does not hold what was written there, it is damaged; {mend}.")


def is_damaged_sqlite(path: Path) -> bool:
    """Tell whether a file exists but is not a whole SQLite database; one that is only in use is whole."""
    import sqlite3

    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            return connection.execute("PRAGMA quick_check").fetchone() != ("ok",)
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def require_file(path: Path) -> None:
    """Raise InputError unless `path` is a file."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; name the file in it.")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")


def symbol_filename(symbol: str) -> str:
    """Turn a symbol into a file name (without suffix) that is safe on every usual file system.

    Letters, digits and ``._^=-`` stay, the rest is percent-encoded. Names must not differ by case alone: capitals stay
    (``AAPL``), a symbol all in small letters gets a plus sign (``sp500+``), in any other the small letters are encoded.
    ``urllib.parse.unquote(name.removesuffix("+"))`` is the symbol again, unless it was too long and ends in a hash.

    Raises
    ------
    InputError
        The symbol is empty.
    """
    if not symbol:
        raise InputError("A symbol is empty; name the series.")
    small = symbol.islower()
    kept = set(string.digits + "_^=-" + (string.ascii_lowercase if small else string.ascii_uppercase))
    if not (".." in symbol or symbol.startswith(".") or symbol.endswith(".")):
        kept.add(".")
    name = "".join(letter if letter in kept else _percent(letter) for letter in symbol) + "+" * small
    if RESERVED_ON_WINDOWS.match(name):
        name = _percent(name[0]) + name[1:]
    if len(name) > LONGEST_FILENAME:
        name = f"{name[:100]}+{hashlib.sha256(symbol.encode()).hexdigest()[:32]}"
    return name


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode())

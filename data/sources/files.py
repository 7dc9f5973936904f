"""CSV and Parquet files, one or a folder of them, on this machine or behind a URL of fsspec (s3://, gs://)."""

from __future__ import annotations

import io
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.csv_format import CsvFormat, find_decimal, find_delimiter, read_dates
from gatecast.data.sources.spellings import spelling
from gatecast.data.store import parquet_to_frame, read_parquet, require_file
from gatecast.data.urls import file_name, is_url

_EXTRAS = {"s3fs": "s3", "gcsfs": "gcs", "aiohttp": "http"}
_HEAD_CHARACTERS = 65536


def list_files(location: str | Path, suffix: str) -> list[str | Path]:
    """Return the file itself, or the files with the suffix in a folder and below it, sorted.

    Raises
    ------
    InputError
        A folder has none, or the location cannot be read.
    """
    if is_url(location):
        with _explained(str(location)):
            system, path = _filesystem(str(location))
            if not system.isdir(path):
                return [location]
            found = system.find(path)
            files: list[str | Path] = [system.unstrip_protocol(file) for file in found if file.endswith(suffix)]
    else:
        folder = Path(location)
        if not folder.is_dir():
            return [folder]
        files = [file for file in folder.rglob(f"*{suffix}") if not file.name.startswith(".") and file.is_file()]
    if not files:
        raise InputError(f"{location} holds no file that ends in {suffix}; name another folder.")
    return sorted(files, key=str)


def stem(location: str | Path) -> str:
    """Return the name of a file without its suffix."""
    return PurePosixPath(file_name(location)).stem


def read_parquet_at(location: str | Path) -> pd.DataFrame:
    """Read a Parquet file; columns of a pandas index that has a name are among its columns.

    Raises
    ------
    InputError
        The file is missing, unreadable or damaged.
    """
    if is_url(location):
        with _explained(str(location)):
            system, path = _filesystem(str(location))
            contents = io.BytesIO(system.cat_file(path))
        frame, _ = parquet_to_frame(contents, str(location))
    else:
        frame, _ = read_parquet(Path(location))
    nameless_index = [column for column in frame.columns if column.startswith("__index_level_")]
    return frame.drop(columns=nameless_index)


def read_csv(location: str | Path, form: CsvFormat | None = None) -> pd.DataFrame:
    """Read a CSV file without guessing at its cells: text stays text, so that the checks can name it.

    Parameters
    ----------
    location : str or Path
        A file in UTF-8 with a header line; one that ends in .gz, .bz2, .zip or .xz is decompressed.
    form : CsvFormat, optional
        Delimiter, decimal mark and form of the dates; what is None is found out.

    Raises
    ------
    InputError
        The file is missing, empty, not UTF-8 text or not a table, or its form cannot be determined.
    """
    form = form or CsvFormat()
    origin = str(location)
    if not is_url(location):
        require_file(Path(location))
    with _explained(origin), _explained_as_csv(origin):
        lines = _first_lines(location)
        delimiter = form.delimiter or find_delimiter(lines)
        options: dict[str, Any] = {
            "sep": delimiter,
            "keep_default_na": False,
            "encoding": "utf-8-sig",
            "index_col": False,
            "low_memory": False,
        }
        with warnings.catch_warnings(), _readable(location) as file:
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            head = pd.read_csv(file, header=None, nrows=50, dtype=str, on_bad_lines="skip", **options)
        header = head.iloc[0].fillna("").tolist()
        _require_different(header, origin)
        cells = [str(cell).strip() for row in head.iloc[1:].to_numpy().tolist() for cell in row]
        decimal = form.decimal or find_decimal(cells, delimiter, origin)
        marks: Any = {"decimal": ",", "thousands": "."} if decimal == "," else {}
        text: Any = {name: str for name in header if spelling(name) in ("ds", "unique_id")}
        with warnings.catch_warnings(), _readable(location) as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(file, dtype=text, **options, **marks)
    dates = [column for column in frame.columns if spelling(column) == "ds"]
    return frame.assign(
        **{column: read_dates(frame[column], form.date_format, origin) for column in dates if len(frame)}
    )


def _first_lines(location: str | Path) -> list[str]:
    import fsspec

    with fsspec.open(str(location), "rt", encoding="utf-8-sig", compression="infer") as opened:
        lines = opened.read(_HEAD_CHARACTERS).split("\n")  # a name may hold what else ends a line in Unicode
    return [line for line in lines if line.strip()]


@contextmanager
def _readable(location: str | Path) -> Iterator[Any]:
    """Give what pandas reads: the path, or the file behind a URL, whose login pandas would not understand."""
    if not is_url(location):
        yield location
        return
    import fsspec

    with fsspec.open(str(location), "rb", compression="infer") as opened:
        yield opened


def _require_different(header: list[str], origin: str) -> None:
    # pandas would call the second of them close.1.
    named = [name.strip() for name in header if name.strip()]
    twice = next((name for place, name in enumerate(named) if name in named[:place]), None)
    if twice is not None:
        raise InputError(f"{origin} has two columns for {spelling(twice)!r}; keep one.")


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(url)


@contextmanager
def _explained(origin: str) -> Iterator[None]:
    """Turn what a file system raises into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{origin} does not exist; check the path.") from error
    except PermissionError as error:
        raise InputError(f"{origin} cannot be opened (Permission denied); check your rights to it.") from error
    except ImportError as error:
        package = next((name for name in _EXTRAS if name in str(error)), None)
        mend = f"pip install 'gatecast[{_EXTRAS[package]}]'" if package else f"install what it needs ({error})"
        raise InputError(f"{origin} needs a package that is not installed: {mend}.") from error
    except (TimeoutError, ConnectionError) as error:
        raise SourceError(f"{origin} cannot be reached ({error}); check the network and try again.") from error


@contextmanager
def _explained_as_csv(origin: str) -> Iterator[None]:
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{origin} is empty; give a header line and rows.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{origin} is not UTF-8 text; save it as CSV in UTF-8.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{origin} is not a table with the same number of fields in each line ({reason}); correct it."
        ) from error
    except (BadZipFile, LZMAError, tarfile.TarError, EOFError) as error:
        raise InputError(f"{origin} cannot be decompressed ({error}); give the CSV file itself.") from error
    except (FileNotFoundError, PermissionError, TimeoutError, ConnectionError, ImportError, InputError):
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{origin} cannot be read ({error}); check the path, or give another file.") from error

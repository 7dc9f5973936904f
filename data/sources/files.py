"""CSV and Parquet files, one or a folder of them, on this machine or behind a URL of fsspec (s3://, gs://)."""

from __future__ import annotations

import codecs
import io
import re
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote
from zipfile import BadZipFile

import pandas as pd

from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.columns import BARS, Columns
from gatecast.data.sources.csv_format import CsvFormat, Layout, find_layout, is_row
from gatecast.data.sources.numbers import (
    find_decimal,
    hold_numbers,
    may_be_grouped,
    read_numbers,
    show_decimal_point,
    without_unit,
)
from gatecast.data.sources.spellings import spelling
from gatecast.data.store import parquet_to_frame, require_file
from gatecast.data.urls import file_name, is_url

_EXTRAS = {"s3fs": "s3", "gcsfs": "gcs", "aiohttp": "http", "openpyxl": "excel"}
_COMPRESSIONS = (".gz", ".bz2", ".zip", ".xz", ".zst")
_HEAD_CHARACTERS = 65536
_HEAD_ROWS = 50
_LEVELS = re.compile(r"\('([^']*)', '([^']*)'\)")
"""A column of two levels, as it is called in a Parquet file"""


def list_files(location: str | Path, suffixes: tuple[str, ...]) -> list[str | Path]:
    """Return the file itself, or the files with one of the suffixes in a folder and below it, sorted.

    Parameters
    ----------
    location : str or Path
    suffixes : tuple of str
        In small letters; the names of files count in any case, and with the suffix of a compression after it.

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
            files: list[str | Path] = [system.unstrip_protocol(file) for file in system.find(path)]
    else:
        folder = Path(location)
        if not folder.is_dir():
            return [folder]
        files = [file for file in folder.rglob("*") if file.is_file()]
    files = [file for file in files if _is_named(file_name(file), suffixes)]
    if not files:
        raise InputError(f"{location} holds no file that ends in {suffixes[0]}; name another folder.")
    return sorted(files, key=str)


def _is_named(name: str, suffixes: tuple[str, ...]) -> bool:
    plain = name.lower()
    for compression in _COMPRESSIONS:
        plain = plain.removesuffix(compression)
    return plain.endswith(suffixes) and not name.startswith((".", "_"))


def keys_of_folders(location: str | Path, folder: str | Path) -> dict[str, str]:
    """Return what folders named ``key=value``, as partitions are, say of a file in them."""
    pairs = (part.partition("=") for part in _inner_folders(location, folder) if "=" in part)
    return {unquote(key): unquote(value) for key, _, value in pairs}


def _inner_folders(location: str | Path, folder: str | Path) -> list[str]:
    """Return the names of the folders between a folder and a file in it."""
    inner = str(location)[len(str(folder)) :].replace("\\", "/").strip("/")
    return inner.split("/")[:-1]


def names_of(files: Sequence[str | Path], folder: str | Path) -> list[str]:
    """Return what series are called that have only the names of their files: files of one name, by their folders.

    ``shops/north/sales.csv`` and ``shops/south/sales.csv`` are ``north`` and ``south``, if all files of ``shops`` are
    called sales; otherwise they are ``north-sales`` and ``south-sales``.
    """
    names = [stem(file) for file in files]
    if len(set(names)) == len(names):
        return names
    folders = [
        "-".join(str(file)[len(str(folder)) :].strip("/\\").replace("\\", "/").split("/")[:-1]) for file in files
    ]
    if len(set(names)) == 1 and len(set(folders)) == len(files):
        return folders
    return ["-".join(part for part in pair if part) for pair in zip(folders, names, strict=True)]


def stem(location: str | Path) -> str:
    """Return the name of a file without its suffix, and without that of its compression."""
    name = PurePosixPath(file_name(location))
    return PurePosixPath(name.stem).stem if name.suffix.lower() in _COMPRESSIONS else name.stem


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
        require_file(Path(location))
        frame, _ = parquet_to_frame(Path(location), str(location))
    if frame.columns.nlevels == 2 or any(_LEVELS.fullmatch(str(column)) for column in frame.columns):
        return _long_of_yahoo(frame)
    nameless_index = [column for column in frame.columns if column.startswith("__index_level_")]
    dates = [column for column in nameless_index if pd.api.types.is_datetime64_any_dtype(frame[column])]
    if dates and not any(spelling(column) == "ds" for column in frame.columns):
        frame = frame.rename(columns={dates[0]: "ds"})
    return frame.drop(columns=nameless_index, errors="ignore")


def _long_of_yahoo(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the frame of yfinance's ``download``, whose columns have a field and a ticker, into a long one."""
    pairs = [_levels(column) for column in frame.columns]
    is_field_first = any(spelling(pair[0]) in BARS for pair in pairs if pair)
    dates = next(frame[column] for column, pair in zip(frame.columns, pairs, strict=True) if pair is None)
    parts = []
    for ticker in dict.fromkeys(pair[is_field_first] for pair in pairs if pair):
        place = [number for number, pair in enumerate(pairs) if pair and pair[is_field_first] == ticker]
        fields = [pairs[number][not is_field_first] for number in place]  # type: ignore[index]
        part = frame.iloc[:, place].set_axis(fields, axis=1)
        parts.append(part.assign(Date=dates, Ticker=ticker)[part.notna().any(axis=1)])
    return pd.concat(parts, ignore_index=True)


def _levels(column: object) -> tuple[str, str] | None:
    """Return field and ticker of a column, None for that of the dates."""
    if isinstance(column, tuple):
        return (str(column[0]), str(column[1])) if all(column) else None
    found = _LEVELS.fullmatch(str(column))
    return (found[1], found[2]) if found and found[2] else None


def read_excel(location: str | Path) -> pd.DataFrame:
    """Read the first sheet of an Excel workbook, whose first row names the columns.

    Raises
    ------
    InputError
        The file is missing or damaged, or the package that reads it is.
    """
    if not is_url(location):
        require_file(Path(location))
    with _explained(str(location)), _readable(location) as file:
        try:
            return pd.read_excel(file, engine="openpyxl")
        except (BadZipFile, KeyError, ValueError) as error:
            raise InputError(
                f"{location} is not an Excel workbook that can be read ({error}); save it again."
            ) from error


def read_csv(location: str | Path, form: CsvFormat | None = None, columns: Columns | None = None) -> pd.DataFrame:
    """Read a CSV file without guessing at its cells: text stays text, so that the checks can name it.

    Parameters
    ----------
    location : str or Path
        A file in UTF-8, or UTF-16 with its mark, with a header line; one that ends in .gz, .bz2, .zip or .xz is
        decompressed.
    form : CsvFormat, optional
        Delimiter, decimal mark and encoding; what is None is found out.
    columns : Columns, optional
        Which of them hold names and timestamps, and stay as they are written.

    Raises
    ------
    InputError
        The file is missing, empty, not UTF-8 text or not a table, or its form cannot be determined.
    """
    form = form or CsvFormat()
    columns = columns or Columns()
    origin = str(location)
    if not is_url(location):
        require_file(Path(location))
    with _explained(origin), _explained_as_csv(origin):
        encoding = form.encoding or _encoding(location)
        layout = replace(find_layout(_first_lines(location, encoding), form.delimiter), encoding=encoding)
        head = _head(location, layout, origin)
        text = [name for name in head.columns if columns.is_text(name)]
        if layout.is_of_yahoo:
            return _read_yahoo(location, layout)
        frame = _read_cells(location, layout, dict.fromkeys(text, str))
        numbers = [name for name in frame.columns if name not in text]
        first = [head[name] for name in head.columns if name not in text]
        if not _needs_marks(frame[numbers], first, form, layout.delimiter):
            return frame
        written = _read_cells(location, layout, str)
    # Whole numbers have no marks, and what is true or false is no number.
    cells = {name: without_unit(written[name]) for name in numbers if frame[name].dtype.kind not in "iub"}
    decimal = form.mark or find_decimal(cells.values(), layout.delimiter, origin)
    return frame.assign(**{name: read_numbers(column, decimal, origin) for name, column in cells.items()})


def _needs_marks(frame: pd.DataFrame, first: Sequence[pd.Series], form: CsvFormat, delimiter: str) -> bool:
    """Tell whether numbers have to be read again as text, since pandas may have mistaken their marks.

    `first` are the first cells of the same columns, as they are written: they mostly settle it.
    """
    if form.mark == ",":
        return True
    is_settled = form.mark is not None or show_decimal_point(first)
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "iub":
            continue
        if column.dtype.kind == "f":
            if not is_settled and may_be_grouped(column.to_numpy(), with_integers=delimiter == ","):
                return True
        elif hold_numbers(column):
            return True
    return False


def _head(location: str | Path, layout: Layout, origin: str) -> pd.DataFrame:
    """Return the first rows as text, after a look at whether the names of the columns differ."""
    with warnings.catch_warnings(), _readable(location) as file:
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        head = pd.read_csv(file, header=None, nrows=_HEAD_ROWS, dtype=str, on_bad_lines="skip", **_options(layout))
    header = [str(name) for name in head.iloc[0].fillna("")]
    if not layout.is_of_yahoo:
        _require_different(header, origin)
        if is_row(header):
            raise InputError(
                f"{origin} has no header line, since its first line is a row, {', '.join(header[:4])}; add a line that"
                " names the columns, as ds,y."
            )
    cells = {name: without_unit(head.iloc[1:, place].fillna("")) for place, name in enumerate(header)}
    return pd.DataFrame(cells, columns=list(dict.fromkeys(header)))


def _read_cells(location: str | Path, layout: Layout, dtype: Any) -> pd.DataFrame:
    with warnings.catch_warnings(), _readable(location) as file:
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(file, dtype=dtype, **_options(layout))


def _options(layout: Layout) -> dict[str, Any]:
    return {
        "sep": layout.delimiter,
        "skiprows": layout.skipped,
        "skip_blank_lines": True,
        "skipinitialspace": layout.delimiter != " ",
        "keep_default_na": False,
        "encoding": layout.encoding,
        "index_col": False,
        "low_memory": False,
    }


def _read_yahoo(location: str | Path, layout: Layout) -> pd.DataFrame:
    """Read what yfinance's ``to_csv()`` writes: a line of fields and one of tickers, in either order, then a line that
    only names the dates.
    """
    with _readable(location) as file:
        table = pd.read_csv(file, header=None, dtype=str, **_options(layout))
    upper = table.iloc[0, 1:].str.strip()
    lower = table.iloc[1, 1:].str.strip()
    fields, tickers = (upper, lower) if upper.map(spelling).isin(BARS).any() else (lower, upper)
    rows = table.iloc[3:]
    parts = []
    for ticker in tickers.unique():
        of_ticker = tickers.index[tickers == ticker]
        part = rows[of_ticker].set_axis(fields[of_ticker].tolist(), axis=1)
        is_traded = part.ne("").any(axis=1)
        part = part.apply(pd.to_numeric, errors="coerce").assign(Date=rows[0], Ticker=ticker)
        parts.append(part[is_traded])
    return pd.concat(parts, ignore_index=True)


def _encoding(location: str | Path) -> str:
    """Return UTF-16 where a file begins with its mark, as Excel's "Unicode text" does; otherwise UTF-8."""
    import fsspec

    with fsspec.open(str(location), "rb", compression="infer") as opened:
        is_utf_16 = opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if is_utf_16 else "utf-8-sig"


def _first_lines(location: str | Path, encoding: str) -> list[str]:
    import fsspec

    with fsspec.open(str(location), "rt", encoding=encoding, compression="infer") as opened:
        lines = opened.read(_HEAD_CHARACTERS).split("\n")  # a name may hold what else ends a line in Unicode
    return [line.removesuffix("\r") for line in lines]


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
    except OSError as error:  # the libraries behind URLs have their own
        raise SourceError(f"{origin} cannot be read ({error}); check it and try again.") from error


@contextmanager
def _explained_as_csv(origin: str) -> Iterator[None]:
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{origin} is empty; give a header line and rows.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{origin} is not {error.encoding.upper()} text; name its encoding, as --encoding cp1252, or save it as CSV"
            " in UTF-8."
        ) from error
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

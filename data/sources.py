"""Where data come from: the sample, CSV files and Parquet files; a further source only has to be a `Source`."""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Protocol
from zipfile import BadZipFile

import pandas as pd

from data.bars import validate_bars
from data.errors import InputError
from data.selection import Selection, frame_kind, select
from data.series import validate_series
from data.store import read_parquet, require_file

SAMPLES = Path(__file__).parent / "samples"

# The spellings of a column that are understood, in small letters, without spaces and underscores.
SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ds", "date", "datetime", "timestamp"), "ds"),
        **dict.fromkeys(("uniqueid", "symbol", "ticker"), "unique_id"),
        **dict.fromkeys(("adjclose", "adjustedclose"), "adj_close"),
        **{name: name for name in ("y", "open", "high", "low", "close", "volume")},
    }
)


class Source(Protocol):
    """A place to read bars or series from."""

    @property
    def name(self) -> str:
        """What `open_source` calls it."""

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected rows as a valid bars frame or series frame; see `frame_kind`."""


@dataclass(frozen=True)
class SampleSource:
    """The daily bars in ``data/samples``: sp500 and nasdaq, 1999 to 2018."""

    name: ClassVar[str] = "sample"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars."""
        frames = [read_parquet(path)[0] for path in sorted(SAMPLES.glob("*.parquet"))]
        bars = validate_bars(pd.concat(frames, ignore_index=True), "the sample")
        return select(bars, selection, "the sample")


@dataclass(frozen=True)
class CsvSource:
    """A CSV file, in UTF-8 with commas and a header line.

    Column names count in any case and in their usual spellings (Date, Symbol, Ticker, Adj Close, ...). A file without a
    symbol column is one series, which takes the file's name without its suffix.
    """

    path: Path
    name: ClassVar[str] = "csv"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars or series."""
        return select(_validate(read_csv(self.path), self.path), selection, str(self.path))


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file; columns as in `CsvSource`, among them those of a pandas index that has names."""

    path: Path
    name: ClassVar[str] = "parquet"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars or series."""
        frame, _ = read_parquet(self.path)
        nameless_index = [column for column in frame.columns if column.startswith("__index_level_")]
        frame = frame.drop(columns=nameless_index)
        return select(_validate(frame, self.path), selection, str(self.path))


def open_source(name: str, path: str | Path | None = None) -> Source:
    """Return the source called `name`: "sample", or "csv" or "parquet" with the `path` of a file.

    Raises
    ------
    InputError
        An unknown name, a path that is missing, or one that is not needed.
    """
    files: dict[str, type[CsvSource] | type[ParquetSource]] = {"csv": CsvSource, "parquet": ParquetSource}
    if name == SampleSource.name:
        if path is not None:
            raise InputError(
                f"The source 'sample' takes no path, but got {path}; choose 'csv' or 'parquet' to read a file."
            )
        return SampleSource()
    if name not in files:
        raise InputError(f"Unknown source {name!r}; choose one of sample, {', '.join(files)}.")
    if path is None:
        raise InputError(f"The source {name!r} needs the path of a file; give it with --path.")
    return files[name](Path(path))


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file without guessing: text stays text, so that the checks can name it.

    Raises
    ------
    InputError
        The file is missing, empty, no UTF-8 text or no table.
    """
    require_file(path)
    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig", index_col=False).columns
        text = {column: str for column in header if _spelling(column) in ("ds", "unique_id")}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                dtype=text,
                keep_default_na=False,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
            )
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty; give a header line and rows.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} is not a table with the same number of fields in each line ({reason}); mend it."
        ) from error
    except (BadZipFile, LZMAError, tarfile.TarError, EOFError, ImportError) as error:
        raise InputError(f"{path} cannot be decompressed ({error}); give the CSV file itself.") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened ({error.strerror or error}); check the path and its permissions."
        ) from error


def _validate(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    frame = frame.rename(columns={column: _spelling(column) for column in frame.columns})
    if "unique_id" not in frame.columns:
        frame["unique_id"] = path.stem
    validate = validate_series if frame_kind(frame) == "series" else validate_bars
    return validate(frame, str(path))


def _spelling(column: object) -> str:
    written = str(column).strip()
    return SPELLINGS.get(written.lower().replace(" ", "").replace("_", ""), written)

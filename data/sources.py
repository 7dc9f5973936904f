"""Where data come from: the sample, CSV files and Parquet files; a further source only has to be a `Source`."""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from lzma import LZMAError
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal, Protocol
from zipfile import BadZipFile

import pandas as pd

from data.bars import INTERVALS, resample_bars, validate_bars
from data.dates import DAY, format_date, start_of_day
from data.errors import InputError
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


@dataclass(frozen=True)
class Selection:
    """Which part of a source is wanted; None stands for all there is.

    Attributes
    ----------
    symbols : tuple of str, optional
        Names of series.
    start, end : date, optional
        First and last day, both included.
    interval : {"1d", "1wk", "1mo"}, optional
        Bars are merged to it.

    Raises
    ------
    InputError
        No symbol, an empty one, a start after the end, or an unknown interval.
    """

    symbols: tuple[str, ...] | None = None
    start: date | None = None
    end: date | None = None
    interval: str | None = None

    def __post_init__(self) -> None:
        if self.symbols is not None and not (self.symbols and all(symbol.strip() for symbol in self.symbols)):
            raise InputError(
                "The list of symbols is empty or holds an empty name; name each symbol, or leave the list out."
            )
        if self.start and self.end and self.start > self.end:
            raise InputError(f"The start {self.start} comes after the end {self.end}; exchange them.")
        if self.interval is not None and self.interval not in INTERVALS:
            raise InputError(f"Unknown interval {self.interval!r}; choose one of {', '.join(INTERVALS)}.")


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


def frame_kind(frame: pd.DataFrame) -> Literal["bars", "series"]:
    """Tell a bars frame from a series frame, which has a column ``y``."""
    return "series" if "y" in frame.columns else "bars"


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


def select(frame: pd.DataFrame, selection: Selection, origin: str) -> pd.DataFrame:
    """Return the selected rows of a valid frame.

    Raises
    ------
    InputError
        An unknown symbol, no row left, or an interval that does not fit.
    """
    if selection.symbols is not None:
        known = frame["unique_id"].unique()
        unknown = [symbol for symbol in selection.symbols if symbol not in known]
        if unknown:
            listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            raise InputError(f"{origin} has no symbol {unknown[0]!r}; choose from {listed}.")
        frame = frame[frame["unique_id"].isin(selection.symbols)]
    first, last, timezone = frame["ds"].min(), frame["ds"].max(), frame["ds"].dt.tz
    if selection.start is not None:
        frame = frame[frame["ds"] >= start_of_day(selection.start, timezone)]
    if selection.end is not None:
        frame = frame[frame["ds"] < start_of_day(selection.end, timezone) + DAY]
    if frame.empty:
        period = f"{format_date(first)} and {format_date(last)}"
        raise InputError(f"{origin} has no row in the period asked for; choose one between {period}.")
    frame = frame.reset_index(drop=True)
    if selection.interval is None:
        return frame
    if frame_kind(frame) == "series":
        raise InputError(f"{origin} holds series, and an interval is for bars; leave the interval out.")
    return resample_bars(frame, selection.interval)


def _validate(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    frame = frame.rename(columns={column: _spelling(column) for column in frame.columns})
    if "unique_id" not in frame.columns:
        frame["unique_id"] = path.stem
    validate = validate_series if frame_kind(frame) == "series" else validate_bars
    return validate(frame, str(path))


def _spelling(column: object) -> str:
    written = str(column).strip()
    return SPELLINGS.get(written.lower().replace(" ", "").replace("_", ""), written)

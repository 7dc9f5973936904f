"""Where data come from: the sample, files, databases, Yahoo; a further source only has to be a `Source`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol

import pandas as pd

from gatecast.data.bars.prices import check_bars
from gatecast.data.errors import InputError
from gatecast.data.quality.validation import Checked
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.csv_format import CsvFormat
from gatecast.data.sources.files import (
    keys_of_folders,
    list_files,
    names_of,
    read_csv,
    read_excel,
    read_parquet_at,
)
from gatecast.data.sources.selection import Selection, frame_kind, select
from gatecast.data.sources.tables import check_table
from gatecast.data.store import read_parquet
from gatecast.data.urls import file_name, is_url
from gatecast.data.variables import resolved, secrets_hidden

__all__ = ["CsvSource", "ParquetSource", "SampleSource", "Selection", "Source", "frame_kind", "open_source"]

_WORKBOOK = ".xlsx"
SAMPLES = Path(__file__).parents[1] / "samples"


class Source(Protocol):
    """A place to read bars or series from."""

    @property
    def name(self) -> str:
        """What `open_source` calls it."""

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected rows as a valid bars frame or series frame; see `frame_kind`."""


class TableSource(Source, Protocol):
    """A source that gives all its rows at once, so that they can be checked as a whole."""

    @property
    def origin(self) -> str:
        """What errors begin with."""

    def check(self) -> Checked:
        """Return all rows, good and refused."""


@dataclass(frozen=True)
class SampleSource:
    """The daily bars in ``data/samples``: sp500 and nasdaq, 1999 to 2018."""

    name: ClassVar[str] = "sample"
    origin: ClassVar[str] = "the sample"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars."""
        return select(self.check().require(self.origin), selection, self.origin)

    def check(self) -> Checked:
        """Return all rows, good and refused."""
        frames = [read_parquet(path)[0] for path in sorted(SAMPLES.glob("*.parquet"))]
        return check_bars(pd.concat(frames, ignore_index=True), self.origin)


@dataclass(frozen=True)
class FileSource:
    """A file, or a folder of them, on this machine or behind a URL.

    Column names count in any case and in their usual spellings (Date, Symbol, Ticker, Adj Close, ...). Folders named
    ``key=value`` are columns. A table without a column for the series is one series, which takes the file's name
    without its suffix.

    Attributes
    ----------
    path : Path or str
        Or ``$NAME``, the environment variable that holds it; within a URL, a secret may be written as ``${NAME}``.
    form : CsvFormat
        Delimiter, decimal mark and form of the dates; what is not given is found out.
    columns : Columns
        What the columns are; what is not given is found out.
    """

    path: Path | str
    form: CsvFormat = field(default_factory=CsvFormat)
    columns: Columns = field(default_factory=Columns)
    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    @property
    def origin(self) -> str:
        """What errors begin with."""
        return str(self.path)

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars or series."""
        return select(self.check().require(self.origin), selection, self.origin)

    def check(self) -> Checked:
        """Return all rows, good and refused."""
        with secrets_hidden(self.origin):
            folder = _resolved(self.path)
            files = list_files(folder, self.suffixes)
            tables = [self._table(file).assign(**keys_of_folders(file, folder)) for file in files]
            names = names_of(files, folder)
            checked = [
                check_table(table, name, str(file), columns=self.columns, date_format=self.form.date_format)
                for table, name, file in zip(tables, names, files, strict=True)
            ]
            return _joined(checked, files, self.origin)

    def _table(self, file: str | Path) -> pd.DataFrame:
        raise NotImplementedError


class CsvSource(FileSource):
    """CSV files in UTF-8 with a header line, or Excel workbooks."""

    name = "csv"
    suffixes = (".csv", ".tsv", ".txt", _WORKBOOK)

    def _table(self, file: str | Path) -> pd.DataFrame:
        is_workbook = file_name(file).lower().endswith(_WORKBOOK)
        return read_excel(file) if is_workbook else read_csv(file, self.form, self.columns)


class ParquetSource(FileSource):
    """Parquet files."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def _table(self, file: str | Path) -> pd.DataFrame:
        return read_parquet_at(file)


def _resolved(path: Path | str) -> Path | str:
    """Return a path with the environment variables in it, as a `Path` if it is not a URL."""
    location = resolved(str(path))
    return location if is_url(location) else Path(location)


def _joined(checked: list[Checked], files: list[str | Path], origin: str) -> Checked:
    """Join the files of a folder; a series may go on from one file to the next."""
    if len(checked) == 1:
        return checked[0]
    for one, file in zip(checked, files, strict=True):
        if frame_kind(one.rows) != frame_kind(checked[0].rows):
            raise InputError(f"{file} holds {frame_kind(one.rows)}, but {files[0]} does not; give files of one kind.")
        one.require(str(file))
    rows = pd.concat([one.rows for one in checked], ignore_index=True)
    columns = [column for column in rows.columns if column not in ("unique_id", "ds")]
    if rows[columns].isna().any().any():
        lacking = rows[columns].isna().any().idxmax()
        raise InputError(f"Some files in {origin} lack the column {lacking!r}; give it to all of them or to none.")
    joined = check_table(rows, "", origin, in_order=False)
    notices = dict.fromkeys(notice for one in checked for notice in one.notices)
    return replace(joined, notices=tuple(notices))


def open_source(
    name: str,
    path: str | Path | None = None,
    *,
    form: CsvFormat | None = None,
    columns: Columns | None = None,
    url: str | None = None,
    query: str | None = None,
) -> TableSource:
    """Return the source called `name`, other than Yahoo, which is `data.yahoo.source.YahooSource`.

    Parameters
    ----------
    name : {"sample", "csv", "parquet", "sql"}
    path : str or Path, optional
        A file, a folder or a URL, for csv and parquet.
    form : CsvFormat, optional
        For csv, and the form of the dates for parquet as well.
    columns : Columns, optional
        For csv, parquet and sql.
    url, query : str, optional
        For sql.

    Raises
    ------
    InputError
        An unknown name, a path that is missing, or one that is not needed.
    """
    if name not in ("sample", "csv", "parquet", "sql"):
        raise InputError(f"Unknown source {name!r}; choose one of sample, csv, parquet, sql.")
    if name in ("csv", "parquet"):
        if path is None:
            raise InputError(f"The source {name!r} needs the path of a file; give it with --path.")
        kind = CsvSource if name == "csv" else ParquetSource
        return kind(path, form or CsvFormat(), columns or Columns())
    if path is not None:
        raise InputError(
            f"The source {name!r} takes no path, but got {path}; choose 'csv' or 'parquet' to read a file."
        )
    if name == "sample":
        if columns is not None and columns != Columns():
            raise InputError("The sample's columns are known; leave out what names or excludes columns.")
        return SampleSource()
    if url is None or query is None:
        raise InputError("The source 'sql' needs a database and a query; give them with --url and --query.")
    from gatecast.data.sources.sql import SqlSource

    return SqlSource(url, query, columns or Columns())

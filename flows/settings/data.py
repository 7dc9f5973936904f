"""Which data a run reads, and how."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import Field, field_validator, model_validator

from gatecast.data.errors import InputError
from gatecast.data.settings import AGE_PATTERN, Settings
from gatecast.data.urls import file_name, is_url
from gatecast.data.variables import is_variable, resolved
from gatecast.flows.settings.locations import Address, Location, Query

if TYPE_CHECKING:
    import pandas as pd

    from gatecast.data.sources.columns import Columns
    from gatecast.data.sources.csv_format import CsvFormat


class DatesGiven(TypedDict):
    """What a person says of the dates of the data; see `Forecaster.fit_sequences`."""

    freq: str | None
    closed: tuple[str, ...]
    calendar: str | None


class DataSettings(Settings):
    """Which data to read."""

    source: Literal["sample", "csv", "parquet", "sql", "yahoo"] = Field(
        "sample",
        description="Where the data comes from: sample (S&P 500 and NASDAQ, 1999-2018), csv, parquet, sql or yahoo;"
        " with a path, what it ends in",
        json_schema_extra={"panel": "Data"},
    )
    path: Location | None = Field(
        None,
        description="Your data, for csv and parquet: bars (date, open, high, low, close, volume; one or many symbols)"
        " or series (unique_id, ds, y, covariates); s3://, gs:// and https:// work too; $NAME of an environment"
        " variable, or ${NAME} within it, for secrets",
        json_schema_extra={"metavar": "FILE|FOLDER|URL"},
    )
    url: Address | None = Field(
        None,
        description="Your database, for sql: sqlite:///FILE, postgresql+psycopg://HOST/DB; $NAME of an environment"
        " variable, or ${NAME} within the URL, for secrets",
    )
    query: Query | None = Field(None, description="What to select there; columns as in a file")
    symbols: tuple[str, ...] | None = Field(
        None,
        description="Series to keep, all by default; for yahoo, what to fetch, as AAPL and ^GSPC; a name that holds a"
        " comma is quoted",
        json_schema_extra={"metavar": "A,B"},
    )
    start: date | None = Field(None, description="First day to keep")
    end: date | None = Field(None, description="Last day to keep")
    interval: str | None = Field(
        None, description="Merge bars to 1d, 1wk or 1mo; yahoo has 1m to 90m and 1h too; as they are by default"
    )
    max_stale: str | None = Field(
        None,
        pattern=AGE_PATTERN,
        description="How old yahoo's last good rows may be when it fails, as 5d or 12h; any age by default",
        json_schema_extra={"metavar": "AGE"},
    )
    max_overdue: int | None = Field(
        None,
        ge=1,
        description="Rows that may be overdue, by the calendar of the data, before it counts as old; by default 5, or"
        " those of 3 days if rows come more often than daily",
        json_schema_extra={"metavar": "ROWS"},
    )
    adjustment: Literal["all", "splits", "none"] = Field(
        "all", description="What yahoo's prices are adjusted for: all (splits and dividends), splits or none"
    )
    requests_per_second: float = Field(2.0, gt=0, description="Requests to yahoo at most, all symbols together")
    bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse",
        description="What a wrong row does: refuse the whole file, or go to quarantine; yahoo's always do that",
        json_schema_extra={"panel": "How the data is written, and what of it is wrong"},
    )
    calendar: str | None = Field(
        None,
        description="Exchange on whose sessions alone rows come, as XNYS, XLON or 24/7, for gaps and the dates of"
        " forecasts; by default the one whose holidays the data keeps",
    )
    freq: str | None = Field(
        None,
        description="Exactly when rows come, for the dates of the forecasts: D, B, W-FRI, MS, ME, QE, SME, h, 30min; by"
        " default the open days and hours, or days of the month, that the data keeps",
    )
    closed: tuple[str, ...] = Field(
        (),
        description="Days of the week on which no row comes, as SUN or SAT,SUN",
        json_schema_extra={"metavar": "DAY,DAY"},
    )
    delimiter: str | None = Field(None, description="Between the fields of a CSV file; found by default")
    decimal: str | None = Field(None, description="Decimal mark of a CSV file, . or ,; found by default")
    date_format: str | None = Field(
        None,
        description="Form of the dates, as %d/%m/%Y, or steps for rows that have whole numbers instead; found by"
        " default",
    )
    encoding: str | None = Field(
        None, description="Encoding of a CSV file, as cp1252; by default UTF-8, or UTF-16 if its first bytes say so"
    )
    id_column: str | None = Field(
        None,
        description="Column with the names of the series, found by default; several that name them together as A,B",
    )
    time_column: str | None = Field(
        None, description="Column with the timestamps, found by default; several that make one together as DATE,TIME"
    )
    target_column: str | None = Field(
        None, description="Column that is forecast, of series; found by default, if there is only one of numbers"
    )
    exclude: tuple[str, ...] = Field((), description="Columns to leave out")
    wide: bool = Field(
        False, description="Take each column of numbers for a series; or each row, where columns are called by dates"
    )

    @model_validator(mode="before")
    @classmethod
    def _source_of_path(cls, values: Any) -> Any:
        """Find the source from the path if only the path is given, whether in options, a form or a file."""
        if isinstance(values, Mapping) and values.get("path") and "source" not in values:
            return {**values, "source": source_of(str(values["path"]))}
        return values

    @field_validator("freq")
    @classmethod
    def _known_freq(cls, freq: str | None) -> str | None:
        from gatecast.data.dates.rules import require_freq

        return None if freq is None else require_freq(freq)

    @field_validator("closed")
    @classmethod
    def _known_days(cls, closed: tuple[str, ...]) -> tuple[str, ...]:
        from gatecast.data.dates.rules import require_closed

        return require_closed(closed) if closed else closed

    @property
    def dates(self) -> DatesGiven:
        """What is said of the dates: `freq`, `closed` and `calendar`, as `Forecaster.fit` takes them."""
        return {"freq": self.freq, "closed": self.closed, "calendar": self.calendar}

    @property
    def is_numbered(self) -> bool:
        """Whether rows have numbers instead of dates."""
        return self.date_format == "steps"

    @property
    def origin(self) -> str:
        """A short name of the data that is safe in file names: ``sample``, ``yahoo`` or the file's stem."""
        named = PurePath(file_name(str(self.path).rstrip("/"))).stem if self.path else self.source
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip(".-_")
        return stem[:40] or self.source

    @property
    def description(self) -> str:
        """The data in words, without secrets."""
        return str(self.path or self.url or self.source)

    @property
    def csv_format(self) -> CsvFormat:
        """Format of a CSV file, as far as it is given."""
        from gatecast.data.sources.csv_format import CsvFormat

        return CsvFormat(self.delimiter, self.decimal, self.date_format, self.encoding)

    @property
    def columns(self) -> Columns:
        """What the columns are, as far as it is given."""
        from gatecast.data.sources.columns import Columns

        return Columns(self.id_column, self.time_column, self.target_column, self.exclude, self.wide)

    @property
    def longest_age(self) -> pd.Timedelta | None:
        """`max_stale` as a duration."""
        import pandas as pd

        if self.max_stale is None:
            return None
        length = re.fullmatch(r"(\d+)(d|h|min)", self.max_stale)
        assert length is not None  # the field's pattern
        units = {"d": pd.Timedelta(days=1), "h": pd.Timedelta(hours=1), "min": pd.Timedelta(minutes=1)}
        return int(length[1]) * units[length[2]]

    @property
    def mirror(self) -> str | None:
        """The address of a mirror for Yahoo's requests: ``GATECAST_YAHOO_URL``."""
        return os.environ.get("GATECAST_YAHOO_URL") or None

    def from_file(self, path: Path) -> DataSettings:
        """Return the settings that read the whole of another file as this data is read."""
        place = {"source": source_of(str(path)), "path": path, "url": None, "query": None}
        return self.model_copy(update={**place, "start": None, "end": None})


def source_of(path: str) -> Literal["csv", "parquet"]:
    """Return the source that follows from a path's ending, or from what a folder holds: parquet or csv."""
    if is_variable(path):
        with suppress(InputError):  # it need not be set here, for example if a worker reads the data
            path = resolved(path)
    if file_name(path.rstrip("/")).lower().endswith((".parquet", ".pq")):
        return "parquet"
    folder = Path(path).expanduser()
    holds_parquet = not is_url(path) and folder.is_dir() and any(folder.rglob("*.parquet"))
    return "parquet" if holds_parquet else "csv"

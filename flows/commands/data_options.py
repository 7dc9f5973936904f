"""The options that say which data: the same for every command that reads some."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import CommonOptions, day, given, names

if TYPE_CHECKING:
    from flows.settings import DataSettings

DATA, FORM = "Data", "How the data is written, and what of it is wrong"
DAY = ["%Y-%m-%d"]


@dataclass(frozen=True, kw_only=True)
class DataOptions(CommonOptions):
    """The options of `flows.settings.DataSettings`; None stands for its default."""

    source: Annotated[
        str | None,
        typer.Option(
            help="sample (S&P 500 and NASDAQ, 1999-2018), csv, parquet, sql or yahoo.",
            show_default="sample, or what --path ends in",
            rich_help_panel=DATA,
        ),
    ] = None
    path: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER|URL",
            help="Your data, for csv and parquet: bars (date, open, high, low, close, volume; one or many symbols) or"
            " series (unique_id, ds, y, covariates). s3:// and gs:// work too.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None
    url: Annotated[
        str | None,
        typer.Option(
            help="Your database, for sql: sqlite:///FILE, postgresql+psycopg://HOST/DB, or '$NAME', the variable that"
            " holds a URL with a password.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None
    query: Annotated[
        str | None,
        typer.Option(help="What to select there; columns as in a file.", show_default=False, rich_help_panel=DATA),
    ] = None
    symbols: Annotated[
        str | None,
        typer.Option(
            help="Series to keep, as A,B; for yahoo, what to fetch, as AAPL,^GSPC.",
            show_default="all",
            rich_help_panel=DATA,
        ),
    ] = None
    start: Annotated[
        datetime | None,
        typer.Option(formats=DAY, metavar="DATE", help="First day to keep.", show_default="all", rich_help_panel=DATA),
    ] = None
    end: Annotated[
        datetime | None,
        typer.Option(formats=DAY, metavar="DATE", help="Last day to keep.", show_default="all", rich_help_panel=DATA),
    ] = None
    interval: Annotated[
        str | None,
        typer.Option(
            help="Merge bars to 1d, 1wk or 1mo; yahoo has 1m to 90m and 1h too.",
            show_default="as they are",
            rich_help_panel=DATA,
        ),
    ] = None
    max_stale: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="How old yahoo's last good rows may be when it fails, as 5d or 12h.",
            show_default="any age",
            rich_help_panel=DATA,
        ),
    ] = None
    adjustment: Annotated[
        str | None,
        typer.Option(
            help="What yahoo's prices are adjusted for: all, splits or none.",
            show_default="all: splits and dividends",
            rich_help_panel=DATA,
        ),
    ] = None
    requests_per_second: Annotated[
        float | None,
        typer.Option(help="Requests to yahoo at most, all symbols together.", show_default="2", rich_help_panel=DATA),
    ] = None
    bad_rows: Annotated[
        str | None,
        typer.Option(
            help="refuse the file, or put them in quarantine and go on.", show_default="refuse", rich_help_panel=FORM
        ),
    ] = None
    calendar: Annotated[
        str | None,
        typer.Option(
            help="Exchange calendar to look for gaps with, as XNYS, XLON or 24/7.",
            show_default="the one whose holidays the data keeps",
            rich_help_panel=FORM,
        ),
    ] = None
    delimiter: Annotated[
        str | None, typer.Option(help="Between the fields of a CSV file.", show_default="found", rich_help_panel=FORM)
    ] = None
    decimal: Annotated[
        str | None,
        typer.Option(help="Decimal mark of a CSV file, . or ,.", show_default="found", rich_help_panel=FORM),
    ] = None
    date_format: Annotated[
        str | None,
        typer.Option(help="Form of the dates in a CSV file, as %d/%m/%Y.", show_default="found", rich_help_panel=FORM),
    ] = None

    def data_settings(self) -> DataSettings:
        """Return the settings of the data."""
        from flows.settings import DataSettings

        words = {field.name for field in fields(DataOptions)} - {field.name for field in fields(CommonOptions)}
        typed = given(**{word: getattr(self, word) for word in words - {"symbols", "start", "end"}})
        return DataSettings(**typed, **given(symbols=names(self.symbols), start=day(self.start), end=day(self.end)))

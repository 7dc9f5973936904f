"""``gatecast data``: look at data without changing anything."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, Typed, takes
from gatecast.flows.engine.terminal import INPUT_IS_WRONG, console, counted, explained, print_next, print_paths
from gatecast.flows.settings.runs import DataSettings

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class CheckOptions(CommonOptions):
    """The argument and the options of ``gatecast data check``."""

    data: Typed[DataSettings] = Typed(DataSettings)
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|FOLDER|URL", help="The data; the same as --path.", show_default=False),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(help="Write all problems to this Parquet file.", show_default=False),
    ] = None


@app.callback()
def data() -> None:
    """Look at data: check a file before anything is trained on it."""


@app.command()
@takes(CheckOptions)
def check(options: CheckOptions) -> None:
    """Check data, and list everything that is wrong with it, not only the first problem.

    Errors are rows that a retrain would refuse: no number, no date, a date twice or out of order, impossible prices.
    Warnings are worth a look: gaps against the exchange's calendar, or long gaps if the calendar is not known, outliers
    against their neighbours, days without volume. Nothing is written to the workspace. Ends with exit status 2 if there
    are errors.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.quality.validation import ERROR
        from gatecast.flows.commands.series_table import print_problems

        settings = settings_of(options)
        problems = check_data(settings)
        print_problems(problems)
        errors = int((problems["severity"] == ERROR).sum())
        if options.output is not None:
            from gatecast.data.store import write_parquet

            print_paths({"problems": str(write_parquet(problems.astype({"ds": str}), options.output.resolve()))})
        if len(problems):
            console().print(f"\n{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}")
        else:
            console().print("\n[green]Nothing is wrong.[/green]")
        source = {"sample": "", "sql": "--source sql --url ... --query ..."}.get(
            settings.source, f"--source {settings.source} --path {shlex.quote(str(settings.path))}"
        )
        print_next(f"retrain {source}{' --bad-rows quarantine' if errors else ''}")
        if errors:
            raise typer.Exit(INPUT_IS_WRONG)


def settings_of(options: CheckOptions) -> DataSettings:
    """Return the settings, with the argument filled in.

    Raises
    ------
    InputError
        Two files are named, or a source that cannot be checked in this way.
    """
    from gatecast.data.errors import InputError

    settings = options.data.settings()
    if options.file is not None:
        if settings.path is not None:
            raise InputError(f"Two files are named, {options.file} and {settings.path}; name one.")
        settings = options.data.of(path=options.file).settings()
    if settings.source == "yahoo":
        raise InputError("Yahoo's bars are checked as they are fetched; use gatecast fetch, and see the quarantine.")
    return settings


def check_data(settings: DataSettings) -> pd.DataFrame:
    """Print a table of the series and return all problems."""
    import pandas as pd

    from gatecast.data.dates.calendar import require_calendar
    from gatecast.data.quality.overview import overview
    from gatecast.data.sources.selection import Selection, select
    from gatecast.data.sources.source import open_source
    from gatecast.flows.commands.series_table import print_series

    if settings.calendar is not None:
        require_calendar(settings.calendar)
    source = open_source(
        settings.source,
        settings.path,
        form=settings.csv_format,
        columns=settings.columns,
        url=settings.url,
        query=settings.query,
    )
    checked = source.check()
    for notice in checked.notices:
        console().print(notice, markup=False)
    if checked.rows.empty:
        return checked.problems
    selection = Selection(settings.symbols, settings.start, settings.end, settings.interval)
    rows = select(checked.rows, selection, source.origin)
    names = [str(name) for name in rows["unique_id"].unique()]
    records, warnings = overview(rows, dict.fromkeys(names, settings.calendar))
    print_series(records, f"{source.origin}: {len(rows):,} good rows, {len(checked.refused):,} wrong ones")
    found = [problems for problems in (checked.problems, warnings) if len(problems)]
    return pd.concat(found, ignore_index=True) if found else warnings

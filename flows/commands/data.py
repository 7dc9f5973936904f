"""``gatecast data``: look at data without changing anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatecast.flows.commands.options import CommonOptions, Typed, takes
from gatecast.flows.commands.setting import join_list
from gatecast.flows.engine.terminal import INPUT_IS_WRONG, console, counted, explained, print_next, print_paths, say
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings

if TYPE_CHECKING:
    import pandas as pd

    from gatecast.data.quality.validation import Checked

MOST_LEFT_OUT = 0.05
"""Share of the rows that may be left out without a second thought"""
MOST_LEFT_OUT_OF_SERIES = 0.2
NEEDED = ("unique_id", "ds", "y", "open", "high", "low", "close", "volume")
"""Columns that are no covariates"""
app = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class CheckOptions(CommonOptions):
    """The argument and the options of ``gatecast data check``."""

    data: Typed[DataSettings] = Typed(DataSettings)
    retrain: Typed[RetrainSettings] = Typed(RetrainSettings, without=("name", "data", "gate"))
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

    Errors are what a retrain with the same options would refuse: rows without a number or a date, with a date twice or
    out of order, or with impossible prices; and data that are too short for the lookback, the horizon or the periods.
    Warnings are worth a look: gaps, changes of scale, outliers, days without volume, series that are constant, too
    regular or of another size than the others, and what a retrain would leave out. Nothing is written to the workspace.
    Ends with exit status 2 if there are errors.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.dates.steps import in_steps
        from gatecast.data.quality.validation import ERROR
        from gatecast.flows.commands.series_table import print_problems

        settings = settings_of(options)
        found = check_data(settings)
        is_numbered = settings.data.is_numbered
        print_problems(found.problems, is_numbered)
        errors = int((found.problems["severity"] == ERROR).sum())
        if options.output is not None:
            from gatecast.data.store import write_parquet

            written = write_parquet(found.problems.astype({"ds": str}), options.output.resolve())
            print_paths({"problems": str(written)})
        if len(found.problems):
            console().print(f"\n{counted(errors, 'error')}, {counted(len(found.problems) - errors, 'warning')}")
        else:
            console().print("\n[green]Nothing is wrong.[/green]")
        if found.summary:
            say(in_steps(found.summary) if is_numbered else found.summary)
        advise(options, settings.data, found, errors)
        if errors:
            raise typer.Exit(INPUT_IS_WRONG)


@dataclass(frozen=True, eq=False)
class Found:
    """What there is to say about data.

    Attributes
    ----------
    checked : Checked
        The rows, good and refused.
    problems : DataFrame
        All problems, those of a retrain included.
    summary : str or None
        What a retrain would learn from; None if it would refuse the data.
    """

    checked: Checked
    problems: pd.DataFrame
    summary: str | None


def settings_of(options: CheckOptions) -> RetrainSettings:
    """Return the settings of the retrain that the check is for, with the argument filled in.

    Raises
    ------
    InputError
        Two files are named, or a source that cannot be checked in this way.
    """
    from gatecast.data.errors import InputError

    data = options.data.settings()
    if options.file is not None:
        if data.path is not None:
            raise InputError(f"Two files are named, {options.file} and {data.path}; name one.")
        data = options.data.of(path=options.file).settings()
    if data.source == "yahoo":
        raise InputError("Yahoo's bars are checked as they are fetched; use gatecast fetch, and see the quarantine.")
    return options.retrain.of(data=data).settings()


def check_data(settings: RetrainSettings) -> Found:
    """Print a table of the series and return all problems."""
    import pandas as pd

    from gatecast.data.dates.calendar import require_calendar
    from gatecast.data.quality.overview import overview
    from gatecast.data.quality.plausibility import doubts
    from gatecast.data.quality.validation import WARNING
    from gatecast.data.sources.selection import Selection, select
    from gatecast.data.sources.source import open_source
    from gatecast.flows.commands.series_table import print_series
    from gatecast.flows.judging.rehearsal import rehearse

    data = settings.data
    if data.calendar is not None:
        require_calendar(data.calendar)
    source = open_source(
        data.source, data.path, form=data.csv_format, columns=data.columns, url=data.url, query=data.query
    )
    checked = source.check()
    for notice in checked.notices:
        console().print(notice, markup=False)
    if checked.rows.empty:
        return Found(checked, checked.problems, None)
    selection = Selection(data.symbols, data.start, data.end, data.interval)
    rows = select(checked.rows, selection, source.origin)
    names = [str(name) for name in rows["unique_id"].unique()]
    records, warnings = overview(rows, dict.fromkeys(names, data.calendar))
    print_series(
        records, f"{source.origin}: {len(rows):,} good rows, {len(checked.refused):,} wrong ones", data.is_numbered
    )
    rehearsal = rehearse(rows, settings)
    of_rows = checked.problems
    if data.bad_rows == "quarantine":
        of_rows = of_rows.assign(severity=WARNING)  # a retrain leaves these rows out
    problems = [each for each in (rehearsal.problems, of_rows, doubts(rows), warnings) if len(each)]
    return Found(checked, pd.concat(problems, ignore_index=True) if problems else warnings, rehearsal.summary)


def advise(options: CheckOptions, data: DataSettings, found: Found, errors: int) -> None:
    """Print what to type next; rows are only left out if they are few, and it is said how many they are."""
    place = {"sample": "", "sql": "--source sql --url ... --query ..."}.get(
        data.source, f"--source {data.source} --path {shlex.quote(str(data.path))}"
    )
    typed = shlex.join([*_words(options.data), *_words(options.retrain)])
    place = f"{place} {typed}".strip()
    refused = found.checked.refused
    whole = len(refused) + len(found.checked.rows)
    if not errors:
        print_next(f"retrain {place}".rstrip())
        return
    if refused.empty:
        return  # the error says what to do
    counts = refused["unique_id"].astype(str).value_counts()
    of_series = counts / (counts + found.checked.rows["unique_id"].value_counts().reindex(counts.index, fill_value=0))
    lost = f"{len(refused):,} of {whole:,} rows"
    if len(refused) > MOST_LEFT_OUT * whole or of_series.max() > MOST_LEFT_OUT_OF_SERIES:
        has_others = (found.checked.rows["unique_id"] != of_series.idxmax()).any()
        worst = f", {of_series.max():.0%} of {of_series.idxmax()} among them" if has_others else ""
        say(f"{lost} are wrong{worst}: too many to leave out. {_most_frequent(found.checked)}")
        print_next(f"data check {place}")
        return
    say(f"--bad-rows quarantine would leave out {lost}: {_by_series(counts)}.")
    if found.summary is not None:
        print_next(f"retrain {place} --bad-rows quarantine")


def _words(typed: Typed[Any]) -> Iterator[str]:
    """Give the options that were typed, but for the data's place."""
    for setting in typed.options:
        value: Any = typed.values
        for name in setting.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or setting.path[-1] in ("source", "path", "url", "query"):
            continue
        if isinstance(value, bool):
            yield setting.spellings[0 if value else -1]
            continue
        yield setting.spellings[0]
        yield join_list(value) if isinstance(value, tuple) else str(value)


def _most_frequent(checked: Checked) -> str:
    """Say what is wrong with most of the refused rows."""
    from gatecast.data.quality.validation import ERROR

    problems = checked.problems[checked.problems["severity"] == ERROR]
    whole = problems[problems["rule"].isin(["values", "covariate"])]
    if len(whole):
        columns = ",".join(whole["column"].unique())
        is_needed = (whole["rule"] == "values").any()
        way_out = "" if is_needed else f", or leave it out: --exclude {columns}"
        return f"No row has a number in {columns}; correct the column{way_out}."
    alike = problems.groupby(["column", "problem"], sort=False).size()
    most = alike.reset_index(name="rows").nlargest(1, "rows").iloc[0]
    what, _, remedy = most["problem"].partition(";")
    way_out = "" if most["column"] in NEEDED else f", or leave the column out: --exclude {most['column']}"
    return f"Most often, in {most['rows']:,} rows, it is {most['column']}, {what}:{remedy}{way_out}."


def _by_series(counts: pd.Series, shown: int = 5) -> str:
    parts = [f"{count:,} of {name}" for name, count in counts.head(shown).items()]
    return ", ".join(parts) + (f" and those of {len(counts) - shown:,} more series" if len(counts) > shown else "")

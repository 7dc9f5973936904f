"""Read a source and keep its rows as Parquet, one file per series: the first step of a retrain, and a flow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd

from gatecast.data.bars.store import BarStore, add_to_quarantine, write_rows
from gatecast.data.dates.ages import NO_AGE, Age, age_of, rows_overdue
from gatecast.data.dates.calendar import require_calendar
from gatecast.data.dates.panels import dates_in_words
from gatecast.data.dates.rules import DateRules
from gatecast.data.dates.steps import day_in_words
from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.leftovers import remove_leftovers
from gatecast.data.quality.overview import Record, overview, problems_in_words
from gatecast.data.quality.validation import ERROR, Checked, sentence
from gatecast.data.sequences.regular import Regular, regular_frame
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.selection import Selection, frame_kind, select
from gatecast.data.sources.source import open_source
from gatecast.data.store import (
    atomic_directory,
    content_hash,
    locked,
    read_json,
    read_parquet_metadata,
    symbol_filename,
    write_json,
)
from gatecast.data.yahoo.client import Policy, YahooClient, utc_now
from gatecast.data.yahoo.source import Update, YahooSource, format_age
from gatecast.flows.engine.artifacts import create_table_artifact
from gatecast.flows.engine.ingested import ingested_files, read_ingested
from gatecast.flows.engine.orchestration import Output, State, flow, is_in_run, run_name, task, wait_until_recorded
from gatecast.flows.engine.progress import FetchProgress
from gatecast.flows.engine.results import Ingested
from gatecast.flows.engine.terminal import warn
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.workspace import Workspace

_LOGGER = logging.getLogger(__name__)
OVERVIEW_FILE = "overview.json"
NOTICES_SHOWN = 5
DEFAULTS = DataSettings()

Fetch = Callable[[YahooSource, Sequence[str], Selection], list[Update]]


@flow(name="ingest", flow_run_name=run_name(lambda given: DataSettings.model_validate(given["settings"]).origin))
def ingest_data(settings: DataSettings = DEFAULTS) -> Ingested:
    """Bring the workspace up to date with a source, and do nothing else.

    Parameters
    ----------
    settings : DataSettings
        Source and selection.

    Returns
    -------
    Ingested
        As `ingest`.
    """
    workspace = Workspace.from_environment()
    state = ingest(settings, workspace, return_state=True)
    result = state.result()
    wait_until_recorded(_task_runs([state]))
    return result


@task("ingest {settings.origin}", cached=False)
def ingest(settings: DataSettings, workspace: Workspace) -> Ingested:
    """Read the selected data and write it to a folder that is named after its content.

    Parameters
    ----------
    settings : DataSettings
        Source and selection.
    workspace : Workspace
        Where the folder goes.

    Returns
    -------
    Ingested
        The folder, its content and a record of each series.

    Raises
    ------
    InputError
        The source or the selection is wrong; no data is written in that case.
    SourceError
        The source failed, and nothing good enough is stored.
    """
    result = read_data(settings, workspace, _fetch_in_tasks if is_in_run() else None)
    if is_in_run():
        description = f"Data from {settings.origin}: {result['summary']}"
        create_table_artifact(key="ingest", table=table_of(result["series"]), description=description)
    for notice in result["notices"][:NOTICES_SHOWN]:
        warn(notice)
    if len(result["notices"]) > NOTICES_SHOWN:
        warn(f"{len(result['notices']) - NOTICES_SHOWN} more notices; gatecast data check shows them all.")
    return result


def read_data(settings: DataSettings, workspace: Workspace, fetch: Fetch | None = None) -> Ingested:
    """Do the work of `ingest` in any process, with or without Prefect.

    Parameters
    ----------
    settings : DataSettings
    workspace : Workspace
    fetch : callable, optional
        Brings Yahoo's symbols up to date; one after the other by default.
    """
    bars = workspace.bars
    found = _read(settings, workspace, fetch or _fetch_in_turn)
    rules = DateRules(**settings.dates)
    frame, inserted, series, _ = (
        regular_frame(found.frame, rules) if frame_kind(found.frame) == "series" else Regular(found.frame)
    )
    content = content_hash(frame)
    directory = bars / f"{settings.origin}-{content[:12]}"
    with locked(bars / "ingest"):
        remove_leftovers(bars)
        former = _rows_before(bars, settings.origin)
        if _holds(directory, content):
            os.utime(directory / OVERVIEW_FILE)  # what is used again is not old
        else:
            records, _ = overview(found.frame, found.calendars)
            _write(frame, records, directory, settings)
        records = read_json(directory / OVERVIEW_FILE, list[Record])
    age, overdue = _age_of(frame, settings, rules)
    for record in records:
        name = record["unique_id"]
        record["overdue"] = overdue.get(name)
        record["new"] = found.new.get(name, record["rows"] - former.get(name, 0))
        record["refused"] = found.refused.get(name, 0)
        record["cause"] = found.causes.get(name)
        record["age"] = _age(record["last"])
    ends = (frame["ds"].min(), frame["ds"].max())
    period = " to ".join(day_in_words(moment, settings.is_numbered) for moment in ends)
    when = "" if settings.is_numbered else dates_in_words(frame, rules)
    count = len(found.frame)
    stale = f"; {len(found.causes)} from the store, since the source failed" if found.causes else ""
    old = f"; {age.sentence}" if age.sentence else ""
    return {
        "directory": str(directory),
        "content_hash": content,
        "kind": frame_kind(frame),
        "last": day_in_words(ends[1]),
        "series": records,
        "age": age.to_dict(),
        "notices": [*found.notices, *_inserted_in_words(inserted, series)],
        "quarantine": found.quarantine,
        "summary": f"{count:,} rows of {len(records)} series, {period}{when and f', {when}'}{stale}{old}",
    }


def _age_of(frame: pd.DataFrame, settings: DataSettings, rules: DateRules) -> tuple[Age, dict[str, int]]:
    """Return the age of the data, and how many rows of each series are overdue.

    The sample ends in 2018 for good, and data with a last day are not expected to go on after it.
    """
    if settings.source == "sample" or settings.is_numbered:
        return NO_AGE, {}
    now = utc_now()
    if settings.end is not None:
        now = min(now, pd.Timestamp(settings.end, tz="UTC") + pd.Timedelta(days=1))
    overdue = rows_overdue(frame, rules, now, settings.max_overdue)
    return age_of(overdue), {str(name): int(rows) for name, rows in overdue["overdue"].items()}


def _inserted_in_words(rows: int, series: int) -> list[str]:
    return [f"{rows:,} rows of {series:,} series were missing; they are masked."] if rows else []


def table_of(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the artifact: symbol, rows, range, new rows, age, overdue rows and problems of each series."""
    return [
        {
            "symbol": record["unique_id"],
            "rows": record["rows"],
            "range": f"{record['first'][:10]} to {record['last'][:10]}",
            "new rows": record["new"],
            "age": record["age"],
            "rows overdue": "–" if record["overdue"] is None else f"{record['overdue']:,}",
            "problems": problems_in_words(record),
        }
        for record in records
    ]


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, eq=False)
class _Found:
    """The rows of a source, and what there is to say about them; mappings are by series."""

    frame: pd.DataFrame
    calendars: Mapping[str, str | None]
    new: Mapping[str, int]
    refused: Mapping[str, int]
    causes: Mapping[str, str]
    notices: Sequence[str]
    quarantine: str | None


def _read(settings: DataSettings, workspace: Workspace, fetch: Fetch) -> _Found:
    selection = Selection(settings.symbols, settings.start, settings.end, settings.interval)
    if settings.calendar is not None:
        require_calendar(settings.calendar)
    if settings.source == "yahoo":
        if settings.columns != Columns():
            raise InputError("Yahoo's columns are known; leave out what names or excludes columns.")
        return _read_yahoo(settings, selection, workspace, fetch)
    source = open_source(
        settings.source,
        settings.path,
        form=settings.csv_format,
        columns=settings.columns,
        url=settings.url,
        query=settings.query,
    )
    calendar = settings.calendar or ("XNYS" if settings.source == "sample" else None)
    checked = source.check()
    if settings.bad_rows == "refuse":
        frame = select(checked.require(source.origin), selection, source.origin)
        calendars = dict.fromkeys(frame["unique_id"].unique(), calendar)
        return _Found(frame, calendars, {}, {}, {}, _told(checked, settings), None)
    notices, quarantine = _set_aside(checked, settings, workspace)
    if checked.rows.empty:
        raise InputError(f"{settings.description} has no good row; see {quarantine}.")
    frame = select(checked.rows, selection, settings.description)
    refused = {str(name): int(count) for name, count in checked.refused["unique_id"].value_counts().items()}
    calendars = dict.fromkeys(frame["unique_id"].unique(), calendar)
    return _Found(frame, calendars, {}, refused, {}, [*notices, *_told(checked, settings)], quarantine)


def _set_aside(checked: Checked, settings: DataSettings, workspace: Workspace) -> tuple[list[str], str | None]:
    """Put refused rows into quarantine; return what to say about them, and their file."""
    count = len(checked.refused)
    whole = len(checked.refused) + len(checked.rows)
    if not count:
        return [], None
    path = workspace.quarantine / settings.source / f"{settings.origin}.parquet"
    first = sentence(checked.problems[checked.problems["severity"] == ERROR].iloc[0])
    notice = f"{settings.description}: {count:,} of {whole:,} rows were put in quarantine; the first: {first}."
    return [notice], str(add_to_quarantine(checked.refused, path))


def _told(checked: Checked, settings: DataSettings) -> list[str]:
    """Return what to say about rows that are not refused."""
    doubtful = checked.problems[checked.problems["severity"] != ERROR]
    return [*checked.notices, *(f"{settings.description}: {sentence(row)}." for _, row in doubtful.iterrows())]


def _read_yahoo(settings: DataSettings, selection: Selection, workspace: Workspace, fetch: Fetch) -> _Found:
    source = yahoo_source(settings, workspace)
    updates = fetch(source, source.symbols(selection), selection)
    source.require(updates)
    quarantined = [update.quarantine for update in updates if update.quarantine]
    return _Found(
        frame=source.load(selection),
        calendars={update.symbol: settings.calendar or update.calendar for update in updates},
        new={update.symbol: update.new for update in updates},
        refused={update.symbol: update.refused for update in updates},
        causes={update.symbol: str(update.cause) for update in updates if update.cause},
        notices=[notice for update in updates for notice in update.notices],
        quarantine=str(Path(quarantined[0]).parent) if quarantined else None,
    )


def yahoo_source(settings: DataSettings, workspace: Workspace) -> YahooSource:
    """Return the Yahoo source of a workspace, which holds its store, quarantine and session caches."""
    return YahooSource(
        store=BarStore(workspace.bars / "yahoo", workspace.quarantine / "yahoo"),
        client=_yahoo_client(workspace.yahoo, settings.requests_per_second, settings.mirror),
        adjustment=settings.adjustment,
        max_stale=settings.longest_age,
    )


@cache
def _yahoo_client(folder: Path, requests_per_second: float, address: str | None) -> YahooClient:
    # One for the process: its rate limit applies to all requests together.
    return YahooClient(folder, Policy(requests_per_second), address)


def _fetch_in_turn(source: YahooSource, symbols: Sequence[str], selection: Selection) -> list[Update]:
    return [source.update(symbol, selection.interval, selection.start) for symbol in symbols]


def _fetch_in_tasks(source: YahooSource, symbols: Sequence[str], selection: Selection) -> list[Update]:
    """Fetch each symbol in a task of its own, a few at a time."""

    @task("fetch {symbol}", cached=False)
    def fetch(symbol: str) -> Output:
        return source.update(symbol, selection.interval, selection.start).to_dict()

    def in_context(context: Context, symbol: str) -> State[Output]:
        return context.run(lambda: fetch(symbol, return_state=True))

    # Each thread sees the flow run of this thread.
    contexts = [copy_context() for _ in symbols]
    states = []
    with FetchProgress(len(symbols)) as progress, ThreadPoolExecutor(source.client.policy.in_flight) as threads:
        for state in threads.map(in_context, contexts, symbols):
            states.append(state)
            progress(f"{len(states)} of {len(symbols)} symbols")
    wait_until_recorded(_task_runs(states))
    return [Update.from_dict(state.result()) for state in states]


def _task_runs(states: Sequence[State[Any]]) -> list[UUID]:
    return [state.state_details.task_run_id for state in states if state.state_details.task_run_id is not None]


# ---------------------------------------------------------------- the folder


def _write(frame: pd.DataFrame, records: list[dict[str, Any]], directory: Path, settings: DataSettings) -> None:
    metadata = {
        "source": settings.source,
        "origin": settings.description,
        "interval": settings.interval or "",
        "fetched_at": utc_now().isoformat(timespec="seconds"),
    }
    with atomic_directory(directory) as temporary:
        for unique_id, rows in frame.groupby("unique_id", sort=False):
            write_rows(rows, temporary / f"{symbol_filename(str(unique_id))}.parquet", metadata)
        write_json(temporary / OVERVIEW_FILE, records)


def _holds(directory: Path, content: str) -> bool:
    """Tell whether a folder still holds this content; a damaged one does not, which is a warning."""
    if not directory.exists():
        return False
    try:
        read_json(directory / OVERVIEW_FILE, list[Record])
        if content_hash(read_ingested(directory)) == content:
            return True
        _LOGGER.warning("%s does not hold what was written there; it is written again.", directory)
    except InputError as error:
        _LOGGER.warning("%s The folder is written again.", error)
    return False


def _rows_before(bars: Path, origin: str) -> dict[str, int]:
    """Return the number of rows of each series when the source was last read, as far as that is on record."""
    others = list(bars.glob(f"{origin}-{'[0-9a-f]' * 12}/{OVERVIEW_FILE}"))
    if not others:
        return {}
    newest = max(others, key=lambda file: file.stat().st_mtime)
    try:
        return {record["unique_id"]: record["rows"] for record in read_json(newest, list[Record])}
    except DamagedFileError as error:
        _LOGGER.warning("%s Its rows are counted in the files next to it.", error)
    try:
        found = [read_parquet_metadata(file) for file in ingested_files(newest.parent)]
        return {metadata["symbol"]: int(metadata["rows"]) for metadata in found}
    except (InputError, KeyError, ValueError):
        return {}  # the number of new rows is only for people to read, so this is no reason to stop


def _age(last: str) -> str:
    """Return how long ago a date was, in the largest unit."""
    moment = pd.Timestamp(last)
    return format_age(utc_now() - (moment.tz_localize("UTC") if moment.tz is None else moment))

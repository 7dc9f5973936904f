"""A fleet: one model for each series or group of series, trained on all cores.

Each model takes the steps of `flows.retrain` in one task: sequences, training, evaluation, version, gate, forecast. A
model that fails does not affect the others, and one whose worker is killed goes on from its last checkpoint. What has
not changed is answered from cache, so that running the fleet once more trains only what is missing.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict
from uuid import UUID

from rich.progress import Progress

from gatecast.data.store import atomic_file, symbol_filename, write_json
from gatecast.flows.engine.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from gatecast.flows.engine.caching import code_version
from gatecast.flows.engine.orchestration import Steps, artifact_key, flow, run_name, task
from gatecast.flows.engine.results import Result, StepRecord
from gatecast.flows.engine.runners import require_runner, task_runner
from gatecast.flows.engine.runs import LOSES, raise_alarm
from gatecast.flows.engine.terminal import console, counted, explain, figure
from gatecast.flows.ingest import ingest
from gatecast.flows.judging.yardsticks import require_baselines
from gatecast.flows.member import STARTED, Member, MemberTrained, member_name, members_of, train_one, train_tiny
from gatecast.flows.reporting.alarms import tell_if_old
from gatecast.flows.reporting.last_runs import data_of, record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.settings.runs import FleetSettings, GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace

DEFAULTS = FleetSettings()
ATTEMPTS = 2
"""How often a model is trained alone after its worker died; one that fails by itself is not tried again."""
ROWS = 200
ALARMED = 10
"""Models that an alarm names"""
WHOLE_FILES = ("sample", "csv", "parquet")


class Outcome(TypedDict):
    """What became of a model of the fleet; its figures are None if it was not trained."""

    name: str
    symbols: list[str]
    error: str | None
    """Why it was not trained"""
    version: str | None
    champion: str | None
    rmse: float | None
    naive_rmse: float | None
    measure: str | None
    """Of the verdict, and what the model scored"""
    score: float | None
    best_label: str | None
    """The best baseline, and what it scored"""
    best_score: float | None
    outcome: str | None
    """Better, level or worse than the best baseline"""
    skill: float | None
    """Share of the best baseline's error that the model takes away"""
    forecast: str | None
    """Path"""
    alarm: str | None
    """That the new champion loses to a baseline, or that there is no champion"""
    seconds: float | None
    cached: bool | None


class Summarised(Result):
    """Paths of what is written about a fleet."""

    report: str
    failed: str | None
    """List of the series of the failed models, None if no model failed"""


class FleetTrained(Summarised):
    """What a fleet returns: its settings, how its steps went, and what became of each model."""

    settings: dict[str, Any]
    steps: list[StepRecord]
    outcomes: list[Outcome]


@flow(
    name="fleet", flow_run_name=run_name(lambda given: FleetSettings.model_validate(given["settings"]).retrain.subject)
)
def fleet(settings: FleetSettings = DEFAULTS, force: bool = False, resume: bool = False) -> FleetTrained:
    """Train a model for each group of series, in parallel, and continue if some fail.

    Parameters
    ----------
    settings : FleetSettings
        What the models share, which series each one learns, and where they are trained.
    force : bool
        Train every model again, even where nothing has changed.
    resume : bool
        Continue the interrupted trainings with the same data, code and settings; the result is bit-identical.

    Returns
    -------
    FleetTrained
        What became of each model, and paths of the report and of the list of failed models.
    """
    require_runner(settings.runner)
    require_baselines(settings.retrain)
    workspace = Workspace.from_environment()
    with Steps(workspace) as step:
        # A source that is one file is read whole: a series that it lacks makes only its own model fail.
        symbols = tuple(dict.fromkeys(symbol for group in settings.groups for symbol in group))
        data = settings.retrain.data
        if symbols:
            data = data.model_copy(update={"symbols": None if data.source in WHOLE_FILES else symbols})
        bars = step(ingest, data, workspace)
        tell_if_old(bars, data.description)
        shared = settings.retrain.resolved(bars["kind"])
        lineage = {"data_hash": bars["content_hash"], "data": bars["directory"], "last": bars["last"]}
        outcomes = _missing(settings.groups, shared, Path(bars["directory"]))
        members = list(
            members_of(settings.groups, shared, Path(bars["directory"]), [each["name"] for each in outcomes])
        )
        if members:
            step(prepare, shared)
            trained, task_runs = train_all(members, lineage, settings, workspace, resume)
            step.wait_for(task_runs)
            outcomes += trained
        directory = workspace.reports / f"{shared.name}-fleet"
        summary = step(summarise, str(shared.name), outcomes, directory, workspace)
        for each in outcomes:
            if not each["error"]:
                record_run(workspace, each["name"], "retrain", data=data_of(bars, each["symbols"]))
        update_overview(workspace)
    return {"settings": settings.model_dump(mode="json"), "steps": step.records, "outcomes": outcomes, **summary}


def _missing(groups: Sequence[tuple[str, ...]], shared: RetrainSettings, directory: Path) -> list[Outcome]:
    found = []
    for group in groups:
        missing = [symbol for symbol in group if not (directory / f"{symbol_filename(symbol)}.parquet").exists()]
        if missing:
            error = f"The data hold no series {', '.join(missing)}; correct its name or leave it out."
            found.append(outcome(member_name(str(shared.name), group), group, error=error))
    return found


def outcome(name: str, symbols: Sequence[str], *, error: str | None = None, **figures: Any) -> Outcome:
    """Return what became of one model; `figures` are those of `flows.member.MemberTrained`, and ``cached``."""
    return {
        "name": name,
        "symbols": list(symbols),
        "error": error,
        "version": figures.get("version"),
        "champion": figures.get("champion"),
        "rmse": figures.get("rmse"),
        "naive_rmse": figures.get("naive_rmse"),
        "measure": figures.get("measure"),
        "score": figures.get("score"),
        "best_label": figures.get("best_label"),
        "best_score": figures.get("best_score"),
        "outcome": figures.get("outcome"),
        "skill": figures.get("skill"),
        "forecast": figures.get("forecast"),
        "alarm": figures.get("alarm"),
        "seconds": figures.get("seconds"),
        "cached": figures.get("cached"),
    }


@task("compile kernels", cached=False)
def prepare(settings: RetrainSettings) -> Result:
    """Train a tiny model and forecast with it, so that kernels are compiled once and workers find them on disk."""
    started = time.perf_counter()
    train_tiny(settings.model)
    return {"summary": f"{time.perf_counter() - started:.1f} s"}


def train_all(
    members: Sequence[Member],
    lineage: Mapping[str, Any],
    settings: FleetSettings,
    workspace: Workspace,
    resume: bool = False,
) -> tuple[list[Outcome], list[UUID]]:
    """Train the members in parallel; those whose worker dies go on afterwards, one at a time.

    Returns
    -------
    outcomes : list of dict
        In the order of the members.
    task_runs : list of UUID
        Those that ended.
    """
    outcomes: dict[str, Outcome] = {}
    task_runs: list[UUID] = []
    waiting = list(members)
    suspects = list[Member]()
    with _progress(len(members)) as report:

        def run(some: Sequence[Member], workers: int | None, resume: bool) -> list[Member]:
            """Train some members and return those that have no outcome yet, since their workers died."""
            with task_runner(settings.model_copy(update={"workers": workers})) as (runner, pool):
                for member, future in _submit(runner, pool, some, lineage, settings.retrain.gate, workspace, resume):
                    found = _outcome_of(member, future)
                    if found is not None:
                        outcomes[found["name"]] = found
                        task_runs.append(future.task_run_id)
                        report(found)
            return [member for member in some if str(member.settings.name) not in outcomes]

        while waiting:
            left = run(waiting, settings.workers, resume)
            # A dead process breaks its whole pool: only what was being trained can have killed it.
            started = [member for member in left if _mark(workspace, member).exists()] or left
            suspects += started
            waiting = [member for member in left if member not in started]
        for member in suspects:
            for _ in range(ATTEMPTS):
                if not run([member], 1, resume=True):
                    break
            else:
                error = f"The process that trained it died {ATTEMPTS} times; it may need more memory than there is."
                lost = outcome(str(member.settings.name), member.settings.data.symbols or (), error=error)
                outcomes[lost["name"]] = lost
                report(lost)
    return [outcomes[str(member.settings.name)] for member in members], task_runs


def _submit(
    runner: Any,
    pool: Executor | None,
    members: Sequence[Member],
    lineage: Mapping[str, Any],
    gate: GateSettings,
    workspace: Workspace,
    resume: bool,
) -> Iterator[tuple[Member, Any]]:
    """Submit members to a task runner and yield each one with its future when that is done."""
    from prefect.futures import as_completed

    by_run = {}
    for member in members:
        parameters = {
            "settings": member.settings,
            "gate": gate,
            "content": list(member.files.values()),
            "files": list(member.files),
            "lineage": {**lineage, "code_version": code_version()},
            "workspace": workspace,
            "resume": resume,
            "pool": pool,
        }
        future = runner.submit(train_member, parameters)
        by_run[future.task_run_id] = (member, future)
    for future in as_completed([future for _, future in by_run.values()]):
        yield by_run[future.task_run_id]


def _outcome_of(member: Member, future: Any) -> Outcome | None:
    """Return what became of a member, None if its worker died."""
    name = str(member.settings.name)
    symbols = member.settings.data.symbols or ()
    try:
        result = future.result(raise_on_failure=False)
    except (
        Exception
    ):  # Each runner has its own error for a worker that is gone; what the task itself raised arrives as a result.
        return None
    if isinstance(result, Mapping):
        return outcome(name, symbols, **result, cached=future.state.name == "Cached")
    if future.state.is_crashed() or isinstance(result, BrokenExecutor):
        return None
    sentence = explain(result)[0] if isinstance(result, Exception) else f"{future.state.name}: {result}"
    return outcome(name, symbols, error=sentence)


@task("train {settings.name}", cached=True, ignore=("files", "lineage", "resume", "pool"))
def train_member(
    settings: RetrainSettings,
    gate: GateSettings,
    content: list[str],
    files: list[str],
    lineage: dict[str, Any],
    workspace: Workspace,
    resume: bool = False,
    pool: Executor | None = None,
) -> MemberTrained:
    """Take one model through all steps; see `train_one`.

    Parameters
    ----------
    settings : RetrainSettings
        Of the model, resolved.
    gate : GateSettings
        What it has to show to become the champion.
    content : list of str
        SHA-256 of each file; with settings and code, they decide whether anything has changed.
    files : list of str
        Its series.
    lineage : dict
        What else is known about the data and the code.
    workspace : Workspace
        All workers share it.
    resume : bool
        Continue an interrupted training.
    pool : Executor, optional
        Processes that do the work; it is done here if left out.
    """
    train = partial(train_one, settings, gate, [Path(file) for file in files], lineage, workspace, resume=resume)
    return train() if pool is None else pool.submit(train).result()


def _mark(workspace: Workspace, member: Member) -> Path:
    return workspace.models / str(member.settings.name) / STARTED


@task("summarise fleet {name}", cached=False)
def summarise(name: str, outcomes: list[Outcome], directory: Path, workspace: Workspace) -> Summarised:
    """Write what became of each model and which ones to train again; show it on the dashboard."""
    stored = [
        {**each, "forecast": each["forecast"] and workspace.stored(each["forecast"])} for each in outcomes
    ]  # the workspace may be moved
    report = write_json(directory / "outcomes.json", stored)
    failed = [each for each in outcomes if each["error"]]
    again = directory / "failed.txt"
    again.unlink(missing_ok=True)
    if failed:
        with atomic_file(again) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            for each in failed:
                # Unless it is quoted, a # begins a comment.
                quoting: Literal[0, 1] = (
                    csv.QUOTE_ALL if any("#" in symbol for symbol in each["symbols"]) else csv.QUOTE_MINIMAL
                )
                csv.writer(file, quoting=quoting, lineterminator="\n").writerow(each["symbols"])
    judged = [each["outcome"] for each in outcomes if each["outcome"]]
    trained = len(outcomes) - len(failed)
    sentence = (
        f"{trained} of {len(outcomes)} models trained; held against the best baseline of each,"
        f" {judged.count('better')} are better, {judged.count('level')} level and {judged.count('worse')} worse"
    )
    create_table_artifact(outcome_table(outcomes)[:ROWS], key=artifact_key(name, "fleet"), description=sentence)
    _raise_alarm(name, [each for each in outcomes if each["alarm"] and not each["cached"]])
    return {"report": str(report), "failed": str(again) if failed else None, "summary": sentence}


def _raise_alarm(name: str, outcomes: Sequence[Outcome]) -> None:
    """Raise one alarm for all new champions that lose to a baseline and all models without a champion."""
    if not outcomes:
        return
    models = [each["name"] for each in outcomes]
    more = f" and {len(models) - ALARMED:,} more" if len(models) > ALARMED else ""
    count = f"{counted(len(models), 'model')} {'lose' if len(models) > 1 else 'loses'}"
    sentence = f"{count} to the best baseline or {'have' if len(models) > 1 else 'has'} no champion"
    raise_alarm(LOSES, name, f"{sentence}: {', '.join(models[:ALARMED])}{more}.", {"models": models[:ROWS]})


def outcome_table(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    """Return the outcomes as rows for people: the failed first, then from the least skill to the greatest."""
    ordered = sorted(outcomes, key=lambda each: (each["error"] is None, each["skill"] or 0.0))
    return [
        {
            "model": each["name"],
            "version": (each["version"] or "–").split("-")[0],
            "RMSE": figure(each["rmse"]),
            "score": f"{each['measure']} {figure(each['score'])}" if each["measure"] else "–",
            "best baseline": each["best_label"] or "–",
            "skill": figure(each["skill"], "+.1%"),
            "seconds": figure(each["seconds"], ".1f"),
            "outcome": "failed"
            if each["error"]
            else (
                "unchanged"
                if each["cached"]
                else "no champion"
                if each["champion"] is None
                else "champion"
                if each["champion"] == each["version"]
                else "champion stays"
            ),
        }
        for each in ordered
    ]


@contextmanager
def _progress(models: int) -> Iterator[Any]:
    """Show in the terminal and on the dashboard how many models are done and how many of them have failed."""
    terminal = console()
    done = 0
    failed = 0
    artifact = create_progress_artifact(key="fleet", description="Models of the fleet")
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        row = bar.add_task("  models", total=models)

        def report(outcome: Outcome) -> None:
            """Count one more model, and tell the dashboard after every twentieth part of them."""
            nonlocal done, failed
            done = done + 1
            failed = failed + bool(outcome["error"])
            bar.update(row, completed=done, description=f"  models, {failed} failed" if failed else "  models")
            if done == models or done * 20 // models > (done - 1) * 20 // models:
                text = f"{done} of {models} models, {failed} failed"
                update_progress_artifact(artifact, progress=100 * done / models, description=text)

        yield report

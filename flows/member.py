"""One model of a fleet, from its series to its forecast, without Prefect."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gatecast.data.bars.store import read_rows
from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import Sequences, build_sequences
from gatecast.data.sequences.splits import TEST, SplitSettings
from gatecast.data.settings import NAME_PATTERN
from gatecast.data.store import as_json, read_parquet, sha256_file, symbol_filename, write_parquet
from gatecast.flows.engine.caching import digest, hashes
from gatecast.flows.engine.results import Written
from gatecast.flows.engine.runs import one_at_a_time
from gatecast.flows.forecast import file_stem, learnt_until, predict_next
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.comparison import Comparison, meet_forecaster
from gatecast.flows.judging.evaluation import MODEL, NAIVE
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.refit import discard, refit_frame, save
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.last_runs import record_run
from gatecast.flows.settings.runs import GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import (
    Attempt,
    SparingCheckpoints,
    WarmStart,
    forecaster_job,
    registry_of,
    settle,
    warm_start,
)
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting import recipe
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.metrics import skill
from gatecast.lstm.training import epochs

STARTED = ".started"
"""File next to the versions of a model that is being trained"""


@dataclass(frozen=True)
class Member:
    """One model of a fleet.

    Attributes
    ----------
    settings : RetrainSettings
        Resolved, with its name and series.
    files : dict of str to str
        Path and SHA-256 of its series, as `flows.ingest` wrote them.
    """

    settings: RetrainSettings
    files: dict[str, str]


class MemberTrained(Written):
    """What became of a model of a fleet."""

    version: str
    champion: str | None
    """None if no version has passed the gate; then there is no forecast"""
    rmse: float | None
    naive_rmse: float | None
    measure: str
    """Of the verdict, and what the model scored"""
    score: float | None
    best_label: str
    """The best baseline, and what it scored"""
    best_score: float | None
    outcome: str
    """Better, level or worse than the best baseline"""
    skill: float | None
    """Share of the best baseline's error that the model takes away"""
    forecast: str | None
    """Path"""
    alarm: str | None
    """What the operator has to know: that the new champion loses to a baseline, or that there is no champion"""
    seconds: float


def member_name(prefix: str, group: Sequence[str]) -> str:
    """Return the name of a group's model; different groups have different names."""
    joined = "-".join(group)
    name = f"{prefix}-{joined}"
    if re.fullmatch(NAME_PATTERN, name) and len(group) == 1:
        return name
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].rstrip("-.")
    return f"{safe}-{digest(list(group))[:6]}"


def members_of(
    groups: Sequence[tuple[str, ...]], shared: RetrainSettings, directory: Path, left_out: Sequence[str] = ()
) -> Iterator[Member]:
    """Return the models of a fleet.

    Parameters
    ----------
    groups : sequence of tuple of str
        Series of each; one model for each series if empty.
    shared : RetrainSettings
        Resolved.
    directory : Path
        Where `flows.ingest` wrote the series.
    left_out : sequence of str
        Names of models to leave out.
    """
    if not groups:
        files = sorted(directory.glob("*.parquet"))
        groups = [(str(read_parquet(file)[0]["unique_id"].iloc[0]),) for file in files]
    for group in groups:
        name = member_name(str(shared.name), group)
        if name not in left_out:
            own = {"name": name, "data": shared.data.model_copy(update={"symbols": group})}
            paths = [directory / f"{symbol_filename(symbol)}.parquet" for symbol in group]
            yield Member(shared.model_copy(update=own), {str(path): sha256_file(path) for path in paths})


def train_one(
    settings: RetrainSettings,
    gate: GateSettings,
    files: Sequence[Path],
    lineage: Mapping[str, Any],
    workspace: Workspace,
    *,
    resume: bool = False,
) -> MemberTrained:
    """Train, evaluate, register, promote and forecast one model on one thread, without Prefect.

    If `resume`, an interrupted training goes on from its last checkpoint; the result is bit-identical.

    Returns
    -------
    MemberTrained
        Its version, the champion, figures, and path of the forecast.
    """
    from gatecast.kernels.backend import use_threads

    started = time.perf_counter()
    use_threads(1)
    registry = registry_of(workspace, str(settings.name), FORECASTER)
    with _under_way(workspace, registry):
        frame = pd.concat([read_rows(file).rows for file in files], ignore_index=True)
        settings, _ = evaluation.choose_recipe(settings, frame)
        series = series_frame(frame, settings.target, settings.features)
        sequences = build_sequences(series, evaluation.sequence_settings(settings))
        former = registry.champion() if settings.warm_start else None
        start = warm_start(registry, former, sequences) if settings.warm_start else None
        job = forecaster_job(workspace, settings, sequences.content_hash, former)
        model = _fit(settings, sequences, start, Attempt.at(job.checkpoints, resume))
        predictions, evaluated, _ = evaluation.run_test(model, sequences, frame, settings)
        total = evaluation.overall(evaluated["scores"])
        judged = evaluated["judged"]
        with registry.locked():
            origin = {**lineage, "started_from": start.version} if start else lineage
            version = registry.add_model(model, settings, {"evaluation.json": as_json(evaluated)}, origin)

        def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
            return meet_forecaster(model, own, predictions, frame, settings, gate)

        settled = settle(registry, version, FORECASTER, meet, gate, alone=False)
        champion = settled["champion"]
        if champion not in (version, None):
            model = registry.model(champion, FORECASTER)
            settings = registry.settings(champion, FORECASTER).model_copy(update={"final_fit": settings.final_fit})
        path = None
        if champion is not None:
            model = _copy(registry, champion, model, frame, settings)
            path = _forecast(model, frame, settings, champion, workspace)
        record_run(workspace, registry.name, "retrain")
        if path is not None:
            record_run(workspace, registry.name, "forecast")
        epochs.clear(job.checkpoints)  # the version has all that is needed from now on
        with suppress(OSError):  # it is not there, or a retrain of the same name keeps its model there
            job.checkpoints.rmdir()
    return {
        "version": version,
        "champion": champion,
        "rmse": total[MODEL]["rmse"],
        "naive_rmse": total[NAIVE]["rmse"],
        "skill": skill(judged["score"], judged["best_score"]) if judged["best_score"] else None,
        "measure": judged["measure"],
        "score": judged["score"],
        "best_label": judged["best_label"],
        "best_score": judged["best_score"],
        "outcome": judged["outcome"],
        "forecast": str(path) if path else None,
        "alarm": settled["summary"] if settled["alarming"] else None,
        "seconds": round(time.perf_counter() - started, 3),
        "files": hashes(registry.path(version), *([path] if path else [])),
        "summary": evaluated["verdict"],
    }


def _copy(
    registry: Registry, champion: str, model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings
) -> Forecaster:
    """Return what the champion forecasts with: its copy that has learnt all rows, or itself; see `flows.refit`."""
    if settings.final_fit == "none":
        discard(registry, champion)
        return model
    try:
        copy = refit_frame(model, frame, settings)
    except InputError:
        return model
    save(registry, champion, copy)
    return copy


def train_tiny(settings: ForecasterSettings) -> pd.DataFrame:
    """Train a tiny model of these settings on rows that fit them, so that kernels are compiled; return its forecast.

    What only the models' own data can fit, such as the season or the column of the weights, is made up.
    """
    changes: dict[str, Any] = {"lookback": 4, "horizon": 1, "max_epochs": 1, "max_minutes": None, "batch_size": 4}
    if settings.step_weights is not None:
        changes["step_weights"] = (1.0,)
    if not settings.stateful:
        changes["season"] = (2,)
    tiny = settings.model_copy(update=changes)
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2000-01-01", periods=60), "y": range(1, 61)})
    if settings.weight_column not in (None, *frame):
        frame[settings.weight_column] = 1.0
    sequences = build_sequences(frame, recipe.sequence_settings(tiny, frame, SplitSettings()))
    model = Forecaster.from_settings(tiny).fit_sequences(sequences)
    model.predict_windows(sequences, TEST)
    return model.predict()


def _fit(settings: RetrainSettings, sequences: Sequences, start: WarmStart | None, attempt: Attempt) -> Forecaster:
    """Fit the model; it leaves checkpoints, from which an interrupted training can continue."""
    model = Forecaster.from_settings(settings.model)
    fit = partial(model.fit_sequences, sequences, start=start.model if start else None, **settings.data.dates)
    if attempt.found or settings.model.n_models > 1:  # each network of an ensemble leaves its own
        return fit(checkpoints=attempt.checkpoints, resume=attempt.resume)
    return fit(on_epoch=SparingCheckpoints(model, attempt.checkpoints))


@contextmanager
def _under_way(workspace: Workspace, registry: Registry) -> Iterator[None]:
    """Lock a model against other runs; meanwhile a file marks it, which shows what a killed process was working on."""
    with one_at_a_time(workspace, registry.name, "wait"):
        mark = registry.directory / STARTED
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()


def _forecast(
    model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings, version: str, workspace: Workspace
) -> Path:
    forecasts, _ = predict_next(model, frame, settings)
    metadata = {"model": str(settings.name), "version": version, "target": settings.target or "y"} | learnt_until(model)
    name = f"{file_stem(frame['ds'].max(), settings.data.is_numbered)}.parquet"
    return write_parquet(forecasts, workspace.forecasts / str(settings.name) / name, metadata)

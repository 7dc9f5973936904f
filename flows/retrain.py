"""The main job: START HERE.

`retrain` below is the whole pipeline, one task per step. Each step hands the next paths and small JSON values, which
`flows.engine.results` types; the files are Parquet, safetensors and JSON. What all kinds of models have in common is
in `flows.training`. To follow it down to a single gate of the LSTM, read in this order:

1. `retrain` and `train` in this file;
2. `lstm.forecasting.forecaster.Forecaster.fit_sequences`, the model, and `lstm.training.loop`, its epochs;
3. `lstm.nn.recurrent.LSTM`, the layer, forward and backward;
4. ``kernels/cpu/lstm.py``, its loop over time, compiled by Numba;
5. ``kernels/scalar.py``, the mathematics of one unit.

A step whose inputs, code and files are unchanged is answered from cache (`flows.engine.caching.Unchanged`).
`ingest` and `promote` always run, since they depend on the outside world: the data and the present champion. So do
`choose`, which takes a moment, and `publish`, so that the page of every run shows its result.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from gatecast.data.dates.steps import with_steps
from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.sequences import SequenceSettings, read_sequences, write_sequences
from gatecast.data.sequences.splits import SPLIT_NAMES, TEST
from gatecast.data.store import read_parquet, write_json, write_parquet
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.ingested import ingested_files, read_ingested
from gatecast.flows.engine.orchestration import Steps, cancelled, flow, run_name, task, transaction
from gatecast.flows.engine.progress import TrainingProgress
from gatecast.flows.engine.results import (
    Evaluated,
    Forecasts,
    Ingested,
    Promoted,
    Published,
    Result,
    StepRecord,
    Tracked,
    Trained,
    Versioned,
    Written,
)
from gatecast.flows.engine.runs import WhenBusy
from gatecast.flows.forecast import forecast
from gatecast.flows.ingest import ingest
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.comparison import Comparison, meet_forecaster
from gatecast.flows.judging.tables import worst_series
from gatecast.flows.judging.targets import DISPLAYS, series_frame
from gatecast.flows.judging.yardsticks import require_baselines
from gatecast.flows.refit import Refitted, discard, refit
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import pictures as report
from gatecast.flows.reporting import tracking
from gatecast.flows.reporting.alarms import tell_if_old
from gatecast.flows.reporting.attention import plot_attention
from gatecast.flows.reporting.errors import draw_errors
from gatecast.flows.reporting.last_runs import data_of, record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.reporting.publication import publish
from gatecast.flows.settings.data import DatesGiven
from gatecast.flows.settings.runs import GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Attempt, Job, checkpoint, forecaster_job, registry_of, settle, take_back, warm_start
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load

DEFAULTS = RetrainSettings()


class Sequences(Written):
    """Training sequences that were built."""

    directory: str
    content_hash: str


class Chosen(Result):
    """What the data have chosen."""

    model: dict[str, Any]
    """Settings of the model without any ``auto``"""


class TrainedForecaster(Trained):
    """A forecaster that was trained."""

    started_from: str | None
    """Version whose weights it began with"""


class Retrained(TypedDict):
    """What a retrain returns: its resolved settings, how its steps went, and what each of them returned."""

    settings: dict[str, Any]
    steps: list[StepRecord]
    ingest: Ingested
    build_sequences: Sequences
    train: TrainedForecaster
    evaluate: Evaluated
    checkpoint: Versioned
    promote: Promoted
    refit: Refitted | None
    forecast: Forecasts | None
    """None if no version has passed the gate, so that there is no champion"""
    track: Tracked | None
    publish: Published


@flow(name="retrain", flow_run_name=run_name(lambda given: RetrainSettings.model_validate(given["settings"]).subject))
def retrain(
    settings: RetrainSettings = DEFAULTS, resume: bool = False, force: bool = False, when_busy: WhenBusy = "wait"
) -> Retrained:
    """Train a model on the latest data, compare it with the baselines and the champion, and forecast with the winner.

    Parameters
    ----------
    settings : RetrainSettings
        Data, target, model.
    resume : bool
        Continue an interrupted training with the same data, code and settings; the result is bit-identical.
    force : bool
        Run every step again, even where nothing has changed.
    when_busy : {"wait", "cancel"}
        Whether this run waits or is cancelled if another retrain of the same model is under way.

    Returns
    -------
    Retrained
        What each step returned, the resolved ``settings``, and name, seconds and cache state of the ``steps``.
    """
    workspace = Workspace.from_environment()
    tracking.require()
    require_baselines(settings)
    with Steps(workspace) as step:
        bars = step(ingest, settings.data, workspace)
        tell_if_old(bars, settings.data.description)
        settings = settings.resolved(bars["kind"])
        # The gate must not change the cache key of the training, so it travels separately.
        gate = settings.gate
        settings = settings.model_copy(update={"gate": GateSettings()})
        registry = registry_of(workspace, str(settings.name), FORECASTER)
        if not step.alone(registry.name, when_busy):
            return cancelled(f"Another retrain of {registry.name} is under way.")

        if settings.model.is_open:
            chosen = step(choose, bars["directory"], settings)
            settings = settings.model_copy(update={"model": ForecasterSettings.model_validate(chosen["model"])})
        windows = evaluation.sequence_settings(settings)
        key = digest(bars["content_hash"], windows, settings.target, settings.features, code_version())
        directory = workspace.sequences / f"{registry.name}-{key}"
        kept = workspace.sequences / f".{registry.name}"
        data = bars["directory"]
        target = settings.target
        features = settings.features
        sequences = step(build_sequences, data, target, features, windows, directory, kept)

        dates = settings.data.dates
        champion = registry.champion() if settings.warm_start else None
        job = forecaster_job(workspace, settings, sequences["content_hash"], champion)
        trained = step(train, job, sequences["directory"], settings.model, resume, dates, settings.warm_start, champion)
        evaluated = step(evaluate, job, trained["model"], sequences["directory"], data, settings)
        lineage = {
            "data_hash": bars["content_hash"], "data": data, "last": bars["last"], "code_version": code_version(),
            **({"started_from": trained["started_from"]} if settings.warm_start else {}),
        }  # fmt: skip
        version = step(checkpoint, job, trained["model"], [evaluated["evaluation"]], settings, lineage)

        # A champion has to be able to forecast: if the last step fails, the promotion is rolled back.
        with transaction():
            promoted = step(promote, job, version["version"], evaluated["predictions"], data, settings, gate)
            champion = promoted["champion"]
            refitted, forecasts = forecast_with(step, registry, champion, settings, bars) if champion else (None, None)
        tracked = (
            step(tracking.track, workspace, registry.name, version, evaluated, promoted) if tracking.wanted() else None
        )
        published = step(publish, workspace, settings, bars, evaluated, version, promoted, forecasts)
        record_run(workspace, registry.name, "retrain", data=data_of(bars))
        if forecasts is not None:
            record_run(workspace, registry.name, "forecast")
        update_overview(workspace)
    return {
        "settings": settings.to_dict(),
        "steps": step.records,
        "ingest": bars,
        "build_sequences": sequences,
        "train": trained,
        "evaluate": evaluated,
        "checkpoint": version,
        "promote": promoted,
        "refit": refitted,
        "forecast": forecasts,
        "track": tracked,
        "publish": published,
    }


def forecast_with(
    step: Steps, registry: Registry, champion: str, settings: RetrainSettings, bars: Ingested
) -> tuple[Refitted | None, Forecasts]:
    """Forecast with the champion's copy that has learnt all rows or, with the final fit none, with the champion."""
    winner = registry.settings(champion, FORECASTER)
    where = registry.workspace, registry.name, champion
    data = bars["directory"]
    refitted = None
    if settings.final_fit == "none":
        discard(registry, champion)
    else:
        refitted = step(refit, *where, winner.model_copy(update={"final_fit": settings.final_fit}), data)
    copy = digest(refitted["files"]) if refitted and refitted["path"] else None
    return refitted, step(forecast, *where, winner, data, bars["last"], copy)


@task("choose settings", cached=False)
def choose(bars: str, settings: RetrainSettings) -> Chosen:
    """Choose what the settings of the model leave to the data, by its training rows."""
    chosen, sentence = evaluation.choose_recipe(settings, read_ingested(Path(bars)))
    return {"model": chosen.model.model_dump(mode="json"), "summary": sentence}


@task("build sequences", cached=True)
def build_sequences(
    bars: str, target: str | None, features: str | None, settings: SequenceSettings, directory: Path, kept: Path
) -> Sequences:
    """Turn bars into the target and its features, scale them, and index the windows of each split.

    Parameters
    ----------
    bars : str
        Folder of the data.
    target, features : str, optional
        What to learn of bars; None for series, which bring their own.
    settings : SequenceSettings
    directory : Path
        Folder to write.
    kept : Path
        Folder of the targets and features of each series, which the next run uses where the data is the same.
    """
    files = ingested_files(Path(bars))
    key = digest(target, features, code_version())
    learnt = partial(series_frame, target=target, features=features)
    sequences = build_from_files(files, learnt, key, settings, kept)
    write_sequences(sequences, directory)
    counts = [f"{len(sequences.windows_of(split)):,} {name}" for split, name in enumerate(SPLIT_NAMES)]
    return {
        "directory": str(directory),
        "content_hash": sequences.content_hash,
        "files": hashes(directory),
        "summary": " ".join(
            [f"windows: {', '.join(counts)}; columns {', '.join(sequences.columns)}", *sequences.notes.sentences()]
        ),
    }


@task("train {job.name}", cached=True, ignore=("resume",), retries=2)
def train(
    job: Job,
    sequences: str,
    settings: ForecasterSettings,
    resume: bool,
    dates: DatesGiven = DEFAULTS.data.dates,
    warm: bool = False,
    champion: str | None = None,
) -> TrainedForecaster:
    """Fit the LSTM; each epoch leaves a checkpoint, from which an interrupted training can continue.

    If `warm`, it begins with the weights of the champion, if there is one.
    """
    attempt = Attempt.of(job, resume)
    model = Forecaster.from_settings(settings)
    rows = read_sequences(Path(sequences))
    start = warm_start(job.registry, champion, rows) if warm else None
    with TrainingProgress(model, job.name) as progress:
        model.fit_sequences(
            rows,
            checkpoints=attempt.checkpoints,
            resume=attempt.resume,
            on_epoch=progress,
            start=start.model if start else None,
            **dates,
        )
    trained = attempt.finish(model)
    if start is None:
        return {**trained, "started_from": None}
    return {**trained, "started_from": start.version, "summary": f"{start.sentence}; {trained['summary']}"}


@task("evaluate {job.name}", cached=True)
def evaluate(job: Job, model: str, sequences: str, bars: str, settings: RetrainSettings) -> Evaluated:
    """Score the model and the baselines on the test rows, and draw the pictures for people."""
    forecaster = load(Path(model))
    folder = job.reports
    frame = read_ingested(Path(bars))
    tested = evaluation.run_test(forecaster, read_sequences(Path(sequences)), frame, settings)
    predictions = tested.predictions
    first, last = (tested.evaluation[moment] for moment in ("first", "last"))

    display = DISPLAYS[settings.target or "y"]
    title = f"{settings.name}: {display.label} forecast one step ahead against actual, {first} to {last}"
    evaluated = write_json(folder / "evaluation.json", tested.evaluation)
    compared = write_parquet(predictions, folder / "predictions.parquet")
    shown, history = predictions, tested.yardstick.series
    if settings.data.is_numbered:
        shown, history = with_steps(predictions), with_steps(history)
    picture = report.plot_forecasts(shown, display, title, folder / "forecast.png")
    losses = report.plot_losses(forecaster.history, forecaster.best_epoch, folder / "losses.png")
    errors = draw_errors(shown, tested.evaluation, history, display, folder)
    result: Evaluated = {
        "evaluation": str(evaluated),
        "predictions": str(compared),
        "picture": str(picture),
        "losses": str(losses),
        "errors": {kind: str(path) for kind, path in errors.items()},
        "files": hashes(evaluated, compared, picture, losses, *errors.values()),
        "summary": tested.evaluation["verdict"],
    }
    if forecaster.settings.attention != "none":
        windows, weights = forecaster.attention_of_windows(read_sequences(Path(sequences)), TEST)
        title = f"{settings.name}: share of each step in the attention of the test forecasts"
        if settings.data.is_numbered:
            windows = with_steps(windows)
        worst = worst_series(tested.evaluation)
        attention = plot_attention(windows, weights, title, folder / "attention.png", worst)
        result["attention"] = str(attention)
        result["files"] |= hashes(attention)
    return result


@task("promote {version}?", cached=False)
def promote(
    job: Job, version: str, predictions: str, bars: str, settings: RetrainSettings, gate: GateSettings
) -> Promoted:
    """Make the version champion if it passes the gate, which compares it with the champion on the same test rows."""
    rows, _ = read_parquet(Path(predictions))

    def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
        return meet_forecaster(model, own, rows, read_ingested(Path(bars)), settings, gate)

    return settle(job.registry, version, FORECASTER, meet, gate)


promote.on_rollback(take_back)

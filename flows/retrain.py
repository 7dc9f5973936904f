"""The main job: START HERE.

`retrain` below is the whole pipeline, one task per step. Each step hands the next a path and small JSON values; the
files are Parquet, safetensors and JSON. To follow it down to a single gate of the LSTM, read in this order:

1. `retrain` and `train` in this file;
2. `lstm.forecasting.forecaster.Forecaster.fit_sequences`, the model, and `lstm.training.loop`, its epochs;
3. `lstm.nn.recurrent.LSTM`, the layer, forward and backward;
4. ``kernels/cpu/lstm.py``, its loop over time, compiled by Numba;
5. ``kernels/scalar.py``, the mathematics of one unit.

A step whose inputs, code and files are unchanged is answered from cache (`flows.engine.orchestration.Unchanged`).
`ingest` and `promote` always run, since they depend on the outside world: the data and the present champion. So does
`publish`, so that the page of every run shows its result.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.sequences import SequenceSettings, read_sequences, write_sequences
from gatecast.data.sequences.splits import SPLIT_NAMES, TEST
from gatecast.data.store import read_json, read_parquet, write_json, write_parquet
from gatecast.flows.engine.ingested import ingested_files, read_ingested
from gatecast.flows.engine.orchestration import (
    Output,
    Steps,
    Transaction,
    cancelled,
    code_version,
    digest,
    flow,
    get_transaction,
    hashes,
    is_retry,
    run_name,
    task,
    transaction,
)
from gatecast.flows.engine.progress import TrainingProgress
from gatecast.flows.engine.runs import WhenBusy
from gatecast.flows.engine.terminal import counted
from gatecast.flows.forecast import forecast
from gatecast.flows.ingest import ingest
from gatecast.flows.judging import evaluation, promotion
from gatecast.flows.judging.comparison import Comparison, meet_forecaster
from gatecast.flows.judging.targets import DISPLAYS, series_frame
from gatecast.flows.judging.yardsticks import require_baselines
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.registry.versions import outcome, registry_of, save_trained
from gatecast.flows.reporting import pictures as report
from gatecast.flows.reporting import tracking
from gatecast.flows.reporting.attention import plot_attention
from gatecast.flows.reporting.errors import draw_errors
from gatecast.flows.reporting.publication import publish
from gatecast.flows.settings.runs import GateSettings, RetrainSettings, Workspace
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load

DEFAULTS = RetrainSettings()


@flow(name="retrain", flow_run_name=run_name(lambda given: RetrainSettings.model_validate(given["settings"]).subject))
def retrain(
    settings: RetrainSettings = DEFAULTS, resume: bool = False, force: bool = False, when_busy: WhenBusy = "wait"
) -> dict[str, Any]:
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
    dict
        What each step returned, the resolved ``settings``, and name, seconds and cache state of the ``steps``.
    """
    workspace = Workspace.from_environment()
    tracking.require()
    require_baselines(settings)
    with Steps() as step:
        bars = step(ingest, settings.data, str(workspace.bars))
        settings = settings.resolved(bars["kind"])
        # The gate must not change the cache key of the training, so it travels separately.
        gate = settings.gate
        settings = settings.model_copy(update={"gate": GateSettings()})
        registry = registry_of(workspace, str(settings.name), FORECASTER)
        if not step.alone(registry.directory, when_busy):
            return cancelled(f"Another retrain of {registry.name} is under way.")

        windows = evaluation.sequence_settings(settings)
        key = digest(bars["content_hash"], windows, settings.target, settings.features, code_version())
        directory = workspace.sequences / f"{registry.name}-{key}"
        data = bars["directory"]
        target = settings.target
        features = settings.features
        sequences = step(build_sequences, data, target, features, windows, str(directory))

        key = digest(sequences["content_hash"], settings.model, code_version())
        trained = step(train, sequences["directory"], settings.model, str(registry.training_directory(key)), resume)

        model = trained["model"]
        models = str(registry.directory)

        directory = workspace.reports / registry.name / key
        evaluated = step(evaluate, model, sequences["directory"], data, settings, str(directory))
        lineage = {
            "data_hash": bars["content_hash"], "data": data, "last": bars["last"], "code_version": code_version(),
        }  # fmt: skip
        version = step(checkpoint, model, evaluated["evaluation"], settings, lineage, models)

        # A champion has to be able to forecast: if the last step fails, the promotion is rolled back.
        with transaction():
            promoted = step(promote, version["version"], evaluated["predictions"], data, settings, gate, models)
            champion = promoted["champion"]
            directory = workspace.forecasts / registry.name
            path = str(registry.path(champion))
            winner = registry.settings(champion, FORECASTER)
            forecasts = step(forecast, path, winner, data, bars["last"], str(directory))
        tracked = (
            step(tracking.track, str(registry.directory), version, evaluated, promoted) if tracking.wanted() else None
        )
        published = step(publish, settings, bars, evaluated, version, promoted, forecasts)
    return {
        "settings": settings.to_dict(),
        "steps": step.records,
        "ingest": bars,
        "build_sequences": sequences,
        "train": trained,
        "evaluate": evaluated,
        "checkpoint": version,
        "promote": promoted,
        "forecast": forecasts,
        "track": tracked,
        "publish": published,
    }


@task("build sequences", cached=True)
def build_sequences(
    bars: str, target: str | None, features: str | None, settings: SequenceSettings, directory: str
) -> Output:
    """Turn bars into the target and its features, scale them, and index the windows of each split."""
    folder = Path(directory)
    files = ingested_files(Path(bars))
    cache = folder.with_name(f".{folder.name.rsplit('-', 1)[0]}")
    key = digest(target, features, code_version())
    learnt = partial(series_frame, target=target, features=features)
    sequences = build_from_files(files, learnt, key, settings, cache)
    write_sequences(sequences, folder)
    counts = [f"{len(sequences.windows_of(split)):,} {name}" for split, name in enumerate(SPLIT_NAMES)]
    return {
        "directory": directory,
        "content_hash": sequences.content_hash,
        "files": hashes(Path(directory)),
        "summary": f"windows: {', '.join(counts)}; columns {', '.join(sequences.columns)}",
    }


@task("train", cached=True, ignore=("resume",), retries=2)
def train(sequences: str, settings: ForecasterSettings, directory: str, resume: bool) -> Output:
    """Fit the LSTM; each epoch leaves a checkpoint in `directory`, from which an interrupted training can continue."""
    folder = Path(directory)
    resume = resume or is_retry()
    begun = resume and any(folder.glob("epoch-*"))
    model = Forecaster.from_settings(settings)
    with TrainingProgress(settings.max_epochs, folder.parent.parent.name) as progress:
        model.fit_sequences(read_sequences(Path(sequences)), checkpoints=folder, resume=resume, on_epoch=progress)
    saved = save_trained(model, folder)
    note = "went on with the interrupted training, " if begun else "found nothing to resume, " if resume else ""
    milliseconds = 1000 * model.seconds_per_step
    return {
        "model": str(saved),
        "files": hashes(saved),
        "milliseconds_per_step": round(milliseconds, 3) if math.isfinite(milliseconds) else None,
        "summary": f"{note}{counted(len(model.history), 'epoch')}, the best was {model.best_epoch}",
    }


@task("evaluate {settings.name}", cached=True)
def evaluate(model: str, sequences: str, bars: str, settings: RetrainSettings, directory: str) -> Output:
    """Score the model and the baselines on the test rows, and draw the pictures for people."""
    forecaster = load(Path(model))
    folder = Path(directory)
    frame = read_ingested(Path(bars))
    tested = evaluation.run_test(forecaster, read_sequences(Path(sequences)), frame, settings)
    predictions = tested.predictions
    first, last = (tested.evaluation[moment] for moment in ("first", "last"))

    display = DISPLAYS[settings.target or "y"]
    title = f"{settings.name}: {display.label} forecast one step ahead against actual, {first} to {last}"
    written = {
        "predictions": write_parquet(predictions, folder / "predictions.parquet"),
        "picture": report.plot_forecasts(predictions, display, title, folder / "forecast.png"),
        "losses": report.plot_losses(forecaster.history, forecaster.best_epoch, folder / "losses.png"),
        "evaluation": write_json(folder / "evaluation.json", tested.evaluation),
    }
    written |= draw_errors(tested.predictions, tested.evaluation, tested.yardstick.series, display, folder)
    if forecaster.settings.attention != "none":
        windows, weights = forecaster.attention_of_windows(read_sequences(Path(sequences)), TEST)
        title = f"{settings.name}: share of each step in the attention of the test forecasts"
        written["attention"] = plot_attention(windows, weights, title, folder / "attention.png")
    return {
        **{name: str(path) for name, path in written.items()},
        "files": hashes(*written.values()),
        "summary": tested.evaluation["verdict"],
    }


@task("checkpoint {settings.name}", cached=True)
def checkpoint(
    model: str, evaluation: str, settings: RetrainSettings, lineage: dict[str, Any], registry: str
) -> Output:
    """Make the model a version, with its evaluation and settings; the same model twice is one version."""
    versions = Registry(Path(registry))
    with versions.locked():
        version = versions.add_model(load(Path(model)), settings, read_json(Path(evaluation)), lineage)
    path = versions.path(version)
    return {"version": version, "path": str(path), "files": hashes(path), "summary": version}


@task("promote {version}?", cached=False)
def promote(
    version: str, predictions: str, bars: str, settings: RetrainSettings, gate: GateSettings, registry: str
) -> Output:
    """Make the version champion if it passes the gate, which compares it with the champion on the same test rows."""
    versions = Registry(Path(registry))
    rows, _ = read_parquet(Path(predictions))

    def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
        return meet_forecaster(model, own, rows, read_ingested(Path(bars)), settings, gate)

    decision = versions.settle(lambda: promotion.decide(versions, version, FORECASTER, meet, gate))
    present = get_transaction()
    if present is not None and decision.winner != decision.champion:
        present.set("promotion", {"registry": registry, "winner": decision.winner, "former": decision.champion})
    return outcome(versions, decision)


@promote.on_rollback
def take_back(transaction: Transaction) -> None:
    """Make the former champion the champion again when the run fails after the promotion."""
    made = transaction.get("promotion", None)
    if made is not None:
        registry = Registry(Path(made["registry"]))
        reason = f"the run failed after {made['winner']} was promoted"
        promotion.undo(registry, made["winner"], made["former"], reason)

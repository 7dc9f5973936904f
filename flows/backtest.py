"""Backtest models: forecasts from many past origins, each with what was known then, next to the baselines'.

Where `flows.retrain` tests one model on one test period, this trains again as time goes on, as the nightly schedule
would have done, or holds models and versions against each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pandas as pd
from rich.progress import Progress

from gatecast.data.dates.steps import day_in_words, with_steps
from gatecast.data.errors import InputError
from gatecast.data.store import read_json, read_parquet, write_json, write_parquet
from gatecast.flows.engine.artifacts import create_progress_artifact, update_progress_artifact
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import Output, Steps, flow, run_name, task
from gatecast.flows.engine.runners import task_runner
from gatecast.flows.engine.terminal import console, counted
from gatecast.flows.forecast import choose_model
from gatecast.flows.ingest import ingest
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.evaluation import MODEL, NAIVE
from gatecast.flows.judging.targets import DISPLAYS
from gatecast.flows.judging.yardsticks import require_baselines
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import pictures as report
from gatecast.flows.reporting.publication import publish_scores
from gatecast.flows.rolling import (
    Entrant,
    entrants_of,
    forecast_all,
    forecast_rolling,
    hold_against,
    labels_of,
    stretches,
    unseen,
    yardstick_of,
)
from gatecast.flows.settings.runs import BacktestSettings, FleetSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.metrics import regression, skill

DEFAULTS = BacktestSettings()


@flow(name="backtest", flow_run_name=run_name(lambda given: BacktestSettings.model_validate(given["settings"]).subject))
def backtest(settings: BacktestSettings = DEFAULTS, force: bool = False) -> dict[str, Any]:
    """Forecast from the last origins of the latest data and compare the forecasts with the baselines'.

    Parameters
    ----------
    settings : BacktestSettings
        Data, target, model, and the origins. If only the name of a model is given, data, target and model are those of
        its champion.
    force : bool
        Run every step again, even where nothing has changed.

    Returns
    -------
    dict
        What each step returned, the resolved ``settings``, and name, seconds and cache state of the ``steps``.
    """
    workspace = Workspace.from_environment()
    require_baselines(settings)
    settings = of_champion(settings, workspace)
    with Steps(workspace) as step:
        bars = step(ingest, settings.data, workspace)
        settings = cast(BacktestSettings, settings.resolved(bars["kind"]))
        entrants = entrants_of(settings, workspace) or [_only_entrant(settings, workspace)]
        # The workers must not change the cache key of the forecasts.
        workers = settings.workers
        settings = settings.model_copy(update={"workers": None})
        key = digest(bars["content_hash"], settings, entrants, code_version())
        directory = str(workspace.reports / str(settings.name) / f"backtest-{key}")
        forecasts = step(roll, bars["directory"], settings, entrants, directory, workers)
        scored = step(
            score, forecasts["predictions"], forecasts["notes"], bars["directory"], settings, entrants, directory
        )
    return {
        "settings": settings.to_dict(),
        "steps": step.records,
        "ingest": bars,
        "roll": forecasts,
        "score": scored,
    }


def of_champion(settings: BacktestSettings, workspace: Workspace) -> BacktestSettings:
    """Return the settings, completed with the champion's if only its name and the origins are given.

    With ``models``, they are completed with those of the first, which is taken as it is unless ``refit`` is given.

    Raises
    ------
    InputError
        No trained model has the name: a typing error would file the sample's scores under a wrong name.
    """
    given = settings.model_fields_set
    origins = set(BacktestSettings.model_fields) - set(RetrainSettings.model_fields)
    kept = settings.model_dump(include=origins | (given & {"seasonality", "baselines", "data"}))
    if settings.models:
        first = entrants_of(settings, workspace)[0]
        refit = settings.refit if "refit" in given else 0
        name = settings.name or first.settings.name
        return BacktestSettings.model_validate({**dict(first.settings), **kept, "refit": refit, "name": name})
    if settings.name is None or given - origins - {"name", "seasonality", "baselines"}:
        return settings
    registry = Registry(workspace, choose_model(workspace, settings.name))
    trained = registry.settings(str(registry.champion()))
    return BacktestSettings.model_validate({**dict(trained), **kept})


def _only_entrant(settings: BacktestSettings, workspace: Workspace) -> Entrant:
    """Return the model of these settings: its champion as it is, or one that is trained again."""
    registry = Registry(workspace, str(settings.name))
    registry.require_kind(FORECASTER, "give the backtest another --name")
    return _entrant(settings, None if settings.refit else _champion(registry))


def _entrant(settings: BacktestSettings, champion: str | None) -> Entrant:
    own = RetrainSettings.model_validate(settings.model_dump(include=set(RetrainSettings.model_fields)))
    return Entrant(column=MODEL, label=evaluation.LABELS[MODEL], settings=own, path=champion)


def _champion(registry: Registry) -> str:
    version = registry.champion()
    if version is None:
        raise InputError(f"The model {registry.name} has no champion to take as it is; retrain it, or refit.")
    return str(registry.path(version))


@task("forecast from {settings.n_windows} origins", cached=True, ignore=("workers",))
def roll(
    bars: str, settings: BacktestSettings, entrants: list[Entrant], directory: str, workers: int | None = None
) -> Output:
    """Forecast from each origin with the models and the baselines, trained on what was known; see `flows.rolling`."""
    trainings = sum(len(stretches(settings, entrant)) for entrant in entrants if entrant.path is None)
    with _progress(settings.n_windows * len(entrants)) as on_windows, _processes(workers, trainings) as pool:
        predictions, notes = forecast_all(Path(bars), entrants, settings, pool, on_windows)
    path = write_parquet(predictions, Path(directory) / "predictions.parquet")
    origins = predictions["cutoff"].nunique()
    as_they_are = " and ".join(Path(entrant.path).name for entrant in entrants if entrant.path is not None)
    return {
        "predictions": str(path),
        "notes": list(notes),
        "files": hashes(path),
        "summary": f"{counted(len(predictions), 'forecast')} from {counted(origins, 'origin')}, "
        + (counted(trainings, "training") if trainings else f"by {as_they_are} as {_it_is(len(entrants))}"),
    }


def _it_is(count: int) -> str:
    return "it is" if count == 1 else "they are"


@contextmanager
def _processes(workers: int | None, trainings: int) -> Iterator[Executor | None]:
    """Start processes for several trainings; yield None if there is one training or one worker at most."""
    count = min(workers or os.cpu_count() or 1, trainings)
    if count < 2:
        yield None
        return
    with task_runner(FleetSettings(runner="processes", workers=count)) as (_, pool):
        yield pool


def predict_rolling(
    frame: pd.DataFrame,
    settings: BacktestSettings,
    champion: str | None,
    on_window: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Forecast from the last origins with one model and the baselines.

    Parameters
    ----------
    frame : DataFrame
        Bars or series frame.
    settings : BacktestSettings
        Resolved.
    champion : str or None
        Folder of the model to use as it is; None trains again.
    on_window : callable, optional
        Called with the number of origins that are done.

    Returns
    -------
    DataFrame
        ``unique_id, cutoff, ds, step, y`` and one column per forecast, in the unit that people read.

    Raises
    ------
    InputError
        There are too few rows, or the champion has seen all of them.
    """
    entrant = _entrant(settings, champion)
    rows = unseen(forecast_rolling(frame, entrant, settings, None, on_window), entrant)
    return hold_against(rows, frame, [entrant], settings).predictions


@task("score {settings.name}", cached=True)
def score(
    predictions: str, notes: list[str], bars: str, settings: BacktestSettings, entrants: list[Entrant], directory: str
) -> Output:
    """Score the forecasts, all together and period by period, and draw them."""
    rows = read_parquet(Path(predictions))[0]
    folder = Path(directory)
    yardstick = yardstick_of(rows, read_ingested(Path(bars)), entrants, settings)
    evaluated = evaluation.evaluate(rows, yardstick, settings, notes, settings.step_size, labels_of(entrants))
    judged = evaluated["judged"]
    display = DISPLAYS[settings.target or "y"]
    title = (
        f"{settings.name}: {display.label} forecast from rolling origins against actual, {evaluated['first']} to"
        f" {evaluated['last']}"
    )
    drawn = rows.rename(columns={judged["model"]: MODEL})
    if settings.data.is_numbered:
        drawn = with_steps(drawn)
    written = {
        "picture": report.plot_forecasts(drawn, display, title, folder / "forecast.png"),
        "evaluation": write_json(
            folder / "evaluation.json",
            {**evaluated, "periods": by_period(rows, settings, judged["model"], judged["best"])},
        ),
    }
    publish_scores(f"{settings.name} backtest", evaluated, written["picture"])
    return {
        **{name: str(path) for name, path in written.items()},
        "files": hashes(*written.values()),
        "summary": evaluated["verdict"],
    }


def by_period(
    predictions: pd.DataFrame, settings: BacktestSettings, model: str = MODEL, best: str = NAIVE
) -> list[dict[str, Any]]:
    """Score the origins between one training and the next, in chronological order: does the model get worse?

    Parameters
    ----------
    predictions : DataFrame
        As `flows.rolling.forecast_all` returns them.
    settings : BacktestSettings
    model, best : str
        Columns of the model, and of the baseline that it is held against.

    Returns
    -------
    list of dict
        ``first``, ``last`` and ``origins`` of the period, ``rmse`` of the model and ``best_rmse`` of the baseline, and
        ``skill``, the share of its error that the model takes away.
    """
    length = settings.refit or max(1, settings.n_windows // 6)
    period = predictions["cutoff"].rank(method="dense").astype(int).sub(1) // length
    periods = []
    for _, rows in predictions.groupby(period):
        y = rows["y"].to_numpy()
        rmse, best_rmse = (regression(y, rows[name].to_numpy())["rmse"] for name in (model, best))
        periods.append(
            {
                "first": day_in_words(rows["cutoff"].min(), settings.data.is_numbered),
                "last": day_in_words(rows["cutoff"].max(), settings.data.is_numbered),
                "origins": int(rows["cutoff"].nunique()),
                "rmse": rmse,
                "best_rmse": best_rmse,
                "skill": skill(rmse, best_rmse) if best_rmse > 0 else None,
            }
        )
    return periods


def read_evaluation(result: dict[str, Any]) -> dict[str, Any]:
    """Return what `score` wrote, from the result of the flow."""
    return read_json(Path(result["score"]["evaluation"]))


@contextmanager
def _progress(windows: int) -> Iterator[Callable[[int], None]]:
    """Show in the terminal and on the dashboard how many origins are done."""
    terminal = console()
    done = 0
    artifact = create_progress_artifact(key="backtest", description="Origins of the backtest")
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        row = bar.add_task("  origins", total=windows)

        def on_windows(further: int) -> None:
            """Show that further origins are done, on the dashboard after each twentieth of all."""
            nonlocal done
            before = done
            done += further
            bar.update(row, completed=done)
            if done * 20 // windows > before * 20 // windows:
                update_progress_artifact(
                    artifact, progress=100 * done / windows, description=f"{done} of {windows} origins"
                )

        yield on_windows

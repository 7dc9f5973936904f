"""Backtest a model: forecasts from many past origins, each with what was known then, next to the naive ones.

Where `flows.retrain` tests one model on one test period, this trains again as time goes on, as the nightly schedule
would have done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pandas as pd
from rich.progress import Progress

from gatecast.data.errors import InputError
from gatecast.data.store import read_json, read_parquet, write_json, write_parquet
from gatecast.flows.engine.artifacts import create_progress_artifact, update_progress_artifact
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import Output, Steps, code_version, digest, flow, hashes, run_name, task
from gatecast.flows.engine.terminal import console, counted
from gatecast.flows.forecast import choose_model
from gatecast.flows.ingest import ingest
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.comparison import compare
from gatecast.flows.judging.evaluation import MODEL, NAIVE
from gatecast.flows.judging.targets import DISPLAYS, series_frame, target_of
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import pictures as report
from gatecast.flows.reporting.publication import publish_scores
from gatecast.flows.settings.runs import BacktestSettings, RetrainSettings, Workspace
from gatecast.lstm.forecasting import baselines
from gatecast.lstm.forecasting.backtest import cross_validation
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load

DEFAULTS = BacktestSettings()


@flow(name="backtest", flow_run_name=run_name(lambda given: BacktestSettings.model_validate(given["settings"]).subject))
def backtest(settings: BacktestSettings = DEFAULTS, force: bool = False) -> dict[str, Any]:
    """Forecast from the last origins of the latest data and compare the forecasts with the naive ones.

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
    settings = of_champion(settings, workspace)
    with Steps() as step:
        bars = step(ingest, settings.data, workspace)
        settings = cast(BacktestSettings, settings.resolved(bars["kind"]))
        registry = Registry(workspace, str(settings.name))
        registry.require_kind(FORECASTER, "give the backtest another --name")
        champion = None if settings.refit else _champion(registry)
        key = digest(bars["content_hash"], settings, champion, code_version())
        directory = str(workspace.reports / str(settings.name) / f"backtest-{key}")
        forecasts = step(roll, bars["directory"], settings, champion, directory)
        scored = step(score, forecasts["predictions"], settings, directory)
    return {
        "settings": settings.to_dict(),
        "steps": step.records,
        "ingest": bars,
        "roll": forecasts,
        "score": scored,
    }


def of_champion(settings: BacktestSettings, workspace: Workspace) -> BacktestSettings:
    """Return the settings, completed with the champion's if only its name and the origins are given.

    Raises
    ------
    InputError
        No trained model has the name: a typing error would file the sample's scores under a wrong name.
    """
    origins = set(BacktestSettings.model_fields) - set(RetrainSettings.model_fields)
    if settings.name is None or settings.model_fields_set - origins - {"name"}:
        return settings
    registry = Registry(workspace, choose_model(workspace, settings.name))
    trained = registry.settings(str(registry.champion()))
    return BacktestSettings.model_validate({**dict(trained), **settings.model_dump(include=origins)})


def _champion(registry: Registry) -> str:
    version = registry.champion()
    if version is None:
        raise InputError(f"The model {registry.name} has no champion to take as it is; retrain it, or refit.")
    return str(registry.path(version))


@task("forecast from {settings.n_windows} origins", cached=True)
def roll(bars: str, settings: BacktestSettings, champion: str | None, directory: str) -> Output:
    """Forecast from each origin with the model and the baselines, trained on what was known; see `predict_rolling`."""
    with _progress(settings.n_windows) as on_window:
        predictions = predict_rolling(read_ingested(Path(bars)), settings, champion, on_window)
    path = write_parquet(predictions, Path(directory) / "predictions.parquet")
    trained = -(-settings.n_windows // settings.refit) if settings.refit else 0
    origins = predictions["cutoff"].nunique()
    return {
        "predictions": str(path),
        "files": hashes(path),
        "summary": f"{counted(len(predictions), 'forecast')} from {counted(origins, 'origin')}, "
        + (counted(trained, "training") if trained else f"by {Path(str(champion)).name} as it is"),
    }


def predict_rolling(
    frame: pd.DataFrame,
    settings: BacktestSettings,
    champion: str | None,
    on_window: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Forecast from the last origins with the model and the baselines.

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
        As `flows.judging.evaluation.predict_test` returns it: ``unique_id, cutoff, ds, step, y`` and one column per
        forecast.

    Raises
    ------
    InputError
        There are too few rows, or the champion has seen all of them.
    """
    target = target_of(settings)
    series = series_frame(frame, settings.target, settings.features)
    model = Forecaster.from_settings(settings.model) if champion is None else load(Path(champion))
    raw = cross_validation(
        model, series, settings.n_windows, settings.step_size, settings.refit, split=settings.split, on_window=on_window
    )
    if champion is not None:
        seen_until = pd.Timestamp(model.boundaries["validation_end"])
        raw = raw[raw["cutoff"] >= seen_until].reset_index(drop=True)
        if raw.empty:
            raise InputError(
                f"{Path(champion).name} was trained on all of these rows, up to {seen_until:%Y-%m-%d}, so they are"
                " no test of it; give later data, or refit."
            )
    raw["step"] = raw.groupby(["unique_id", "cutoff"]).cumcount() + 1
    predictions = evaluation.in_unit(raw, frame, target).rename(columns={"y_hat": MODEL})
    predictions = predictions[[*evaluation.KEYS, "y", MODEL]]
    # The baselines are fitted whenever the model is trained.
    folds = raw["cutoff"].rank(method="dense").astype(int).sub(1) // (settings.refit or settings.n_windows)
    for name in evaluation.baseline_names(settings):
        y_hat = pd.concat(
            [
                baselines.predict(name, series, rows, rows["cutoff"].min(), naive=target.naive)
                for _, rows in raw[list(evaluation.KEYS)].groupby(folds)
            ]
        )
        predictions[name] = evaluation.in_unit(raw.assign(y_hat=y_hat), frame, target)["y_hat"].to_numpy()
    return predictions


@task("score {settings.name}", cached=True)
def score(predictions: str, settings: BacktestSettings, directory: str) -> Output:
    """Score the forecasts, all together and period by period, and draw them."""
    rows = read_parquet(Path(predictions))[0]
    folder = Path(directory)
    scores = evaluation.score(rows, settings)
    figures = compare(rows["y"], rows[MODEL], rows[NAIVE], rows["cutoff"], settings.model.horizon)
    sentence = f"{evaluation.verdict(scores)} p = {figures['p_value']:.2g} that it is no better than the naive one."
    first, last = (f"{moment:%Y-%m-%d}" for moment in (rows["ds"].min(), rows["ds"].max()))
    display = DISPLAYS[settings.target or "y"]
    title = f"{settings.name}: {display.label} forecast from rolling origins against actual, {first} to {last}"
    written = {
        "picture": report.plot_forecasts(rows, display, title, folder / "forecast.png"),
        "evaluation": write_json(
            folder / "evaluation.json",
            {
                "unit": target_of(settings).unit,
                "first": first,
                "last": last,
                "verdict": sentence,
                "against_naive": figures,
                "scores": scores,
                "periods": by_period(rows, settings),
            },
        ),
    }
    publish_scores(f"{settings.name} backtest", scores, sentence, written["picture"])
    return {
        **{name: str(path) for name, path in written.items()},
        "files": hashes(*written.values()),
        "summary": sentence,
    }


def by_period(predictions: pd.DataFrame, settings: BacktestSettings) -> list[dict[str, Any]]:
    """Score the origins between one training and the next, in chronological order: does the model get worse?

    Returns
    -------
    list of dict
        ``first``, ``last`` and ``origins`` of the period, RMSE of model and naive forecast, and ``skill``.
    """
    length = settings.refit or max(1, settings.n_windows // 6)
    period = predictions["cutoff"].rank(method="dense").astype(int).sub(1) // length
    periods = []
    for _, rows in predictions.groupby(period):
        total = evaluation.overall(evaluation.score(rows, settings))
        periods.append(
            {
                "first": f"{rows['cutoff'].min():%Y-%m-%d}",
                "last": f"{rows['cutoff'].max():%Y-%m-%d}",
                "origins": int(rows["cutoff"].nunique()),
                "rmse": total[MODEL]["rmse"],
                "naive_rmse": total[NAIVE]["rmse"],
                "skill": total[MODEL]["skill"],
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
    artifact = create_progress_artifact(key="backtest", description="Origins of the backtest")
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        row = bar.add_task("  origins", total=windows)

        def on_window(done: int) -> None:
            bar.update(row, completed=done)
            if done * 20 // windows > (done - 1) * 20 // windows:
                update_progress_artifact(
                    artifact, progress=100 * done / windows, description=f"{done} of {windows} origins"
                )

        yield on_window

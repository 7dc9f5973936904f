"""Forecast with the champion: the last step of a retrain, and a flow of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.periods import period_name
from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import InputError
from gatecast.data.sequences.features import Target, told_apart
from gatecast.data.store import write_parquet
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import Output, Steps, flow, hashes, run_name, task
from gatecast.flows.ingest import ingest
from gatecast.flows.judging.targets import DISPLAYS, Display, series_frame, target_of
from gatecast.flows.registry.catalogue import choose_champion
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.champion import ForecastSettings
from gatecast.flows.settings.locations import LocalPath
from gatecast.flows.settings.runs import RetrainSettings, Workspace
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.uncertainty import interval_names, intervals

DEFAULTS = ForecastSettings()
SENTENCES = 20
LEVEL = 90  # percent, of the intervals


@flow(name="forecast", flow_run_name=run_name(lambda given: given["name"] or "forecast"))
def forecast_latest(
    name: str | None = DEFAULTS.name,
    path: LocalPath | None = DEFAULTS.path,
    n_samples: int = DEFAULTS.n_samples,
    seed: int = DEFAULTS.seed,
) -> dict[str, Any]:
    """Read the data again and forecast what comes next with a model's champion.

    Parameters
    ----------
    name : str, optional
        Name of the model; may be left out if there is only one.
    path : Path, optional
        Newer data, .parquet or CSV, instead of the source of the champion's training data; symbols and interval are
        those of the training.
    n_samples : int
        Number of Monte-Carlo dropout samples to draw for intervals; 0 forecasts without intervals.
    seed : int
        Of the samples.
    """
    asked = ForecastSettings(name=name, path=path, n_samples=n_samples, seed=seed)
    workspace = Workspace.from_environment()
    registry = Registry(workspace.models / choose_model(workspace, asked.name))
    version = registry.champion()
    if version is None:
        raise InputError(f"The model {registry.name} has no champion in {workspace.root}; retrain it first.")
    settings = registry.settings(version, FORECASTER)
    with Steps() as step:
        data = settings.data if asked.path is None else settings.data.from_file(asked.path)
        bars = step(ingest, data, str(workspace.bars))
        if bars["kind"] != ("bars" if settings.target else "series"):
            raise InputError(
                f"{registry.name} was not trained on {bars['kind']}, which the data holds; choose the other file."
            )
        directory = str(workspace.forecasts / registry.name)
        champion = str(registry.path(version))
        options = {"n_samples": asked.n_samples, "seed": asked.seed}
        forecasts = step(forecast, champion, settings, bars["directory"], bars["last"], directory, **options)
    return {"name": registry.name, "version": version, "steps": step.records, "ingest": bars, "forecast": forecasts}


@task("forecast from {last}", cached=True)
def forecast(
    version: str,
    settings: RetrainSettings,
    bars: str,
    last: str,
    directory: str,
    n_samples: int = 0,
    seed: int = 0,
) -> Output:
    """Forecast the next steps of each series and write them to ``directory/LAST.parquet``.

    Parameters
    ----------
    version : str
        Folder of the champion.
    settings : RetrainSettings
        Those the champion was trained with.
    bars : str
        Folder of the data.
    last : str
        Date of the last row, which names the file.
    directory : str
        Folder of the model's forecasts.
    n_samples, seed : int
        Of Monte-Carlo dropout; see `predict_next`.

    Returns
    -------
    dict
        ``path`` of the forecasts and ``sentences`` for people, see `shown`.
    """
    folder = Path(version)
    model = Registry(folder.parent).model(folder.name, FORECASTER)
    forecasts, sentences = predict_next(model, read_ingested(Path(bars)), settings, n_samples, seed)
    metadata = {"model": str(settings.name), "version": folder.name, "target": settings.target or "y"}
    path = write_parquet(forecasts, Path(directory) / f"{last}.parquet", metadata)
    steps = f"{settings.model.horizon} steps" if settings.model.horizon > 1 else "the next step"
    return {
        "path": str(path),
        "files": hashes(path),
        "sentences": shown(sentences),
        "summary": f"{steps} of {len(sentences)} series by {folder.name}; dates: {model.dates_in_words}",
    }


def shown(sentences: list[str]) -> list[str]:
    """Return the first sentences, and how many series are not among them."""
    others = len(sentences) - SENTENCES
    return [*sentences[:SENTENCES], f"and {others:,} more series, which are in the file"] if others > 0 else sentences


def predict_next(
    model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings, n_samples: int = 0, seed: int = 0
) -> tuple[pd.DataFrame, list[str]]:
    """Forecast the steps after the last row of each series.

    Parameters
    ----------
    model : Forecaster
        Fitted.
    frame : DataFrame
        Bars or series frame.
    settings : RetrainSettings
        Those of the model.
    n_samples : int
        Number of Monte-Carlo dropout samples, from which the intervals are made; 0 gives no intervals.
    seed : int
        Of the samples.

    Returns
    -------
    forecasts : DataFrame
        ``unique_id``, ``cutoff`` (the last row known), ``ds``, ``y_hat`` in the unit of y, and ``value`` and ``unit``
        as people read it; with samples also ``y_hat-lo-90``, ``y_hat-hi-90``, ``value-lo-90`` and ``value-hi-90``.
    sentences : list of str
        The first step of each series with its last value, and its last step if there are several.
    """
    target = target_of(settings)
    display = DISPLAYS[settings.target or "y"]
    series = series_frame(frame, settings.target, settings.features)
    rows, samples = model.sample(series, n_samples=n_samples, seed=seed) if n_samples else (None, np.empty((0, 0)))
    raw = model.predict(series) if rows is None else rows.assign(**intervals(samples, (LEVEL,)))
    last = series.groupby("unique_id")["ds"].last()
    steps = raw.groupby("unique_id").cumcount() + 1
    raw.insert(1, "cutoff", raw["unique_id"].map(last))
    keys = raw[["unique_id", "cutoff", "ds"]].assign(step=steps)
    in_unit = target.invert(keys.assign(y_hat=raw["y_hat"]), frame)
    forecasts = raw.assign(value=display.apply(in_unit["y_hat"].to_numpy()), unit=display.unit)
    if rows is not None:
        # A price is the sum of its returns, so each sample is a separate path; bounds do not add up.
        courses = [
            display.apply(target.invert(keys.assign(y_hat=y_hat), frame)["y_hat"].to_numpy()) for y_hat in samples
        ]
        bounds = intervals(np.stack(courses), (LEVEL,))
        names = zip(interval_names("value", LEVEL), interval_names("y_hat", LEVEL), strict=True)
        forecasts = forecasts.assign(**{name: bounds[of_y_hat] for name, of_y_hat in names})
    last_values = _last_values(series, frame, target)
    periods = {unique_id: _period(series, unique_id) for unique_id in last_values}
    by_series = forecasts.assign(in_unit=in_unit["y_hat"]).groupby("unique_id", sort=False)
    sentences = [
        _sentence(own, last_values[str(unique_id)], periods[str(unique_id)], target, display)
        for unique_id, own in by_series
    ]
    return forecasts, sentences


def _sentence(rows: pd.DataFrame, last_value: float, period: str, target: Target, display: Display) -> str:
    """Say for one series what comes next and, if there are several steps, what comes last."""
    first, last = rows.iloc[0], rows.iloc[-1]
    unit = display.unit and f" {display.unit}"
    sentence = target.sentence(str(first["unique_id"]), first["in_unit"], last_value, period)
    low, high = interval_names("value", LEVEL)
    if low in rows:
        bounds = told_apart(first[low], first[high], digits=4)
        sentence += f" ({LEVEL} % interval {bounds[0]} to {bounds[1]}{unit})"
    if len(rows) > 1:
        known = float(display.apply(np.array(last_value)))
        value, _ = told_apart(last["value"], known, digits=display.digits, sign=display.sign)
        sentence += f"; step {len(rows)}, {format_date(last['ds'])}: {value}{unit}"
    return sentence


def _last_values(series: pd.DataFrame, frame: pd.DataFrame, target: Target) -> dict[str, float]:
    """Return the last value of each series in the target's unit, as if it had been forecast from the row before it."""
    cutoff = series.groupby("unique_id")["ds"].shift()
    last = series.assign(cutoff=cutoff, step=1, y_hat=series["y"]).groupby("unique_id").tail(1)
    return dict(zip(last["unique_id"], target.invert(last, frame)["y_hat"], strict=True))


def _period(series: pd.DataFrame, unique_id: str) -> str:
    return period_name(pd.DatetimeIndex(series.loc[series["unique_id"] == unique_id, "ds"]))


def choose_model(workspace: Workspace, name: str | None) -> str:
    """Return the name of the model to use: the one that is named, or the only one.

    Raises
    ------
    InputError
        There is no such model, or several to choose from.
    """
    return choose_champion(workspace, name, FORECASTER)

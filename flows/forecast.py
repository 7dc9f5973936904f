"""Forecast with the champion: the last step of a retrain, and a flow of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from gatecast.data.dates.periods import period_name
from gatecast.data.dates.steps import day_in_words, with_steps
from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import CheckpointError, InputError
from gatecast.data.sequences.features import Target, told_apart
from gatecast.data.store import write_parquet
from gatecast.flows.engine.caching import hashes
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import Steps, flow, run_name, task
from gatecast.flows.engine.results import Forecasts, Ingested, StepRecord
from gatecast.flows.ingest import ingest
from gatecast.flows.judging.targets import DISPLAYS, Display, series_frame, target_of
from gatecast.flows.registry.catalogue import choose_champion
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.alarms import tell_if_old
from gatecast.flows.reporting.last_runs import data_of, record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.settings.champion import ForecastSettings
from gatecast.flows.settings.locations import LocalPath
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.checks import require_finite
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.uncertainty import DEFAULT_LEVELS, intervals, probabilities_of
from gatecast.lstm.training.checkpoint import fingerprint

DEFAULTS = ForecastSettings()
SENTENCES = 20
COURSES = 200
"""Drawn where the bounds of a value do not follow from those of y: a price is the sum of its returns"""


class Forecasted(TypedDict):
    """What a forecast returns: the champion that made it, how its steps went, and what each of them returned."""

    name: str
    version: str
    steps: list[StepRecord]
    ingest: Ingested
    forecast: Forecasts


@flow(name="forecast", flow_run_name=run_name(lambda given: given["name"] or "forecast"))
def forecast_latest(
    name: str | None = DEFAULTS.name,
    path: LocalPath | None = DEFAULTS.path,
    n_samples: int = DEFAULTS.n_samples,
    seed: int = DEFAULTS.seed,
    level: tuple[float, ...] | None = DEFAULTS.level,
    quantiles: tuple[float, ...] = DEFAULTS.quantiles,
) -> Forecasted:
    """Read the data again and forecast what comes next with a model's champion.

    Parameters
    ----------
    name : str, optional
        Name of the model; may be left out if there is only one.
    path : Path, optional
        Newer data, .parquet or CSV, instead of the source of the champion's training data; symbols and interval are
        those of the training.
    n_samples : int
        Number of courses to draw, which intervals and quantiles are then made of; 0 draws none.
    seed : int
        Of the samples.
    level : tuple of float, optional
        Intervals in percent; by default 80 and 95.
    quantiles : tuple of float
        Shares between 0 and 1.
    """
    asked = ForecastSettings(name=name, path=path, n_samples=n_samples, seed=seed, level=level, quantiles=quantiles)
    workspace = Workspace.from_environment()
    registry = Registry(workspace, choose_model(workspace, asked.name))
    version = registry.champion()
    if version is None:
        raise InputError(f"The model {registry.name} has no champion in {workspace.root}; retrain it first.")
    settings = registry.settings(version, FORECASTER)
    with Steps(workspace) as step:
        source = settings.data if asked.path is None else settings.data.from_file(asked.path)
        bars = step(ingest, source, workspace)
        tell_if_old(bars, source.description)
        if bars["kind"] != ("bars" if settings.target else "series"):
            raise InputError(
                f"{registry.name} was not trained on {bars['kind']}, which the data holds; choose the other file."
            )
        copy = None
        with suppress(CheckpointError):  # the champion forecasts if its copy is damaged
            copy = fingerprint(registry.refit_path(version)) if registry.refit_path(version).exists() else None
        data = bars["directory"]
        drawn = asked.n_samples, asked.seed, asked.level, asked.quantiles
        forecasts = step(forecast, workspace, registry.name, version, settings, data, bars["last"], copy, *drawn)
        record_run(workspace, registry.name, "forecast", data=data_of(bars))
        update_overview(workspace)
    return {"name": registry.name, "version": version, "steps": step.records, "ingest": bars, "forecast": forecasts}


@task("forecast from {last}", cached=True)
def forecast(
    workspace: Workspace,
    name: str,
    version: str,
    settings: RetrainSettings,
    bars: str,
    last: str,
    copy: str | None = None,
    n_samples: int = 0,
    seed: int = 0,
    level: tuple[float, ...] | None = None,
    quantiles: tuple[float, ...] = (),
) -> Forecasts:
    """Forecast the next steps of each series and write them to ``forecasts/NAME/CUTOFF.parquet`` of the workspace.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    version : str
        The champion.
    settings : RetrainSettings
        Those the champion was trained with.
    bars : str
        Folder of the data.
    last : str
        Date of the last row.
    copy : str, optional
        Hash of the copy of the champion that has learnt all rows, which then forecasts; see `flows.refit`.
    n_samples, seed, level, quantiles
        See `predict_next`.

    Returns
    -------
    Forecasts
        Their path, and sentences for people, see `shown`.
    """
    registry = Registry(workspace, name)
    model, is_copy = registry.forecaster(version) if copy else (registry.model(version, FORECASTER), False)
    frame = read_ingested(Path(bars))
    forecasts, sentences = predict_next(model, frame, settings, n_samples, seed, level, quantiles)
    metadata = {"model": name, "version": version, "target": settings.target or "y"} | learnt_until(model)
    stem = file_stem(frame["ds"].max(), settings.data.is_numbered)
    path = write_parquet(forecasts, workspace.forecasts / name / f"{stem}.parquet", metadata)
    steps = f"{settings.model.horizon} steps" if settings.model.horizon > 1 else "the next step"
    dates = "" if settings.data.is_numbered else f"; dates: {model.dates_in_words}"
    return {
        "path": str(path),
        "files": hashes(path),
        "sentences": shown(sentences),
        "summary": f"{steps} of {len(sentences)} series by {version}{', with all rows learnt' * is_copy}{dates}",
    }


def learnt_until(model: Forecaster) -> dict[str, str]:
    """Return what a file of forecasts says of the model's training: its last row."""
    return {"learnt_until": model.boundaries["train_end"]}


def shown(sentences: list[str]) -> list[str]:
    """Return the first sentences, and how many series are not among them."""
    others = len(sentences) - SENTENCES
    return [*sentences[:SENTENCES], f"and {others:,} more series, which are in the file"] if others > 0 else sentences


def file_stem(cutoff: pd.Timestamp, is_numbered: bool = False) -> str:
    """Return what a file of forecasts is called: the date of the last row, and its time unless that is midnight.

    A time that has a zone is written in UTC, so that an hour which clocks repeat is two names. Of numbered rows, it is
    the number of the last one.
    """
    if is_numbered:
        return f"step-{day_in_words(cutoff, is_numbered):0>5}"
    if cutoff == cutoff.normalize():
        return f"{cutoff:%Y-%m-%d}"
    return f"{cutoff:%Y-%m-%dT%H-%M-%S}" if cutoff.tz is None else f"{cutoff.tz_convert('UTC'):%Y-%m-%dT%H-%M-%SZ}"


@np.errstate(over="ignore", invalid="ignore")  # instead of a warning, an error names the series
def predict_next(
    model: Forecaster,
    frame: pd.DataFrame,
    settings: RetrainSettings,
    n_samples: int = 0,
    seed: int = 0,
    level: tuple[float, ...] | None = None,
    quantiles: tuple[float, ...] = (),
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
        Number of courses from which intervals and quantiles are made, by Monte-Carlo dropout where the model was
        trained with it; 0 draws none.
    seed : int
        Of the samples.
    level, quantiles
        As for `Forecaster.predict`.

    Returns
    -------
    forecasts : DataFrame
        ``unique_id``, ``cutoff`` (the last row known), ``ds``, ``y_hat`` in the unit of y, and ``value`` and ``unit``
        as people read it; of both also the bounds, such as ``y_hat-lo-80`` and ``value-lo-80``. Of numbered rows,
        ``cutoff`` and ``ds`` are numbers.
    sentences : list of str
        The first step of each series with its last value, and its last step if there are several.
    """
    target = target_of(settings)
    display = DISPLAYS[settings.target or "y"]
    series = series_frame(frame, settings.target, settings.features)
    raw, samples = _with_bounds(model, series, target, n_samples, seed, level, quantiles)
    last = series.groupby("unique_id")["ds"].last()
    steps = raw.groupby("unique_id").cumcount() + 1
    raw.insert(1, "cutoff", raw["unique_id"].map(last))
    keys = raw[["unique_id", "cutoff", "ds"]].assign(step=steps)
    in_unit = target.invert(keys.assign(y_hat=raw["y_hat"]), frame)
    forecasts = raw.assign(value=display.apply(in_unit["y_hat"].to_numpy()), unit=display.unit)
    names = [name for name in map(str, raw) if name.startswith("y_hat-")]
    # A price is the sum of its returns, so each sample is a separate path; bounds do not add up.
    courses = samples if samples is not None else [raw[name].to_numpy() for name in names]
    told = [target.invert(keys.assign(y_hat=course), frame)["y_hat"].to_numpy() for course in courses]
    if samples is not None:
        told = list(np.quantile(np.stack(told), probabilities_of(names), axis=0))
    bounds = {name.replace("y_hat", "value", 1): display.apply(bound) for name, bound in zip(names, told, strict=True)}
    forecasts = forecasts.assign(**bounds)
    require_finite(forecasts.filter(like="value").to_numpy(), forecasts["unique_id"].tolist())
    is_numbered = settings.data.is_numbered
    last_values = _last_values(series[series["unique_id"].isin(raw["unique_id"].unique())], frame, target)
    periods = {name: "next" if is_numbered else _period(series, name) for name in last_values}
    if is_numbered:
        forecasts = with_steps(forecasts)
    in_words = forecasts.assign(in_unit=in_unit["y_hat"])
    sentences = [
        _sentence(own, last_values[str(unique_id)], periods[str(unique_id)], target, display)
        for unique_id, own in in_words.groupby("unique_id", sort=False)
    ]
    return forecasts, sentences


def _with_bounds(
    model: Forecaster,
    series: pd.DataFrame,
    target: Target,
    n_samples: int,
    seed: int,
    level: tuple[float, ...] | None,
    quantiles: tuple[float, ...],
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Return what the model predicts, and courses to make the bounds of values of; None where bounds are enough."""
    if n_samples:
        dropout = model.settings.has_dropout
        rows, samples = model.sample(series, n_samples=n_samples, seed=seed, dropout=dropout)
        by_default = () if quantiles else DEFAULT_LEVELS
        return rows.assign(**intervals(samples, by_default if level is None else level, quantiles)), samples
    raw = model.predict(series, level=level, quantiles=quantiles)
    has_bounds = any(str(name).startswith("y_hat-") for name in raw)
    if not has_bounds or not target.adds_up or model.settings.horizon == 1:
        return raw, None
    return raw, model.sample(series, n_samples=COURSES, seed=seed)[1]


def _sentence(rows: pd.DataFrame, last_value: float, period: str, target: Target, display: Display) -> str:
    """Say for one series what comes next and, if there are several steps, what comes last."""
    first, last = rows.iloc[0], rows.iloc[-1]
    unit = display.unit and f" {display.unit}"
    sentence = target.sentence(str(first["unique_id"]), first["in_unit"], last_value, period)
    levels = [name.removeprefix("value-lo-") for name in map(str, rows) if name.startswith("value-lo-")]
    if levels:
        low, high = (first[f"value-{side}-{levels[0]}"] for side in ("lo", "hi"))
        bounds = told_apart(low, high, digits=4)
        sentence += f" ({levels[0]} % interval {bounds[0]} to {bounds[1]}{unit})"
    if len(rows) > 1:
        known = float(display.apply(np.array(last_value)))
        moment = format_date(last["ds"]) if isinstance(last["ds"], pd.Timestamp) else last["ds"]
        value, _ = told_apart(last["value"], known, digits=display.digits, sign=display.sign)
        sentence += f"; step {len(rows)}, {moment}: {value}{unit}"
    return sentence


def _last_values(series: pd.DataFrame, frame: pd.DataFrame, target: Target) -> dict[str, float]:
    """Return the last value of each series in the target's unit, as if it had been forecast from the row before it."""
    series = series[series["y"].notna()]
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

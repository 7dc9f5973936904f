"""The copy of a champion that forecasts: trained again on all rows, once the champion has been judged without them.

A version keeps rows back for validation and test, the newest ones, so that it can be judged and compared. Its copy
is never judged and never compared: it is in ``models/NAME/refits/VERSION-refit``, and only
forecasts. With every retrain it follows the data, also where the champion stays.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pandas as pd

from gatecast.data.dates.rules import DateRules
from gatecast.data.errors import InputError
from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.sequences import Sequences, build_sequences
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.ingested import ingested_files
from gatecast.flows.engine.orchestration import task
from gatecast.flows.engine.results import Result
from gatecast.flows.engine.terminal import counted
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.forecaster import Forecaster


class Refitted(Result):
    """A champion that was trained again on all rows."""

    path: str | None
    """Of the copy; None where there is none, and the champion itself forecasts"""
    files: dict[str, str]


@task("refit {version}", cached=True)
def refit(workspace: Workspace, name: str, version: str, settings: RetrainSettings, bars: str) -> Refitted:
    """Train a copy of a version again on all rows of the data; the version itself stays as it is.

    Parameters
    ----------
    workspace : Workspace
    name, version : str
        Of the model, and its champion.
    settings : RetrainSettings
        Those of the champion; its `final_fit` says on which rows.
    bars : str
        Folder of the data.
    """
    registry = Registry(workspace, name)
    files = ingested_files(Path(bars))
    learnt = partial(_learnt, settings=settings)
    key = digest(settings.target, settings.features, code_version())
    windows = _windows(settings)
    model = registry.model(version, FORECASTER)
    if settings.final_fit == "window":
        learnt = partial(_newest, learnt=learnt, model=model)
        key = digest(key, "window", version)
    try:
        sequences = build_from_files(files, learnt, key, windows, workspace.sequences / f".{name}-refit")
        copy = model.refit(sequences, rules=_rules(settings))
    except InputError as error:
        return {"path": None, "files": {}, "summary": f"{version} forecasts as it is: {error}"}
    path = save(registry, version, copy)
    return {"path": str(path), "files": hashes(path), "summary": told(version, copy, sequences)}


def refit_frame(model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings) -> Forecaster:
    """Return a copy of a forecaster that has learnt all rows of a frame of bars or series; see `refit`."""
    series = _learnt(frame, settings)
    if settings.final_fit == "window":
        series = _newest(frame, partial(_learnt, settings=settings), model)
    sequences = build_sequences(series, _windows(settings), rules=_rules(settings))
    return model.refit(sequences, rules=_rules(settings))


def save(registry: Registry, version: str, copy: Forecaster) -> Path:
    """Keep the copy of a version, in place of the one before; the copies of versions that are gone go too."""
    path = copy.save(registry.refit_path(version), overwrite=True)
    present = {registry.refit_path(other) for other in registry.versions()}
    for other in path.parent.glob("*-refit"):
        if other not in present:
            shutil.rmtree(other, ignore_errors=True)
    return path


def discard(registry: Registry, version: str) -> None:
    """Remove the copy of a version, which then forecasts itself."""
    shutil.rmtree(registry.refit_path(version), ignore_errors=True)


def told(version: str, copy: Forecaster, sequences: Sequences) -> str:
    """Say what a copy has learnt."""
    rows = counted(len(sequences.ds), "row")
    until = copy.boundaries["train_end"]
    return f"{version} trained again on {rows} up to {until}, for as many steps as were best when it was judged"


def _windows(settings: RetrainSettings) -> evaluation.SequenceSettings:
    """Return how the rows to learn are put into windows: with nothing held back but what the splits need to exist."""
    windows = evaluation.sequence_settings(settings)
    split = windows.split.model_copy(update={"purge": 0})
    return windows.model_copy(update={"fit_scalers_on": "all", "split": split})


def _rules(settings: RetrainSettings) -> DateRules:
    dates = settings.data.dates
    return DateRules(dates["freq"], tuple(dates["closed"]), dates["calendar"])


def _learnt(frame: pd.DataFrame, settings: RetrainSettings) -> pd.DataFrame:
    return series_frame(frame, target=settings.target, features=settings.features)


def _newest(frame: pd.DataFrame, learnt: partial[pd.DataFrame], model: Forecaster) -> pd.DataFrame:
    """Return the newest rows of each series, as many as the model was trained on."""
    series = learnt(frame)
    ends = model.ends("train_end", series["unique_id"].unique())
    trained = (series["ds"] <= series["unique_id"].map(ends)).groupby(series["unique_id"]).transform("sum")
    from_the_end = series.groupby("unique_id").cumcount(ascending=False)
    return series[from_the_end < trained.clip(lower=1)].reset_index(drop=True)

"""MLflow: parameters, figures, pictures and model of each retrain on a tracking server, if one is named.

Set ``MLFLOW_TRACKING_URI``, MLflow's own variable, and install ``gatecast[mlflow]``. A version has one finished run, no
matter how often the retrain that made it is repeated.

A retrain does not depend on the server: if that fails, or takes longer than `LIMIT` allows, a warning says so and the
retrain goes on.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit

from gatecast.data.errors import InputError
from gatecast.data.secrets import masked
from gatecast.data.variables import replacements
from gatecast.flows.engine.orchestration import task
from gatecast.flows.engine.results import Evaluated, Promoted, Tracked, Versioned
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import flat
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.models import load

URI = "MLFLOW_TRACKING_URI"
VERSION_TAG = "gatecast.version"
LIMIT = "GATECAST_MLFLOW_SECONDS"
LIMIT_SECONDS = 10.0
LOCAL = ("", "file", "sqlite")
"""Schemes of stores that no server answers for"""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "4", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow's own would wait for two minutes, eight times"""
REASON_LETTERS = 300

_LOGGER = logging.getLogger(__name__)


def wanted() -> bool:
    """Tell whether a tracking server is named."""
    return bool(os.environ.get(URI))


def require() -> None:
    """Raise InputError if a tracking server is named but MLflow is not installed, or if `LIMIT` is not a time."""
    _limit_seconds()
    if wanted() and importlib.util.find_spec("mlflow") is None:
        raise InputError(
            f"{URI} names a tracking server, but MLflow is not installed; run: pip install 'gatecast[mlflow]'."
        )


@task("track {version[version]}", cached=False)
def track(workspace: Workspace, name: str, version: Versioned, evaluated: Evaluated, promoted: Promoted) -> Tracked:
    """Log a version to MLflow, under an experiment with the name of the model.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    version, evaluated, promoted
        What the steps of `flows.retrain` returned.
    """
    import mlflow  # noqa: F401  takes seconds that are not the server's

    def log() -> Tracked:
        return _track(Registry(workspace, name), version["version"], evaluated, promoted)

    uri = os.environ[URI]
    is_local = urlsplit(uri).scheme in LOCAL
    tracked, failure = _within(None if is_local else _limit_seconds(), log)
    if tracked is not None:
        return tracked
    reason = shorten(masked(failure, replacements(uri)), REASON_LETTERS, placeholder=" ...")
    sentence = f"MLflow at {masked(uri)} was not told of {version['version']}: {reason.rstrip('.')}."
    _LOGGER.warning("%s", sentence)
    return {"run_id": None, "experiment": name, "summary": sentence}


def _within(seconds: float | None, log: Callable[[], Tracked]) -> tuple[Tracked | None, str]:
    """Return what a function returns, or None and why it failed or took longer; None seconds are as long as it takes.

    What takes longer goes on in the background, and ends with the process at the latest.
    """
    tracked: list[Tracked] = []
    failures: list[str] = []

    def attempt() -> None:
        try:
            with _impatient():
                tracked.append(log())
        except Exception as error:  # whatever a server or its client does, the retrain goes on
            cause = _cause(error)
            failures.append(f"{type(cause).__name__}: {cause}")

    thread = threading.Thread(target=attempt, name="MLflow", daemon=True)
    thread.start()
    thread.join(seconds)
    unanswered = f"it did not answer within {seconds:g} s ({LIMIT} sets how long to wait)" if seconds else ""
    return (tracked[0], "") if tracked else (None, failures[0] if failures else unanswered)


def _cause(error: BaseException) -> BaseException:
    """Return what an error began with: the refused connection rather than the request that was given up."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error


@contextmanager
def _impatient() -> Iterator[None]:
    """Let requests of MLflow fail soon, unless the environment says otherwise."""
    ours = {name: value for name, value in IMPATIENT.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _limit_seconds() -> float:
    """Return how long a retrain waits for the server.

    Raises
    ------
    InputError
        `LIMIT` is not a number above zero.
    """
    text = os.environ.get(LIMIT) or str(LIMIT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise InputError(f"{LIMIT} is {text!r}; it should be a number of seconds above zero.")
    return seconds


def _track(registry: Registry, name: str, evaluated: Evaluated, promoted: Promoted) -> Tracked:
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name(registry.name)
    experiment = found.experiment_id if found else client.create_experiment(registry.name)
    finished = f"tags.`{VERSION_TAG}` = '{name}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment], finished, max_results=1)
    run_id = runs[0].info.run_id if runs else _log(client, experiment, registry, name, evaluated)
    client.set_tag(run_id, "gatecast.promoted", str(promoted["promoted"]))
    client.set_tag(run_id, "gatecast.champion", str(promoted["champion"]))
    return {"run_id": run_id, "experiment": registry.name, "summary": f"run {run_id} in experiment {registry.name}"}


def _log(client: Any, experiment: str, registry: Registry, version: str, evaluated: Evaluated) -> str:
    """Log everything about a version in a separate run, and return the run's id."""
    from mlflow.entities import Metric, Param

    lineage = registry.lineage(version)
    tags = {VERSION_TAG: version} | {
        f"gatecast.{key}": str(value) for key, value in lineage.items() if key != "version"
    }
    run_id = str(client.create_run(experiment, run_name=version, tags=tags).info.run_id)
    status = "FAILED"
    try:
        params = [Param(name, str(value)[:500]) for name, value in flat(registry.settings(version).to_dict()).items()]
        # MLflow accepts a hundred parameters and a thousand figures at once.
        for first in range(0, len(params), 100):
            client.log_batch(run_id, params=params[first : first + 100])
        figures = [Metric(*figure) for figure in _figures(registry, version)]
        for first in range(0, len(figures), 1000):
            client.log_batch(run_id, metrics=figures[first : first + 1000])
        for path in (evaluated["picture"], evaluated["losses"], evaluated["evaluation"], evaluated["predictions"]):
            client.log_artifact(run_id, path, "report")
        client.log_artifacts(run_id, str(registry.path(version)), "model")
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
    return run_id


def _figures(registry: Registry, version: str) -> list[tuple[str, float, int, int]]:
    """Return name, value, time stamp (ms; the step stands for it) and step of every figure."""
    figures = []
    for score in registry.evaluation(version)["scores"]:
        # MLflow allows letters, digits and some signs in a name; a series may be called anything.
        series = "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in score["unique_id"])
        figures += [
            (f"{series}/{score['forecast']}/{name}", float(score[name]), 0, 0)
            for name in ("rmse", "mae", "r2", "smape", "mase", "rmsse", "skill")
            if score[name] is not None
        ]
    for record in load(registry.path(version)).history:
        losses = {"train_loss": record.train_loss, "validation_loss": record.validation_loss}
        known = {name: loss for name, loss in losses.items() if math.isfinite(loss)}  # epoch 0 has no training loss
        figures += [(name, float(loss), record.epoch, record.epoch) for name, loss in known.items()]
    return figures

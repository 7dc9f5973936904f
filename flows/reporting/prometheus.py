"""Forecasts and errors as a text file for Prometheus' node exporter (its textfile collector)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.flows.engine.runs import FAILED_DAYS
from gatecast.flows.judging.live import read_file
from gatecast.flows.reporting.last_runs import KINDS, last_runs
from gatecast.flows.settings.workspace import Workspace


def require_folder(directory: Path) -> None:
    """Make a folder if it is missing; raise InputError if it cannot be written to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(f"{directory} cannot be written to ({error.strerror}); name another folder.") from error


def write_metrics(name: str, report: Mapping[str, Any], workspace: Workspace, directory: Path) -> Path:
    """Write ``gatecast-NAME.prom`` atomically.

    Parameters
    ----------
    name : str
        Name of the model.
    report : mapping
        What the monitor found, see `flows.monitor.check`.
    workspace : Workspace
        Its latest forecasts are written as well.
    directory : Path
        Folder that the collector reads, see `require_folder`.

    Returns
    -------
    Path
        The file.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()

    def gauge(metric: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"gatecast_{metric}", about, ("model", *labels), registry=registry)

    forecast = gauge("forecast", "Latest forecast, in the unit of the label.", "series", "step", "unit")
    cutoff = gauge("forecast_cutoff_timestamp_seconds", "Last row that the latest forecast knew.", "series")
    for row in _latest_forecasts(workspace.forecasts / name).to_dict("records"):
        forecast.labels(name, row["unique_id"], str(row["step"]), row["unit"]).set(row["value"])
        cutoff.labels(name, row["unique_id"]).set(row["cutoff"].timestamp())
    rmse = gauge("live_rmse", "Root mean squared error of the latest forecasts with actuals.", "series", "forecast")
    scored = gauge("live_rows", "Forecasts that the errors come from.", "series")
    for errors in report["errors"]:
        rmse.labels(name, errors["unique_id"], "model").set(errors["rmse"])
        rmse.labels(name, errors["unique_id"], "naive").set(errors["naive_rmse"])
        scored.labels(name, errors["unique_id"]).set(errors["rows"])
    value = gauge("check", "Figure of a check of the monitor.", "check")
    limit = gauge("check_limit", "Limit of a check of the monitor.", "check")
    breach = gauge("check_breached", "1 where a check has passed its limit.", "check")
    for each in report["checks"]:
        breach.labels(name, each["name"]).set(each["breached"])
        if each["value"] is not None:
            value.labels(name, each["name"]).set(each["value"])
            limit.labels(name, each["name"]).set(each["limit"])
    ended = gauge("last_run_timestamp_seconds", "End of the last run of a kind that ended well.", "flow")
    for kind, moment in last_runs(workspace, name).items():
        ended.labels(name, kind).set(moment.timestamp())
    path = directory / f"gatecast-{name}.prom"
    write_to_textfile(str(path), registry)
    return path


def write_failed_runs(counts: Mapping[str, int], directory: Path) -> Path:
    """Write ``gatecast.prom`` atomically: how many runs of each flow have failed, of all models together.

    Which model a run is about is often not known when it fails, so it has no place in the file of a model.

    Parameters
    ----------
    counts : mapping of flow to int
        See `flows.engine.runs.failed_runs`.
    directory : Path
        As for `write_metrics`.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    failed = Gauge(
        "gatecast_failed_runs",
        f"Runs that failed or crashed in the last {FAILED_DAYS} days.",
        ("flow",),
        registry=registry,
    )
    for flow in sorted({*KINDS, *counts}):
        failed.labels(flow).set(counts.get(flow, 0))
    path = directory / "gatecast.prom"
    write_to_textfile(str(path), registry)
    return path


def _latest_forecasts(directory: Path) -> pd.DataFrame:
    for path in sorted(directory.glob("*.parquet"), reverse=True):
        stored = read_file(path)
        if stored is not None:
            rows, _ = stored
            return rows.assign(step=rows.groupby("unique_id").cumcount() + 1)
    return pd.DataFrame(columns=["unique_id", "cutoff", "step", "value", "unit"])

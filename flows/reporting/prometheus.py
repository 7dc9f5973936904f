"""Forecasts and errors as a text file for Prometheus' node exporter (its textfile collector)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.flows.judging.live import read_file
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
    path = directory / f"gatecast-{name}.prom"
    write_to_textfile(str(path), registry)
    return path


def _latest_forecasts(directory: Path) -> pd.DataFrame:
    for path in sorted(directory.glob("*.parquet"), reverse=True):
        stored = read_file(path)
        if stored is not None:
            rows, _ = stored
            return rows.assign(step=rows.groupby("unique_id").cumcount() + 1)
    return pd.DataFrame(columns=["unique_id", "cutoff", "step", "value", "unit"])

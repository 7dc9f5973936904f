"""The verdict of a whole retrain on series whose best forecast is known, and where people read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gatecast.data.store import read_json, write_parquet
from gatecast.flows import monitor
from gatecast.flows.cli import app
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.judging.test_evaluation import frame_of, weekly

SMALL = ("--lookback", "14", "--hidden-size", "8", "--epochs", "3")
PLAIN = [
    "--window-scaling",
    "none",
    "--season",
    "none",
    "--residual",
    "none",
    "--linear-skip",
    "none",
    "--loss",
    "mse",
    "--fit-until",
    "training",
]
"""The method of 0.1.0, which begins with nothing"""


def gatecast(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def weeks(tmp_path: Path) -> Path:
    """Two series of a weekly pattern, made by a seeded function."""
    rng = np.random.default_rng(0)
    path = tmp_path / "weeks.csv"
    frame_of(weekly(rng, 700), weekly(rng, 700)).to_csv(path, index=False)
    return path


def test_a_model_that_has_hardly_learnt_a_week_loses_to_the_week_before(
    server: str, workspace: Workspace, weeks: Path
) -> None:
    printed = gatecast("retrain", "--path", str(weeks), "--horizon", "7", *SMALL, *PLAIN)
    registry = Registry(workspace, "weeks-7-steps")
    version = str(registry.champion())
    evaluation = registry.evaluation(version)
    verdict = evaluation["verdict"]
    assert verdict.startswith("The model loses to seasonal naive 7 (MASE ")
    assert "better on 0 % of 2 series and at " in verdict
    assert "the difference is more than luck (p = " in verdict
    assert evaluation["season"]["sentence"].startswith("Season of 7 rows (autocorrelation ")
    # The same sentence is everywhere.
    for output in (
        printed,
        gatecast("models", "list"),
        gatecast("models", "show", registry.name),
        gatecast("models", "show", registry.name, version),
        gatecast("forecast", "--name", registry.name),
        gatecast("monitor", "--name", registry.name, "--max-overdue", "100000"),
    ):
        assert verdict in output
    assert evaluation["season"]["sentence"] in printed
    (line,) = (registry.directory / "promotions.jsonl").read_text().splitlines()
    assert json.loads(line)["verdict"] == verdict
    (report,) = workspace.reports.glob("weeks-7-steps/*/report.html")
    assert verdict in report.read_text()
    assert read_json(workspace.reports / registry.name / "monitor" / "monitor.json")["verdict"] == verdict


@pytest.mark.parametrize(("share", "breached"), [(0.5, True), (0.0, False)])
def test_the_monitor_goes_by_the_best_baseline(
    server: str, workspace: Workspace, weeks: Path, monkeypatch: pytest.MonkeyPatch, share: float, breached: bool
) -> None:
    # Ridge regression sees no more than the model, to which a week is too long.
    gatecast("retrain", "--path", str(weeks), "--lookback", "6", "--hidden-size", "2", "--epochs", "1")
    registry = Registry(workspace, "weeks")
    plant_forecasts(workspace, registry, pd.read_csv(weeks, parse_dates=["ds"]), share)
    events: list[str] = []
    monkeypatch.setattr(monitor, "emit_event", lambda event, **_: events.append(event))
    result = monitor.monitor(MonitorSettings(name=registry.name, max_overdue=100_000))
    checks = {each["name"]: each for each in read_json(Path(result["check"]["report"]))["checks"]}
    for name in ("live skill", "the champion's own skill"):
        assert checks[name]["breached"] is breached
        assert " of seasonal naive 7, 80 rows, p = " in checks[name]["note"]
    outcome = "loses to" if breached else "beats"
    assert result["check"]["verdict"].startswith(f"The model {outcome} seasonal naive 7 (MASE ")
    assert ("live skill" in {each["name"] for each in result["check"]["breaches"]}) is breached
    assert (result["roll_back"] is not None) is breached
    if breached:
        assert events == ["gatecast.monitor.breach"]
        assert "no former champion: MASE " in result["roll_back"]["summary"]
    naive_alone = monitor.monitor(MonitorSettings(name=registry.name, skill_against="naive"))
    checks = {each["name"]: each for each in read_json(Path(naive_alone["check"]["report"]))["checks"]}
    assert not checks["live skill"]["breached"]
    assert " of last value, 80 rows" in checks["live skill"]["note"]


def plant_forecasts(workspace: Workspace, registry: Registry, frame: pd.DataFrame, share: float) -> None:
    """Write forecasts of 40 days, with nearly no error but a share of that of the last value."""
    rng = np.random.default_rng(0)
    for _, rows in frame.groupby("unique_id"):
        rows["y_hat"] = rows["y"] + 0.3 * rng.normal(size=len(rows))
        frame.loc[rows.index, "y_hat"] = (1 - share) * rows["y_hat"] + share * rows["y"].shift()
        frame.loc[rows.index, "cutoff"] = rows["ds"].shift()
    metadata = {"model": registry.name, "version": str(registry.champion()), "target": "y"}
    for day in frame["ds"].unique()[-40:]:
        rows = frame.loc[frame["ds"] == day, ["unique_id", "cutoff", "ds", "y_hat"]]
        path = workspace.forecasts / registry.name / f"{rows['cutoff'].iloc[0]:%Y-%m-%d}.parquet"
        write_parquet(rows.assign(value=rows["y_hat"], unit=""), path, metadata)


def test_a_set_season_is_told_and_used(server: str, workspace: Workspace, weeks: Path) -> None:
    printed = gatecast("retrain", "--path", str(weeks), "--seasonality", "7,14", *SMALL)
    assert "Season of 7 and 14 rows, as set." in printed
    for label in ("seasonal naive 7 ", "seasonal naive 14 ", "ridge regression", "last value", "window mean", "drift"):
        assert label in printed


def test_what_is_missing_is_told(server: str, workspace: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "zeros.csv"
    pd.concat([frame_of(np.zeros(300))]).to_csv(path, index=False)
    printed = gatecast("retrain", "--path", str(path), *SMALL)
    assert "No series changes over its training rows, so errors are not scaled." in printed
    assert "(MAE 0 against " in printed
    frame_of(rng.normal(size=300)).to_csv(path, index=False)
    printed = gatecast("retrain", "--path", str(path), "--seasonality", "400", "--name", "long", *SMALL)
    assert "No series has a full season of 400 training rows, so it is of no use." in printed


def test_a_horizon_too_long_to_hold_anything_back_is_one_sentence(
    server: str, workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "short.csv"
    frame_of(np.random.default_rng(1).normal(size=300)).to_csv(path, index=False)
    options = ("--path", str(path), "--horizon", "200", "--lookback", "14", "--hidden-size", "4", "--epochs", "1")
    done = CliRunner().invoke(app, ["retrain", *options], env={"COLUMNS": "300"})
    assert done.exit_code == 2, done.output
    (error,) = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert "leave 300 for training and 0 for validation" in error

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import tracking
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.runs import flat
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings


def test_nothing_is_tracked_unless_a_server_is_named(
    trained: tuple[Workspace, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained[1]["track"] is None
    monkeypatch.delenv(tracking.URI, raising=False)
    tracking.require()


def test_mlflow_has_to_be_installed_where_a_server_is_named(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.URI, "sqlite:///unused.db")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'gatecast\[mlflow\]'"):
        retrain(small_settings())
    assert not workspace.bars.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_version_is_one_run_with_parameters_figures_report_and_model(
    copied: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(tracking.URI, f"sqlite:///{tmp_path}/mlflow.db")
    first = retrain(small_settings())
    second = retrain(small_settings())
    assert first["track"]["run_id"] == second["track"]["run_id"]
    client = MlflowClient()
    experiment = client.get_experiment_by_name("sample-range")
    (run,) = client.search_runs([experiment.experiment_id])
    registry = Registry(copied, "sample-range")
    version = str(registry.champion())
    assert run.info.run_name == version
    assert run.info.status == "FINISHED"
    assert run.data.params["model.lookback"] == "8"
    assert run.data.tags["gatecast.data_hash"] == registry.lineage(version)["data_hash"]
    expected = {row["forecast"]: row["rmse"] for row in registry.evaluation(version)["scores"]}
    assert run.data.metrics["sp500/lstm/rmse"] == pytest.approx(expected["lstm"])
    assert run.data.metrics["sp500/naive/rmse"] == pytest.approx(expected["naive"])
    assert len(client.get_metric_history(run.info.run_id, "validation_loss")) == 4  # and epoch 0
    assert {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "report")} == {
        "forecast.png", "losses.png", "evaluation.json", "predictions.parquet",
    }  # fmt: skip
    assert "model/model.safetensors" in {file.path for file in client.list_artifacts(run.info.run_id, "model")}


@contextmanager
def port(*, answers: bool) -> Iterator[str]:
    """The address of a port of this machine that accepts and never answers, or that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if answers:
            yield address
    if not answers:
        yield address


def track(trained: tuple[Workspace, dict[str, Any]]) -> dict[str, Any]:
    workspace, result = trained
    steps = (result[step] for step in ("checkpoint", "evaluate", "promote"))
    return dict(tracking.track.fn(workspace, "sample-range", *steps))


@pytest.mark.parametrize("answers", [False, True])
def test_a_server_that_is_down_is_told_and_stops_nothing(
    trained: tuple[Workspace, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answers: bool,
) -> None:
    monkeypatch.setitem(tracking.IMPATIENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with port(answers=answers) as address:
        monkeypatch.setenv(tracking.URI, address.replace("//", "//me:hunter2@"))
        found = track(trained)
    assert found["run_id"] is None
    assert f" was not told of {trained[1]['checkpoint']['version']}: " in found["summary"]
    assert ("timed out" if answers else "Connection refused") in found["summary"]
    assert found["summary"] in caplog.text
    assert "hunter2" not in found["summary"]
    assert not set(tracking.IMPATIENT) & set(os.environ)


def test_a_server_that_takes_too_long_is_left(
    trained: tuple[Workspace, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.LIMIT, "0.1")
    with port(answers=True) as address:
        monkeypatch.setenv(tracking.URI, address)
        summary = track(trained)["summary"]
    assert "it did not answer within 0.1 s" in summary


def test_a_retrain_publishes_without_its_tracking_server(
    copied: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with port(answers=False) as address:
        monkeypatch.setenv(tracking.URI, address)
        result = retrain(small_settings())
    assert "was not told of" in result["track"]["summary"]
    assert Path(result["publish"]["report"]).exists()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(tracking.LIMIT, text)
    with pytest.raises(InputError, match=f"{tracking.LIMIT} is '{text}'; it should be a number of seconds"):
        tracking.require()


def test_nested_settings_have_flat_names() -> None:
    assert flat({"a": 1, "b": {"c": None, "d": {"e": (1,)}}}) == {"a": 1, "b.c": None, "b.d.e": (1,)}

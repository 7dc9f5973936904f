from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import SequenceSettings, read_sequences
from gatecast.data.store import read_parquet
from gatecast.flows import retrain as module
from gatecast.flows.engine.orchestration import flow
from gatecast.flows.engine.runs import one_at_a_time
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.last_runs import last_runs
from gatecast.flows.retrain import build_sequences, retrain, train
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Job
from tests.flows.conftest import contents, small_settings

STEPS = [
    "ingest",
    "choose",
    "build_sequences",
    "train",
    "evaluate",
    "checkpoint",
    "promote",
    "refit",
    "forecast",
    "publish",
]


def without(root: Path, *names: str) -> dict[str, bytes]:
    return {name: content for name, content in contents(root).items() if not any(part in name for part in names)}


def test_a_run_writes_what_its_steps_promise(trained: tuple[Workspace, dict[str, Any]]) -> None:
    _, result = trained
    assert [step["name"] for step in result["steps"]] == STEPS
    version = Path(result["checkpoint"]["path"])
    assert {path.name for path in version.iterdir()} >= {
        "model.json", "model.safetensors", "optimizer.safetensors", "evaluation.json", "settings.json", "lineage.json",
    }  # fmt: skip
    assert version.name.startswith("v0001-")
    assert read_sequences(Path(result["build_sequences"]["directory"])).columns[0] == "y"
    forecasts, metadata = read_parquet(Path(result["forecast"]["path"]))
    bounds = ["lo-80", "hi-80", "lo-95", "hi-95"]
    assert set(forecasts.columns) == {
        *("unique_id", "cutoff", "ds", "y_hat", "value", "unit"),
        *(f"{column}-{bound}" for column in ("y_hat", "value") for bound in bounds),
    }
    assert metadata["version"] == version.name
    assert result["forecast"]["sentences"][0].startswith("sp500: expected daily volatility")


def test_nothing_stored_is_pickled(trained: tuple[Workspace, dict[str, Any]]) -> None:
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    records = [path for path in PREFECT_LOCAL_STORAGE_PATH.value().glob("train-*") if path.is_file()]
    assert records
    for record in records:
        assert json.loads(record.read_text())["metadata"]["serializer"]["type"] == "hashed-json"


def test_every_task_run_is_on_record(trained: tuple[Workspace, dict[str, Any]]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])))
        completed = [run for run in flow_runs if run.state is not None and run.state.is_completed()]
        first = min(completed, key=lambda run: str(run.expected_start_time))
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[first.id])))
    assert len(runs) == len(STEPS)
    assert all(run.state is not None and run.state.is_completed() for run in runs)


def test_an_unchanged_run_is_answered_from_cache(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, first = in_trained
    # The sentence of the report on the champion has changed, and the last run is this one.
    changing = ("report.html", "/runs/", "overview.html", "standings.json")
    before = without(workspace.root, *changing)
    second = retrain(small_settings())
    cached = {step["name"] for step in second["steps"] if step["cached"]}
    assert cached == set(STEPS) - {"ingest", "choose", "promote", "publish"}
    assert second["checkpoint"] == first["checkpoint"]
    assert without(workspace.root, *changing) == before


def test_the_last_run_is_on_record(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, _ = in_trained
    before = last_runs(workspace, "sample-range")
    retrain(small_settings())
    after = last_runs(workspace, "sample-range")
    assert after["retrain"] > before["retrain"]
    assert after["forecast"] > before["forecast"]


def test_a_warm_start_begins_with_the_champion_and_is_on_record(server: str, workspace: Workspace) -> None:
    held_back = {"fit_until": "training"}  # a champion that has learnt the validation rows is no start
    champion = retrain(small_settings(model=held_back))["promote"]["champion"]
    registry = Registry(workspace, "sample-range")
    second = retrain(small_settings(model=held_back, warm_start=True))
    assert second["train"]["summary"].startswith(f"started from {champion}; ")
    version = second["checkpoint"]["version"]
    assert registry.lineage(version)["started_from"] == champion
    assert "started_from" not in registry.lineage(champion)
    epochs = [record.epoch for record in registry.model(version, FORECASTER).history]
    assert epochs == list(range(len(epochs)))
    assert Path(second["evaluate"]["losses"]).stat().st_size > 0
    if second["promote"]["champion"] == champion:
        third = retrain(small_settings(model=held_back, warm_start=True))
        assert {step["name"]: step["cached"] for step in third["steps"]}["train"]
        assert third["train"] == second["train"]


def test_a_warm_start_without_a_champion_is_cold_and_says_so(workspace: Workspace) -> None:
    result = retrain(small_settings(warm_start=True))
    assert result["train"]["summary"].startswith("started cold, since there is no champion yet; ")
    lineage = Registry(workspace, "sample-range").lineage(result["checkpoint"]["version"])
    assert lineage["started_from"] is None


def test_a_damaged_file_makes_its_step_run_again(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, first = in_trained
    weights = Path(first["checkpoint"]["path"]) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    second = retrain(small_settings())
    assert {step["name"]: step["cached"] for step in second["steps"]}["checkpoint"] is False
    assert second["checkpoint"]["version"] == first["checkpoint"]["version"]
    assert weights.read_bytes() == whole
    assert Registry(workspace, "sample-range").versions() == [first["checkpoint"]["version"]]


def test_force_runs_every_step_and_gives_the_same_version(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    _, first = in_trained
    second = retrain(small_settings(), force=True)
    assert not any(step["cached"] for step in second["steps"])
    assert second["checkpoint"]["version"] == first["checkpoint"]["version"]


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(
    trained: tuple[Workspace, dict[str, Any]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(module.TrainingProgress):
        def __call__(self, record: Any) -> None:
            super().__call__(record)
            if record.epoch == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "TrainingProgress", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            retrain(small_settings())
    (training,) = (workspace.models / "sample-range" / ".training").iterdir()
    assert {path.name for path in training.iterdir()} == {"epoch-0000", "epoch-0001", "epoch-0002"}
    resumed = retrain(small_settings(), resume=True)
    assert "went on" in resumed["train"]["summary"]
    expected = Path(trained[1]["checkpoint"]["path"], "model.safetensors").read_bytes()
    assert Path(resumed["checkpoint"]["path"], "model.safetensors").read_bytes() == expected
    assert resumed["checkpoint"]["version"] == trained[1]["checkpoint"]["version"]


def test_an_ensemble_is_one_version_and_resumed_to_the_same_bits(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(model={"n_models": 3, "max_epochs": 2})
    shown: list[tuple[int, int]] = []

    class Interrupting(module.TrainingProgress):
        def __call__(self, record: Any) -> None:
            super().__call__(record)
            shown.append((self.completed, self.total))
            if len(shown) == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "TrainingProgress", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            retrain(settings)
    assert [total for _, total in shown] == [6, 6, 6]
    resumed = retrain(settings, resume=True)
    assert resumed["train"]["summary"].startswith("went on with the interrupted training, 3 models side by side, the")
    version = Path(resumed["checkpoint"]["path"])
    written = {path.name: path.read_bytes() for path in version.glob("*.safetensors")}
    assert {"model.safetensors", "model-1.safetensors", "optimizer-2.safetensors"} <= set(written)
    model = Registry(workspace, "sample-range").model(version.name, FORECASTER)
    assert [member.settings.seed for member in model.members] == [0, 1, 2]
    forecasts, _ = read_parquet(Path(resumed["forecast"]["path"]))
    assert np.isfinite(forecasts["y_hat"]).all()
    again = retrain(settings, force=True)
    assert again["checkpoint"]["version"] == version.name
    assert {path.name: path.read_bytes() for path in version.glob("*.safetensors")} == written


def test_a_training_that_fails_is_tried_again_from_its_last_epoch(
    trained: tuple[Workspace, dict[str, Any]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Failing(module.TrainingProgress):
        def __call__(self, record: Any) -> None:
            super().__call__(record)
            if math.isfinite(record.seconds):  # that of an epoch read back from a checkpoint is not known
                seen.append(record.epoch)
                if seen == [0, 1, 2]:
                    raise OSError("the disk is full")

    monkeypatch.setattr(module, "TrainingProgress", Failing)
    result = retrain(small_settings())
    assert seen == [0, 1, 2, 3]
    assert "went on" in result["train"]["summary"]
    assert result["checkpoint"]["version"] == trained[1]["checkpoint"]["version"]


def test_a_run_over_its_time_limit_fails_and_loses_nothing(copied: Workspace) -> None:
    before = without(copied.root, ".training", "bars/", "sequences/")
    endless = small_settings(model={"max_epochs": 10**6, "patience": 10**6})
    state = retrain.with_options(timeout_seconds=3)(endless, return_state=True)
    assert state.name == "TimedOut"
    assert without(copied.root, ".training", "bars/", "sequences/") == before


def test_a_run_ends_as_cancelled_where_another_retrains_the_model(copied: Workspace) -> None:
    with one_at_a_time(copied, "sample-range", "cancel"):
        state = retrain(small_settings(), when_busy="cancel", return_state=True)
    assert (state.name, state.message) == ("Cancelled", "Another retrain of sample-range is under way.")


def test_without_resume_a_training_begins_anew(server: str, workspace: Workspace) -> None:
    job = Job(workspace, "model", "key")
    leftover = job.checkpoints / "epoch-0007"
    leftover.mkdir(parents=True)
    sequences = prepared(workspace)

    @flow
    def train_anew() -> None:
        train.fn(job, sequences, small_settings().model, resume=False)

    train_anew()
    assert not leftover.exists()


def prepared(workspace: Workspace) -> str:
    from gatecast.flows.ingest import ingest

    bars = ingest.fn(small_settings().data, workspace)
    windows = SequenceSettings(lookback=8, split=small_settings().resolved("bars").split)
    directory = workspace.sequences / "small"
    kept = workspace.sequences / ".small"
    return build_sequences.fn(bars["directory"], "range", "returns", windows, directory, kept)["directory"]


def test_a_series_frame_keeps_its_own_target(server: str, workspace: Workspace, tmp_path: Path) -> None:
    ds = pd.date_range("2020-01-01", periods=120, freq="D")
    frame = pd.DataFrame({"unique_id": "load", "ds": ds, "y": range(120), "temperature": 20.0})
    path = tmp_path / "Town load.csv"
    frame.to_csv(path, index=False)
    settings = small_settings(data=DataSettings(source="csv", path=path), model={"horizon": 2})
    result = retrain(settings)
    assert result["settings"]["name"] == "Town-load-2-steps"
    assert result["settings"]["target"] is None
    forecasts, _ = read_parquet(Path(result["forecast"]["path"]))
    assert list(forecasts["ds"]) == [pd.Timestamp("2020-04-30"), pd.Timestamp("2020-05-01")]
    assert (forecasts["value"] == forecasts["y_hat"]).all()


def test_too_short_data_changes_nothing_that_was_there(copied: Workspace) -> None:
    before = contents(copied.root)
    with pytest.raises(InputError, match="horizon 5000"):
        retrain(small_settings(model={"horizon": 5000}))
    after = contents(copied.root)
    assert {name: after[name] for name in before} == before


def test_settings_travel_through_the_flow_as_json() -> None:
    settings = small_settings().resolved("bars")
    assert RetrainSettings.model_validate(json.loads(json.dumps(settings.to_dict()))) == settings


def test_a_series_without_test_rows_is_named(workspace: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2020-01-01", periods=rows), "y": rng.normal(size=rows)})
        for name, rows in (("long", 200), ("short", 4))
    ]
    pd.concat(parts).to_csv(tmp_path / "uneven.csv", index=False)
    settings = small_settings(data={"source": "csv", "path": tmp_path / "uneven.csv"})
    assert retrain(settings)["evaluate"]["summary"].endswith("No test rows: short.")


def test_a_run_that_fails_after_the_promotion_rolls_it_back(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(copied, "sample-range")
    first = registry.champion()
    settings = small_settings(model={"max_epochs": 6})

    def fail(*arguments: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gatecast.flows.forecast.predict_next", fail)
        with pytest.raises(OSError, match="No space left"):
            retrain(settings)
    assert registry.champion() == first
    made, undone = registry.history()[-2:]
    assert (made["promoted"], made["champion"]) == (True, first)
    assert (undone["action"], undone["winner"]) == ("rollback", first)
    second = retrain(settings)
    assert registry.champion() == second["checkpoint"]["version"] != first


def test_a_first_run_that_fails_leaves_no_champion(
    workspace: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatecast.flows.forecast.predict_next", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retrain(small_settings())
    registry = Registry(workspace, "sample-range")
    assert registry.champion() is None
    assert len(registry.versions()) == 1


def test_another_gate_makes_no_other_version(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    _, first = in_trained
    second = retrain(small_settings(gate={"minimum_gain": 0.5}))
    assert {step["name"] for step in second["steps"] if step["cached"]} == set(STEPS) - {
        "ingest",
        "choose",
        "promote",
        "publish",
    }
    assert second["checkpoint"] == first["checkpoint"]

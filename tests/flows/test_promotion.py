from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.store import read_parquet, write_json
from flows import promotion
from flows.ingest import read_ingested
from flows.registry import Registry
from flows.settings import RetrainSettings, Workspace
from lstm import load
from tests.flows.conftest import small_settings

CHALLENGER = "v0002-bbbbbbbbbbbb"


@pytest.fixture
def registry(copied: Workspace) -> Registry:
    return Registry(copied.models / "sample-range")


@pytest.fixture
def frame(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_ingested(Path(trained[1]["ingest"]["directory"]))


@pytest.fixture
def predictions(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_parquet(Path(trained[1]["evaluate"]["predictions"]))[0]


def decide(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings | None = None
) -> promotion.Decision:
    return promotion.decide(registry, CHALLENGER, predictions, frame, settings or small_settings().resolved("bars"))


def test_the_first_version_is_promoted(workspace: Workspace, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    decision = decide(Registry(workspace.models / "new"), predictions, frame)
    assert decision.promoted
    assert "first version" in decision.reason


def test_an_equal_challenger_is_not_worse(registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    decision = decide(registry, predictions, frame)
    assert decision.promoted
    assert decision.champion == registry.champion()
    assert f"on {len(predictions):,} test rows" in decision.reason


def test_a_worse_challenger_is_refused(registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    decision = decide(registry, predictions.assign(lstm=predictions["lstm"] + 1), frame)
    assert not decision.promoted
    assert "which stays" in decision.reason


def test_a_champion_with_another_lookback_is_compared(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    settings = small_settings(model={"lookback": 12}).resolved("bars")
    assert "RMSE" in decide(registry, predictions, frame, settings).reason


def test_a_champion_of_another_target_stays(registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    decision = decide(registry, predictions, frame, small_settings(target="close").resolved("bars"))
    assert not decision.promoted
    assert decision.winner == registry.champion()
    assert "its target is range, not close" in decision.reason


def test_a_damaged_champion_is_replaced_where_no_other_version_is_whole(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    weights = registry.path(str(registry.champion())) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    decision = decide(registry, predictions, frame)
    assert decision.promoted
    assert "model.safetensors" in decision.reason


def test_the_newest_whole_version_stands_in_for_a_damaged_champion(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    whole = str(registry.champion())
    former = "v0099-aaaaaaaaaaaa"
    write_json(registry.directory / "champion.json", {"version": former})
    decision = decide(registry, predictions.assign(lstm=predictions["lstm"] + 1), frame)
    assert not decision.promoted
    assert decision.winner == whole
    registry.record(decision)
    assert registry.champion() == whole


def test_a_champion_of_series_that_the_challenger_lacks_stays(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    decision = decide(registry, predictions.assign(unique_id="other"), frame.assign(unique_id="other"))
    assert not decision.promoted
    assert "it forecasts sp500, for which the new model has no test rows" in decision.reason


def test_rows_that_the_champion_was_trained_on_do_not_count(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = predictions["ds"].sort_values().unique()
    middle, last = moments[len(moments) // 2], moments[-1]
    model = load(registry.path(str(registry.champion())))
    monkeypatch.setattr(promotion, "load", lambda path: model)
    model.boundaries = {**model.boundaries, "validation_end": str(middle)}
    later = int((predictions["ds"] > middle).sum())
    assert f"on {later:,} test rows" in decide(registry, predictions, frame).reason
    model.boundaries = {**model.boundaries, "validation_end": str(last)}
    decision = decide(registry, predictions, frame)
    assert not decision.promoted
    assert "trained on all of the present test rows" in decision.reason


def test_the_run_recorded_its_decision(trained: tuple[Workspace, dict[str, Any]]) -> None:
    history = trained[0].models / "sample-range" / "promotions.jsonl"
    first = json.loads(history.read_text().splitlines()[0])
    assert first["promoted"]
    assert first["version"] == trained[1]["checkpoint"]["version"]

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gatecast import Forecaster, load
from gatecast.data.errors import InputError
from gatecast.data.store import read_parquet, write_json
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.judging import promotion
from gatecast.flows.judging.comparison import Comparison, meet_forecaster
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings

CHALLENGER = "v0002-bbbbbbbbbbbb"


@pytest.fixture
def registry(copied: Workspace) -> Registry:
    return Registry(copied, "sample-range")


@pytest.fixture
def frame(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_ingested(Path(trained[1]["ingest"]["directory"]))


@pytest.fixture
def predictions(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_parquet(Path(trained[1]["evaluate"]["predictions"]))[0]


def decide(
    registry: Registry,
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    settings: RetrainSettings | None = None,
    **gate: Any,
) -> promotion.Decision:
    asked = GateSettings(**gate)

    def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
        return meet_forecaster(model, own, predictions, frame, settings or small_settings().resolved("bars"), asked)

    return promotion.decide(registry, CHALLENGER, FORECASTER, meet, asked)


def second_version(registry: Registry) -> str:
    """A whole copy of the champion under the next number."""
    champion = str(registry.champion())
    version = champion.replace("v0001", "v0002")
    shutil.copytree(registry.path(champion), registry.path(version))
    return version


def test_the_first_version_is_promoted(workspace: Workspace, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    decision = decide(Registry(workspace, "new"), predictions, frame)
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
    middle = moments[len(moments) // 2]
    last = moments[-1]
    model = load(registry.path(str(registry.champion())))
    monkeypatch.setattr(Registry, "model", lambda *version_and_kind: model)
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


def closer(predictions: pd.DataFrame, share: float) -> pd.DataFrame:
    """Forecasts whose every error is smaller by a share."""
    return predictions.assign(lstm=predictions["lstm"] + share * (predictions["y"] - predictions["lstm"]))


def test_the_gate_asks_for_a_minimum_gain(registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    better = closer(predictions, 0.03)
    refused = decide(registry, better, frame, minimum_gain=0.04)
    assert not refused.promoted
    assert "a gain of 4.00% is asked for and this is 3.00%" in refused.reason
    assert decide(registry, better, frame, minimum_gain=0.02).promoted
    assert refused.comparison is not None
    assert refused.comparison["gain"] == pytest.approx(0.03)


@pytest.mark.parametrize("test", ["diebold-mariano", "bootstrap"])
def test_the_gate_asks_whether_the_gain_is_luck(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame, test: str
) -> None:
    assert decide(registry, closer(predictions, 0.1), frame, test=test).promoted
    lucky = predictions.copy()
    row = (lucky["y"] - lucky["lstm"]).abs().idxmax()
    lucky.loc[row, "lstm"] = lucky.loc[row, "y"]
    assert decide(registry, lucky, frame).promoted
    refused = decide(registry, lucky, frame, test=test)
    assert not refused.promoted
    assert "the gain may be luck" in refused.reason


def test_a_person_promotes_and_rolls_back(registry: Registry) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    assert promotion.promote(registry, second, "I like it").winner == second
    assert registry.champion() == second
    assert "already" in promotion.promote(registry, second).reason
    decision = promotion.roll_back(registry)
    assert (decision.winner, decision.action) == (first, "rollback")
    assert registry.champion() == first
    with pytest.raises(InputError, match="no former champion"):
        promotion.roll_back(registry)
    assert registry.champion() == first
    assert [entry["action"] for entry in registry.history()] == ["gate", "manual", "rollback"]


def test_a_damaged_version_is_not_promoted_and_not_gone_back_to(registry: Registry) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    promotion.promote(registry, second)
    weights = registry.path(first) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        promotion.promote(registry, first)
    with pytest.raises(InputError, match="no former champion"):
        promotion.roll_back(registry)
    assert registry.champion() == second


def test_a_rollback_leaves_a_later_champion_alone(registry: Registry) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    promotion.promote(registry, second)
    assert not promotion.roll_back(registry, "late", expected=first).promoted
    promotion.undo(registry, first, None, "late")
    assert registry.champion() == second

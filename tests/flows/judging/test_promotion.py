from __future__ import annotations

import json
import os
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
from gatecast.flows.registry.measures import MEASURES, Standing
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


def scored(monkeypatch: pytest.MonkeyPatch, best: bool, naive: bool = False) -> None:
    """Let every version lose to its best baseline, to the naive forecast, or to none."""

    def standing(registry: Registry, version: str, against: str = "best_baseline") -> Standing:
        loses = naive if against == "naive" else best
        return Standing("last value", MEASURES["MASE"], 2.44 if loses else 0.5, 1.05, loses, 0.001, 40, 8)

    monkeypatch.setattr(Registry, "standing", standing)


def test_a_first_version_that_loses_is_promoted_and_marked(
    workspace: Workspace, predictions: pd.DataFrame, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, best=True)
    decision = decide(Registry(workspace, "new"), predictions, frame)
    assert decision.promoted
    assert f"{CHALLENGER} loses to last value (MASE 2.4400 against 1.0500; p = 0.001)." in decision.reason
    assert decision.loses_to is not None
    assert (decision.loses_to["value"], decision.loses_to["other"]) == (2.44, 1.05)


@pytest.mark.parametrize(
    ("must_beat", "loses", "promoted"),
    [
        ("best_baseline", {"best": True}, False),
        ("best_baseline", {"best": False}, True),
        ("naive", {"best": True}, True),
        ("naive", {"best": True, "naive": True}, False),
    ],
)
def test_the_gate_says_what_a_version_must_not_lose_to(
    registry: Registry,
    workspace: Workspace,
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    must_beat: str,
    loses: dict[str, bool],
    promoted: bool,
) -> None:
    scored(monkeypatch, **loses)
    first = decide(Registry(workspace, "new"), predictions, frame, must_beat=must_beat)
    later = decide(registry, closer(predictions, 0.1), frame, must_beat=must_beat)
    assert (first.promoted, later.promoted) == (promoted, promoted)
    assert first.winner == (CHALLENGER if promoted else None)
    assert later.winner == (CHALLENGER if promoted else later.champion)
    for decision in (first, later):
        assert ("loses to last value (MASE 2.4400 against 1.0500" in decision.reason) == loses["best"]


def test_a_version_stands_against_its_best_baseline_and_the_naive_forecast(registry: Registry) -> None:
    version = str(registry.champion())
    evaluation = registry.evaluation(version)
    for against, key in (("best_baseline", "judged"), ("naive", "judged_against_naive")):
        standing = registry.standing(version, against)  # type: ignore[arg-type]
        assert standing is not None
        assert standing.loses == (evaluation[key]["outcome"] == "worse")
        assert (standing.value, standing.other) == (evaluation[key]["score"], evaluation[key]["best_score"])
        assert (standing.origins, standing.needed) == (evaluation[key]["origins"], 8)
    assert evaluation["judged_against_naive"]["best"] == "naive"


def test_a_pinned_champion_stays_until_it_is_unpinned(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    pinned = promotion.pin(registry, second, "it is proven")
    assert (pinned.winner, pinned.action, registry.champion(), registry.is_pinned()) == (second, "pin", second, True)
    assert "already" in promotion.pin(registry, second).reason
    better = predictions.assign(lstm=predictions["y"])
    settings = small_settings().resolved("bars")
    challenger = "v0003-cccccccccccc"

    def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
        return meet_forecaster(model, own, better, frame, settings)

    refused = registry.settle(lambda: promotion.decide(registry, challenger, FORECASTER, meet))
    assert not refused.promoted
    assert "which stays since it is pinned: RMSE 0 against" in refused.reason
    assert registry.history()[-1]["pinned"]
    assert promotion.roll_back(registry, "monitor", expected=second).winner == second
    promotion.undo(registry, second, first, "the run failed")
    for by_hand in (lambda: promotion.promote(registry, first), lambda: promotion.roll_back(registry)):
        with pytest.raises(InputError, match=f"{second} of sample-range is pinned; pin another version"):
            by_hand()
    assert (registry.champion(), registry.is_pinned()) == (second, True)
    promotion.unpin(registry)
    with pytest.raises(InputError, match="has no pinned version"):
        promotion.unpin(registry)
    assert (registry.champion(), registry.is_pinned()) == (second, False)
    assert registry.settle(lambda: promotion.decide(registry, challenger, FORECASTER, meet)).promoted
    assert [entry["action"] for entry in registry.history()] == ["gate", "pin", "gate", "unpin", "gate"]


def test_a_pin_survives_a_damaged_pointer_and_a_damaged_champion(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    second = second_version(registry)
    promotion.pin(registry, second)
    pointer = registry.directory / "champion.json"
    pointer.write_text("{")
    assert (registry.champion(), registry.is_pinned()) == (second, True)
    with registry.locked():
        assert (registry.champion(), registry.is_pinned()) == (second, True)
    assert json.loads(pointer.read_text())["pinned"]
    weights = registry.path(second) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    decision = decide(registry, predictions, frame)
    assert decision.winner == second
    assert f"{second} stays since it is pinned" in decision.reason


@pytest.mark.parametrize("write", ["promotions.jsonl", "champion.json"])
def test_a_pin_that_is_killed_leaves_the_former_champion_or_the_new_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    real = os.replace

    def killed(source: Any, target: Any) -> None:
        if Path(target).name == write:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            promotion.pin(registry, second)
    assert (registry.champion(), registry.is_pinned()) == (first, False)
    promotion.pin(registry, second)
    assert (registry.champion(), registry.is_pinned()) == (second, True)


def test_a_rollback_by_hand_lasts(registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame) -> None:
    first = str(registry.champion())
    promotion.promote(registry, second_version(registry))
    promotion.roll_back(registry, pinned=True)
    assert (registry.champion(), registry.is_pinned()) == (first, True)
    assert not decide(registry, closer(predictions, 0.2), frame).promoted


def test_what_was_rolled_back_is_not_promoted_again_by_the_gate(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    second = second_version(registry)
    promotion.promote(registry, second)
    promotion.roll_back(registry, "the monitor found it worse", expected=second)
    assert not registry.is_pinned()
    assert registry.rolled_back() == [second]
    better = closer(predictions, 0.2)
    settings = small_settings().resolved("bars")

    def again(version: str) -> promotion.Decision:
        def meet(model: Forecaster, own: RetrainSettings) -> Comparison:
            return meet_forecaster(model, own, better, frame, settings)

        return promotion.decide(registry, version, FORECASTER, meet)

    refused = again(second)
    assert not refused.promoted
    assert f"{second} was rolled back" in refused.reason
    third = second.replace("v0002", "v0003")
    shutil.copytree(registry.path(second), registry.path(third))
    refused = again(third)
    assert not refused.promoted
    assert f"{third} has the data and settings of {second}, which was rolled back" in refused.reason
    write_json(registry.path(third) / "lineage.json", {**registry.lineage(third), "data_hash": "later"})
    assert again(CHALLENGER).promoted
    promotion.promote(registry, second)
    assert registry.rolled_back() == []


def test_a_failed_run_is_no_rollback_of_its_recipe(registry: Registry) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    promotion.promote(registry, second)
    promotion.undo(registry, second, first, "the run failed")
    assert registry.champion() == first
    assert registry.rolled_back() == []


def test_too_few_origins_are_told_instead_of_a_p_value(
    registry: Registry, predictions: pd.DataFrame, frame: pd.DataFrame
) -> None:
    few = predictions[predictions["cutoff"].isin(sorted(predictions["cutoff"].unique())[:3])]
    better = closer(few, 0.5)
    promoted = decide(registry, better, frame)
    assert promoted.promoted
    assert "too few origins to tell (3, where 8 are needed)" in promoted.reason
    assert "p = " not in promoted.reason.split(" loses to ")[0]
    assert promoted.comparison is not None
    assert promoted.comparison["p_value"] is None
    assert (promoted.comparison["origins"], promoted.comparison["needed"]) == (3, 8)
    refused = decide(registry, better, frame, test="bootstrap")
    assert not refused.promoted
    assert "since bootstrap has too few origins to tell (3, where 8 are needed)" in refused.reason


def test_a_rollback_leaves_a_later_champion_alone(registry: Registry) -> None:
    first = str(registry.champion())
    second = second_version(registry)
    promotion.promote(registry, second)
    assert not promotion.roll_back(registry, "late", expected=first).promoted
    promotion.undo(registry, first, None, "late")
    assert registry.champion() == second

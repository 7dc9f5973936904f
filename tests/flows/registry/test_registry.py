from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.registry.catalogue import champions, find_registry, models
from gatecast.flows.registry.decisions import Decisions
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training.checkpoint import Checkpoint, fingerprint, write
from tests.damage import HARM_NAMES, HARMS, Harm, one_bit


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Workspace(tmp_path), "model")


def candidate(tmp_path: Path, text: str = "weights") -> Path:
    path = tmp_path / "models" / "model" / "candidate"
    path.mkdir(parents=True)
    (path / "model.json").write_text(text)
    return path


def test_versions_are_numbered_and_carry_the_fingerprint(registry: Registry, tmp_path: Path) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {"parent": None})
    second = registry.add(candidate(tmp_path), "b" * 12, {"parent": first})
    assert registry.versions() == [first, second] == [f"v0001-{'a' * 12}", f"v0002-{'b' * 12}"]
    lineage = json.loads((registry.path(second) / "lineage.json").read_text())
    assert lineage["parent"] == first
    assert "created_at" in lineage


def test_the_same_fingerprint_is_the_same_version_and_is_repaired(registry: Registry, tmp_path: Path) -> None:
    version = registry.add(candidate(tmp_path), "a" * 12, {})
    lineage = (registry.path(version) / "lineage.json").read_bytes()
    (registry.path(version) / "model.json").write_text("damaged")
    assert registry.add(candidate(tmp_path), "a" * 12, {}) == version
    assert (registry.path(version) / "model.json").read_text() == "weights"
    assert (registry.path(version) / "lineage.json").read_bytes() == lineage
    assert registry.versions() == [version]


def test_what_a_killed_run_left_of_a_version_is_not_in_the_way(registry: Registry) -> None:
    left = registry.candidate()
    left.mkdir(parents=True)
    (left / "optimizer.safetensors").write_bytes(b"half")
    half = registry.directory / "..candidate.0123abcd.tmp"
    half.mkdir()
    assert registry.candidate() == left
    assert not left.exists()
    assert not half.exists()
    assert registry.versions() == []


def test_the_lock_of_a_model_follows_no_link_and_truncates_nothing(registry: Registry, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    registry.directory.mkdir(parents=True)
    (registry.directory / ".lock").symlink_to(precious)
    with pytest.raises(InputError, match="is a link"), registry.locked():
        pass
    assert precious.read_text() == "kept"


def test_there_is_no_champion_before_a_promotion(registry: Registry) -> None:
    assert registry.champion() is None
    assert registry.versions() == []


def test_a_promotion_moves_the_pointer_and_is_kept(registry: Registry, tmp_path: Path) -> None:
    version = registry.add(candidate(tmp_path), "a" * 12, {})
    registry.record(Decision(version, None, True, "the first", version))
    assert registry.champion() == version
    assert champions(Workspace(tmp_path)) == ["model"]


def test_a_refusal_leaves_the_pointer_and_is_kept(registry: Registry, tmp_path: Path) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {})
    registry.record(Decision(first, None, True, "the first", first))
    pointer = (registry.directory / "champion.json").read_bytes()
    registry.record(Decision(f"v0002-{'b' * 12}", first, False, "worse", first))
    assert (registry.directory / "champion.json").read_bytes() == pointer
    lines = (registry.directory / "promotions.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["the first", "worse"]


@pytest.mark.parametrize("text", ["", "[]", '{"version": "../elsewhere"}', '{"version": null}'])
def test_a_damaged_pointer_without_decisions_is_named_with_what_heals_it(registry: Registry, text: str) -> None:
    registry.directory.mkdir(parents=True)
    pointer = registry.directory / "champion.json"
    pointer.write_text(text)
    with pytest.raises(InputError, match=r"champion\.json .* with 'gatecast models promote model VERSION'"):
        registry.champion()
    with registry.locked():
        assert pointer.read_text() == text


def saved(registry: Registry, settings: bytes = b"{}") -> str:
    """Add a version that is a checkpoint."""
    extra = {"settings.json": settings, "evaluation.json": b'{"verdict": "good"}'}
    path = write(Checkpoint("Forecaster", {}, {}, extra), registry.candidate())
    return registry.add(path, fingerprint(path), {"parent": registry.champion(), "data": "there"})


@pytest.mark.parametrize("harm", [*HARMS, one_bit, Path.unlink])
@pytest.mark.parametrize("name", ["settings.json", "evaluation.json", "model.json"])
def test_damaged_settings_and_scores_are_named_with_what_heals_them(registry: Registry, name: str, harm: Harm) -> None:
    version = saved(registry)
    assert registry.settings(version) == RetrainSettings()
    assert registry.evaluation(version) == {"verdict": "good"}
    path = registry.path(version) / name
    whole = path.read_bytes()
    harm(path)
    for read in (registry.settings, registry.evaluation):
        if name in ("model.json", f"{read.__name__}.json"):
            with pytest.raises(InputError) as caught:
                read(version)
            assert str(path) in str(caught.value)
            assert str(caught.value).endswith("choose another version with 'gatecast models promote model VERSION'.")
        else:
            read(version)
    assert saved(registry) == version
    assert path.read_bytes() == whole


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_lineage_is_set_aside_and_written_again_with_its_version(
    registry: Registry, harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    version = saved(registry)
    reign(registry, version)
    path = registry.path(version) / "lineage.json"
    whole = registry.lineage(version)
    harm(path)
    damaged = path.read_bytes()
    assert registry.lineage(version) == registry.lineage(version) == {}
    aside = path.with_name("lineage.json.damaged")
    assert aside.read_bytes() == damaged
    assert caplog.messages == [f"{path} is damaged, and was set aside as {aside.name}."]
    with pytest.raises(InputError, match="is lost, and with it where its data are; retrain"):
        registry.data(version)
    assert saved(registry) == version
    again = registry.lineage(version)
    assert again == {**whole, "created_at": again["created_at"]}
    assert registry.data(version) == registry.workspace.root / "there"


def test_no_flipped_bit_makes_a_decision_another_one(registry: Registry) -> None:
    version = saved(registry)
    reign(registry, version)
    history = registry.directory / "promotions.jsonl"
    expected = registry.history()
    whole = history.read_bytes()
    for place in range(0, len(whole), 2):
        history.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = registry.history()
        known = [{name: entry.get(name) for name in expected[0]} for entry in found]
        assert known == expected[: len(found)], place
    history.unlink()
    history.mkdir()
    with pytest.raises(InputError, match=r"promotions\.jsonl cannot be read"):
        registry.history()


def test_no_flipped_bit_makes_a_lineage_another_one(registry: Registry) -> None:
    version = saved(registry)
    path = registry.path(version) / "lineage.json"
    whole = path.read_bytes()
    expected = registry.lineage(version)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = registry.lineage(version)
        assert found == {} or found.items() >= expected.items(), place
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("forged", [{"parent": 5}, {"created_at": ["x"]}, {"last": {}}, {"data": "a\x00b"}])
def test_a_lineage_of_another_form_is_damaged(registry: Registry, forged: dict[str, object]) -> None:
    version = saved(registry)
    (registry.path(version) / "lineage.json").write_text(json.dumps(forged))
    assert registry.lineage(version) == {}


def test_a_lineage_without_a_hash_is_an_older_one(registry: Registry) -> None:
    version = saved(registry)
    path = registry.path(version) / "lineage.json"
    expected = registry.lineage(version)
    path.write_text(json.dumps(expected))
    assert registry.lineage(version) == expected


def test_no_flipped_bit_makes_another_version_the_champion(registry: Registry, tmp_path: Path) -> None:
    first, second = versions(registry, tmp_path, 2)
    reign(registry, first, second)
    pointer = registry.directory / "champion.json"
    whole = pointer.read_bytes()
    for place in range(len(whole)):
        pointer.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert registry.champion() == second, place


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_pointer_is_made_again_from_the_decisions(
    registry: Registry, tmp_path: Path, harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = versions(registry, tmp_path, 2)
    reign(registry, first, second)
    pointer = registry.directory / "champion.json"
    whole = pointer.read_bytes()
    harm(pointer)
    assert registry.champion() == second
    assert caplog.messages == [f"{pointer} is damaged; promotions.jsonl says that {second} is the champion."]
    with registry.locked():
        assert pointer.read_bytes() == whole
    assert registry.champion() == second


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_damaged_decisions_are_set_aside_and_what_is_whole_of_them_stays(
    registry: Registry, tmp_path: Path, harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = versions(registry, tmp_path, 2)
    reign(registry, first, second)
    path = registry.directory / "promotions.jsonl"
    whole = registry.history()
    harm(path)
    damaged = path.read_bytes()
    left = registry.history()
    assert left == whole[: len(left)]
    assert f"{path} is damaged; {len(left)} of its" in caplog.text
    assert registry.champion() == second
    reign(registry, first)
    assert path.with_name("promotions.jsonl.damaged").read_bytes() == damaged
    assert [entry["winner"] for entry in registry.history()] == [entry["winner"] for entry in left] + [first]
    assert registry.champion() == first


def test_one_damaged_line_leaves_the_others(registry: Registry, tmp_path: Path) -> None:
    made = versions(registry, tmp_path, 3)
    reign(registry, *made)
    path = registry.directory / "promotions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"winner": 3}\n' + lines[2])
    assert registry.former_champions() == [made[0]]
    (registry.directory / "champion.json").write_text("")
    assert registry.champion() == made[2]


def test_where_the_last_decision_is_damaged_too_only_a_person_says_who_is_the_champion(
    registry: Registry, tmp_path: Path
) -> None:
    made = versions(registry, tmp_path, 2)
    reign(registry, *made)
    pointer = registry.directory / "champion.json"
    path = registry.directory / "promotions.jsonl"
    pointer.write_text("")
    truncated_line = path.read_bytes()[:-9]
    path.write_bytes(truncated_line)
    with registry.locked():
        assert (pointer.read_text(), path.read_bytes()) == ("", truncated_line)
    with pytest.raises(InputError, match="gatecast models promote model VERSION"):
        registry.champion()
    registry.record(Decision(made[1], None, True, "by hand", made[1], "manual"))
    assert registry.champion() == made[1]
    assert registry.former_champions() == [made[0]]


def versions(registry: Registry, tmp_path: Path, count: int) -> list[str]:
    return [registry.add(candidate(tmp_path, str(k)), f"{k:012x}", {}) for k in range(count)]


def reign(registry: Registry, *winners: str, action: str = "gate") -> None:
    for winner in winners:
        registry.record(Decision(winner, registry.champion(), True, "", winner, action))  # type: ignore[arg-type]


def test_former_champions_are_those_that_a_rollback_goes_to(registry: Registry, tmp_path: Path) -> None:
    a, b, c = versions(registry, tmp_path, 3)
    assert registry.former_champions() == []
    reign(registry, a, b, c)
    assert registry.former_champions() == [b, a]
    reign(registry, b, action="rollback")
    assert registry.former_champions() == [a]
    reign(registry, c)
    assert registry.former_champions() == [b, a]
    shutil.rmtree(registry.path(b))
    assert registry.former_champions() == [a]


def test_a_first_promotion_that_is_taken_back_leaves_no_champion(registry: Registry, tmp_path: Path) -> None:
    (a,) = versions(registry, tmp_path, 1)
    reign(registry, a)
    registry.record(Decision(a, a, False, "taken back", None, "rollback"))
    assert registry.champion() is None
    assert registry.former_champions() == []


@pytest.mark.parametrize("text", ["2", "0002", "v2", "v0002", f"v0002-{1:012x}", "champion"])
def test_a_version_is_found_as_people_name_it(registry: Registry, tmp_path: Path, text: str) -> None:
    _, second, _ = versions(registry, tmp_path, 3)
    reign(registry, second)
    assert registry.find(text) == second


@pytest.mark.parametrize("text", ["", "0", "9", "v", "-1", "../v0001", "²"])
def test_a_version_that_is_not_there_is_named(registry: Registry, tmp_path: Path, text: str) -> None:
    versions(registry, tmp_path, 2)
    with pytest.raises(InputError, match="choose from the latest: v0001"):
        registry.find(text)


def test_pruning_keeps_the_newest_the_champion_and_the_one_before(registry: Registry, tmp_path: Path) -> None:
    made = versions(registry, tmp_path, 6)
    reign(registry, made[0], made[2])
    leftover = registry.directory / f".v0007-{7:012x}.pruned"
    leftover.mkdir()
    trainings = [registry.training_directory(str(k)) for k in range(6)]
    for age, training in enumerate(trainings):
        training.mkdir(parents=True)
        os.utime(training, (age, age))
    assert registry.prune(2) == [made[1], made[3]]
    assert registry.versions() == [made[0], made[2], made[4], made[5]]
    assert registry.champion() == made[2]
    assert not leftover.exists()
    assert [training.exists() for training in trainings] == [False] * 2 + [True] * 4
    assert registry.prune(2) == []


def test_the_models_of_a_workspace(registry: Registry, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert models(workspace) == []
    with pytest.raises(InputError, match="run 'gatecast retrain' first"):
        find_registry(workspace, "model")
    versions(registry, tmp_path, 1)
    (workspace.models / "empty").mkdir()
    assert models(workspace) == ["model"]
    assert find_registry(workspace, "model").versions() == registry.versions()
    for wrong in ("other", "../models/model"):
        with pytest.raises(InputError, match="choose from model"):
            find_registry(workspace, wrong)


# ---------------------------------------------------------------- a kill between the decision and its effect


class KilledError(BaseException):
    """What stands for a kill."""


def kill(*_: object) -> None:
    raise KilledError


def decided(registry: Registry, version: str, winner: str | None, **more: Any) -> Decision:
    return Decision(version, registry.champion(), True, f"{version}: {winner}", winner, **more)


@pytest.mark.parametrize(
    ("winner", "more"),
    [("second", {}), ("second", {"action": "pin", "pinned": True}), (None, {"action": "rollback"})],
    ids=["promoted", "pinned", "taken back"],
)
def test_a_decision_whose_process_was_killed_takes_effect_once(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winner: str | None, more: dict[str, Any]
) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {})
    registry.record(decided(registry, first, first))
    second = registry.add(candidate(tmp_path, "more"), "b" * 12, {})
    decision = decided(registry, second, second if winner else None, **more)
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Decisions, "_point_to", kill)
        registry.record(decision)
    assert registry.champion() == first
    with registry.locked():
        assert registry.champion() == decision.winner
        assert registry.is_pinned() == bool(more.get("pinned"))
    registry.settle(lambda: Decision(second, registry.champion(), False, "It is the champion already.", second))
    assert [entry["winner"] for entry in registry.history()][:2] == [first, decision.winner]


def test_the_first_decision_takes_effect_too(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {})
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Decisions, "_point_to", kill)
        registry.record(decided(registry, first, first))
    with registry.locked():
        assert registry.champion() == first
    assert len(registry.history()) == 1


def test_the_same_verdict_of_the_gate_after_a_kill_is_on_record_once(registry: Registry, tmp_path: Path) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {})
    registry.record(decided(registry, first, first))
    second = registry.add(candidate(tmp_path, "more"), "b" * 12, {})
    for _ in range(2):  # the run that was killed after its verdict, and the one that was started again
        registry.settle(lambda: Decision(second, first, False, "It is worse.", first, comparison={"p": 0.5}))
    registry.settle(lambda: Decision(second, first, False, "It is worse on other data.", first))
    assert [entry["reason"] for entry in registry.history()][1:] == ["It is worse.", "It is worse on other data."]


def test_a_pointer_that_is_newer_than_the_history_stays(registry: Registry, tmp_path: Path) -> None:
    first = registry.add(candidate(tmp_path), "a" * 12, {})
    registry.record(decided(registry, first, first))
    second = registry.add(candidate(tmp_path, "more"), "b" * 12, {})
    pointer = {"promoted_at": "2999-01-01T00:00:00+00:00", "version": second}
    (registry.directory / "champion.json").write_text(json.dumps(pointer))
    with registry.locked():
        assert registry.champion() == second

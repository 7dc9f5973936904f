from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import InputError
from flows.registry import Decision, Registry, champions
from flows.settings import Workspace


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Workspace(tmp_path).models / "model")


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
def test_a_damaged_pointer_is_named(registry: Registry, text: str) -> None:
    registry.directory.mkdir(parents=True)
    (registry.directory / "champion.json").write_text(text)
    with pytest.raises(InputError, match=r"champion\.json"):
        registry.champion()


def test_settings_of_another_time_are_named(registry: Registry, tmp_path: Path) -> None:
    version = registry.add(candidate(tmp_path), "a" * 12, {})
    (registry.path(version) / "settings.json").write_text('{"unknown": 1}')
    with pytest.raises(InputError, match=r"settings\.json"):
        registry.settings(version)

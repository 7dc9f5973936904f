from __future__ import annotations

import json

import pytest

from gatecast.data.errors import DamagedError, FormatError, KindError
from gatecast.flows.registry.kinds import FORECASTER, KINDS, LANGUAGE_MODEL, TAGGER, ModelKind
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.flows.settings.text import TextSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.models import MODELS
from tests.flows.life import of_another_gatecast

MODELS_OF_KINDS = [("range", FORECASTER), ("sales", FORECASTER), ("rhyme", LANGUAGE_MODEL), ("names", TAGGER)]
SETTINGS = {FORECASTER: RetrainSettings, LANGUAGE_MODEL: TextSettings, TAGGER: TaggingSettings}


def registry_in(workspace: Workspace, name: str) -> Registry:
    return Registry(workspace, name)


def test_every_model_has_a_kind() -> None:
    assert list(KINDS) == [model.kind for model in MODELS]


@pytest.mark.parametrize(("name", "kind"), MODELS_OF_KINDS)
def test_versions_are_read_by_their_kind(every_kind: Workspace, name: str, kind: ModelKind) -> None:
    registry = registry_in(every_kind, name)
    for version in registry.versions():
        assert registry.kind_of(version) is kind
        assert registry.model(version, kind).kind == kind.name
        assert isinstance(registry.settings(version, kind), SETTINGS[kind])
        test_data, rows, verdict = registry.scores(version)
        assert test_data
        assert rows
        assert verdict == registry.evaluation(version)["verdict"]
    assert str(registry.figure(version)).startswith(registry.figure(version).measure.name)


@pytest.mark.parametrize(("name", "kind"), MODELS_OF_KINDS)
def test_another_kind_is_not_taken_for_damage(every_kind: Workspace, name: str, kind: ModelKind) -> None:
    registry = registry_in(every_kind, name)
    other = TAGGER if kind is FORECASTER else FORECASTER
    for read in (registry.kind_of, registry.model, registry.settings):
        with pytest.raises(KindError, match=f"is a {kind.called}, not a {other.called}"):
            read(registry.versions()[0], other)


@pytest.mark.parametrize(("name", "kind"), MODELS_OF_KINDS)
@pytest.mark.parametrize("file", ["model.json", "model.safetensors", "settings.json", "evaluation.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_damage_is_named(every_kind: Workspace, name: str, kind: ModelKind, file: str, content: bytes | None) -> None:
    registry = registry_in(every_kind, name)
    version = registry.versions()[0]
    path = registry.path(version) / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DamagedError, match=file) as caught:
        (registry.model(version, kind), registry.settings(version, kind), registry.figure(version))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), MODELS_OF_KINDS)
def test_what_another_gatecast_wrote_is_not_taken_for_damage(every_kind: Workspace, name: str, kind: ModelKind) -> None:
    registry = registry_in(every_kind, name)
    settings = registry.settings(registry.versions()[0]).model_dump(mode="json")
    for values, sentence in (
        ({"unknown": 1}, "settings.json was written by an older or newer Gatecast"),
        ({**settings, "later": 1}, "later: Extra inputs are not permitted"),
    ):
        version = of_another_gatecast(registry, {"settings.json": json.dumps(values)})
        with pytest.raises(FormatError, match=sentence) as caught:
            registry.settings(version, kind)
        assert "\n" not in str(caught.value)
        assert registry.model(version, kind).kind == kind.name
    for document, sentence in (
        ({"format": 3}, "by a newer Gatecast in format 3"),
        ({"kind": "Oracle"}, "it holds a 'Oracle'"),
        ({"training": {}}, f"cannot read its {kind.name}"),
    ):
        version = of_another_gatecast(registry, **document)
        with pytest.raises(FormatError, match=sentence):
            registry.model(version)
    version = of_another_gatecast(registry, {"evaluation.json": "{}"})
    with pytest.raises(FormatError, match=r"evaluation\.json"):
        registry.figure(version)

from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.data.errors import FormatError, InputError, KindError
from gatecast.flows.registry.catalogue import champions, choose_champion, find_registry, models
from gatecast.flows.registry.kinds import FORECASTER, LANGUAGE_MODEL, TAGGER, ModelKind
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
from tests.flows.life import of_another_gatecast


def test_the_models_of_a_workspace(every_kind: Workspace, tmp_path: Path) -> None:
    empty = Workspace(tmp_path)
    assert models(empty) == []
    with pytest.raises(InputError, match="run 'gatecast retrain' first"):
        find_registry(empty, "range")
    (every_kind.models / "empty").mkdir()
    assert models(every_kind) == ["names", "range", "rhyme", "sales"]
    assert find_registry(every_kind, "range").versions() == Registry(every_kind, "range").versions()
    for wrong in ("other", "../models/range"):
        with pytest.raises(InputError, match="choose from names, range"):
            find_registry(every_kind, wrong)


def test_the_champions_of_a_kind(every_kind: Workspace) -> None:
    assert champions(every_kind, FORECASTER) == ["range", "sales"]
    assert champions(every_kind, LANGUAGE_MODEL) == ["rhyme"]
    assert champions(every_kind, TAGGER) == ["names"]
    assert champions(every_kind) == ["names", "range", "rhyme", "sales"]


@pytest.mark.parametrize(("kind", "name"), [(LANGUAGE_MODEL, "rhyme"), (TAGGER, "names")])
def test_the_only_model_of_a_kind_needs_no_name(every_kind: Workspace, kind: ModelKind, name: str) -> None:
    assert choose_champion(every_kind, None, kind) == choose_champion(every_kind, name, kind) == name


def test_several_have_to_be_chosen_from(every_kind: Workspace) -> None:
    with pytest.raises(InputError, match="There are 2 forecasters; choose one with --name: range, sales"):
        choose_champion(every_kind, None, FORECASTER)
    with pytest.raises(InputError, match="There is no trained tagger 'other'; choose from names"):
        choose_champion(every_kind, "other", TAGGER)


def test_a_model_of_another_kind_is_not_chosen(every_kind: Workspace) -> None:
    with pytest.raises(
        KindError, match=r"names is a tagger, not a forecaster; use it with 'gatecast tag predict --text"
    ):
        choose_champion(every_kind, "names", FORECASTER)


def test_a_damaged_champion_is_of_the_kind_of_the_newest_whole_version(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "names")
    (registry.path(str(registry.champion())) / "model.json").write_text("{")
    assert champions(every_kind, TAGGER) == ["names"]
    assert "names" not in champions(every_kind, FORECASTER)
    (registry.path(registry.versions()[0]) / "model.json").unlink()
    # Its kind cannot be told: whoever asks for it hears that it is damaged.
    assert "names" in champions(every_kind, FORECASTER)


def test_a_model_of_another_gatecast_is_chosen_and_says_so_when_it_is_read(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "names")
    version = of_another_gatecast(registry, format=3)
    assert choose_champion(every_kind, "names", TAGGER) == "names"
    with pytest.raises(FormatError, match="upgrade Gatecast"):
        registry.model(version, TAGGER)

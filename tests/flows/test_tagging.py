from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gatecast import Tagger, load
from gatecast.data.errors import InputError
from gatecast.data.language.tagging import read_conll, write_conll
from gatecast.data.store import read_json
from gatecast.flows import tagging as module
from gatecast.flows.engine.runs import one_at_a_time
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.tagging import choose_tagger, train_tagger
from gatecast.lstm.config import TaggerSettings
from tests.flows.conftest import contents
from tests.lstm.sentences import tagged_sentences

STEPS = ["read_sentences", "train", "evaluate", "checkpoint", "promote"]
SMALL = {
    "word_size": 8, "character_size": 4, "character_hidden_size": 4, "casing_size": 2, "affix_size": 2,
    "hidden_size": 8, "batch_size": 8, "learning_rate": 0.02, "dropout": 0.1, "max_epochs": 4,
}  # fmt: skip


def write_files(folder: Path) -> dict[str, Path]:
    sentences, tags = tagged_sentences(60)
    paths = {}
    for part, places in (("train", slice(36)), ("dev", slice(36, 48)), ("test", slice(48, 60))):
        paths[part] = folder / f"{part}.conll"
        with paths[part].open("w") as file:
            write_conll(file, sentences[places], tags[places])
    return paths


def settings(folder: Path, **changes: Any) -> TaggingSettings:
    model = TaggerSettings(**{**SMALL, **changes.pop("model", {})})
    return TaggingSettings(**{**write_files(folder), "name": "names", "model": model, **changes})


@pytest.fixture(scope="module")
def tagged(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a workspace after one small training, and what it returned; tests must not change it."""
    folder = tmp_path_factory.mktemp("tagged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATECAST_HOME", str(folder / "workspace"))
        return folder, train_tagger(settings(folder))


def test_one_training_of_a_model_at_a_time(server: str, workspace: Workspace, tmp_path: Path) -> None:
    with one_at_a_time(workspace, "names", "cancel"):
        state = train_tagger(settings(tmp_path), when_busy="cancel", return_state=True)
    assert (state.name, state.message) == ("Cancelled", "Another training of names is under way.")


def test_a_training_writes_what_its_steps_promise(tagged: tuple[Path, dict[str, Any]]) -> None:
    _, result = tagged
    assert [step["name"] for step in result["steps"]] == STEPS
    version = Path(result["checkpoint"]["path"])
    assert isinstance(load(version), Tagger)
    assert read_json(version / "settings.json")["model"]["hidden_size"] == 8
    scores = read_json(version / "evaluation.json")
    assert scores["on"] == "test"
    assert set(scores) >= {"accuracy", "precision", "recall", "f1", "types", "most_frequent", "verdict"}
    assert "most frequent tag of training" in scores["verdict"]
    for picture in ("confusion", "curves"):
        assert Path(result["evaluate"][picture]).read_bytes().startswith(b"\x89PNG")
    predictions = read_conll(result["evaluate"]["predictions"], tag_column=1)
    assert len(predictions) == 12
    assert result["promote"]["champion"] == version.name


def test_the_confusion_matrix_is_an_artifact(tagged: tuple[Path, dict[str, Any]]) -> None:
    from prefect.artifacts import Artifact

    artifact = Artifact.get("names-confusion")
    assert artifact is not None
    assert "data:image/png;base64," in artifact.data
    assert len(artifact.data) < 100_000
    table = Artifact.get("names-scores")
    assert table is not None
    assert "person" in table.data


def test_an_unchanged_training_is_answered_from_cache(
    tagged: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = tagged
    monkeypatch.setenv("GATECAST_HOME", str(folder / "workspace"))
    second = train_tagger(settings(folder))
    assert {step["name"] for step in second["steps"] if step["cached"]} == {"train", "evaluate", "checkpoint"}
    assert second["checkpoint"]["version"] == first["checkpoint"]["version"]


def test_other_sentences_make_another_version_and_the_better_one_is_champion(
    tagged: tuple[Path, dict[str, Any]], workspace: Workspace, tmp_path: Path
) -> None:
    good = train_tagger(settings(tmp_path, model={"max_epochs": 8}))
    poor = train_tagger(settings(tmp_path, model={"max_epochs": 1, "learning_rate": 1e-6}))
    assert poor["checkpoint"]["version"] != good["checkpoint"]["version"]
    assert not poor["promote"]["promoted"]
    assert poor["promote"]["champion"] == good["checkpoint"]["version"]
    assert f"is worse than {good['checkpoint']['version']}, which stays: F1" in poor["promote"]["summary"]


def test_an_interrupted_training_goes_on(
    server: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    class Stop(module.TrainingProgress):
        def __call__(self, record: Any) -> None:
            super().__call__(record)
            if record.epoch == 2:
                raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(module, "TrainingProgress", Stop)
        with pytest.raises(Stopped):
            train_tagger(settings(tmp_path))
    assert not list(workspace.models.glob("names/v*"))
    resumed = train_tagger(settings(tmp_path), resume=True)
    assert "went on with the interrupted training" in resumed["train"]["summary"]
    monkeypatch.setenv("GATECAST_HOME", str(tmp_path / "other"))
    whole = train_tagger(settings(tmp_path), force=True)
    one, other = (Path(result["train"]["model"]) / "model.safetensors" for result in (resumed, whole))
    assert one.read_bytes() == other.read_bytes()


def test_vectors_decide_how_wide_a_word_is(server: str, workspace: Workspace, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("Harwick 0.1 0.2 0.3\ntrain -1 0 1\n")
    model = TaggerSettings(**{name: value for name, value in SMALL.items() if name != "word_size"})
    result = train_tagger(settings(tmp_path).model_copy(update={"vectors": vectors, "model": model}))
    tagger = load(Path(result["checkpoint"]["path"]))
    assert tagger.settings.word_size == 3


def test_without_dev_and_test_files_some_sentences_are_held_back(
    server: str, workspace: Workspace, tmp_path: Path
) -> None:
    result = train_tagger(settings(tmp_path, dev=None, test=None))
    assert "its own training file" in result["evaluate"]["summary"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "train.conll holds no sentence"),
        ("Ada\tB-person\nsang\n", "train.conll, line 2: 1 column"),
        ("Ada\tB-person\n\nsang\tperson\n", "train.conll, line 3: 'person' is no tag of a chunk"),
    ],
)
def test_a_bad_file_loses_nothing(
    tagged: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    folder, _ = tagged
    monkeypatch.setenv("GATECAST_HOME", str(folder / "workspace"))
    before = contents(folder / "workspace")
    bad = settings(tmp_path)
    bad.train.write_text(content)
    with pytest.raises(InputError, match=message):
        train_tagger(bad)
    assert contents(folder / "workspace") == before


def test_a_damaged_champion_is_replaced(tagged: tuple[Path, dict[str, Any]], workspace: Workspace) -> None:
    folder, _ = tagged
    shutil.copytree(folder / "workspace" / "models", workspace.models)
    registry = Registry(workspace, "names")
    champion = registry.champion()
    assert champion is not None
    (registry.path(champion) / "model.safetensors").write_bytes(b"nothing")
    text = read_conll(folder / "dev.conll")
    settled = module._settle(registry, "v0002-000000000000", text)
    assert settled["promoted"]
    assert f"replaces the champion ({champion} cannot be read" in settled["summary"]


def test_the_only_tagger_needs_no_name(tagged: tuple[Path, dict[str, Any]], workspace: Workspace) -> None:
    folder, result = tagged
    registry, version = choose_tagger(Workspace(folder / "workspace"), None)
    assert (registry.name, version) == ("names", result["checkpoint"]["version"])
    with pytest.raises(InputError, match="There is no trained tagger 'other'"):
        choose_tagger(Workspace(folder / "workspace"), "other")
    with pytest.raises(InputError, match="holds no trained tagger; run 'gatecast tag train' first"):
        choose_tagger(workspace, None)


def test_settings_are_json(tmp_path: Path) -> None:
    whole = settings(tmp_path)
    assert TaggingSettings.model_validate(json.loads(json.dumps(whole.to_dict()))) == whole
    assert TaggingSettings(train=tmp_path / "my tags.v2.conll").model_name == "my-tags.v2-tags"

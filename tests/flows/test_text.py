from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatecast import CharLM, load
from gatecast.data.errors import InputError
from gatecast.flows import text as text_flow
from gatecast.flows.engine.runs import one_at_a_time
from gatecast.flows.registry.catalogue import champions
from gatecast.flows.registry.kinds import FORECASTER, LANGUAGE_MODEL
from gatecast.flows.registry.registry import Registry
from gatecast.flows.text import TextSettings, train_text
from gatecast.lstm.config import CharLMSettings
from tests.flows.conftest import contents

TEXT = "the cat sat on the mat, the dog sat on the log.\n" * 30


def small(path: Path, **changes) -> TextSettings:
    sizes = {"hidden_size": 16, "embedding_size": 6, "seq_len": 8, "batch_size": 4, "max_epochs": 3}
    model = CharLMSettings(**{**sizes, "learning_rate": 1e-2, **changes})
    return TextSettings(paths=(path,), model=model)


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "a novel.txt"
    path.write_text(TEXT)
    return path


def test_training_ends_with_a_champion_that_writes(server, workspace, novel):
    result = train_text(small(novel))
    assert result["name"] == "a-novel-text"
    assert champions(workspace, LANGUAGE_MODEL) == ["a-novel-text"]
    assert champions(workspace, FORECASTER) == []
    version = Path(result["checkpoint"]["path"])
    model = load(version)
    assert len(model.generate("the ", 20)) == 20
    evaluation = json.loads((version / "evaluation.json").read_text())
    assert [score["model"] for score in evaluation["scores"]] == [
        "LSTM", "counts of 4-token contexts", "token frequencies",
    ]  # fmt: skip
    assert evaluation["scores"][0]["bits_per_char"] == result["evaluate"]["bits_per_char"]
    assert "bits per character of the last part" in evaluation["verdict"]
    assert all(Path(result["evaluate"][name]).stat().st_size for name in ("evaluation", "losses", "sample"))

    again = train_text(small(novel))
    assert {step["name"] for step in again["steps"] if step["cached"]} >= {"train", "evaluate"}
    assert again["promote"]["summary"].endswith("is the champion already.")


def test_training_tells_the_time_of_a_step_as_the_model_does(server, workspace, novel, monkeypatch):
    monkeypatch.setattr(CharLM, "seconds_per_step", 0.0125)
    assert train_text(small(novel))["train"]["milliseconds_per_step"] == 12.5


def test_one_training_of_a_model_at_a_time(server, workspace, novel):
    with one_at_a_time(workspace, "a-novel-text", "cancel"):
        state = train_text(small(novel), when_busy="cancel", return_state=True)
    assert (state.name, state.message) == ("Cancelled", "Another training of a-novel-text is under way.")


def test_a_training_that_fails_is_tried_again_from_its_last_epoch(server, workspace, novel, monkeypatch):
    failures = []
    sound = text_flow.StepProgress.after_epoch

    def failing_once(progress, record):
        sound(progress, record)
        if record.epoch == 2 and not failures:
            failures.append(record)
            raise OSError("the disk was full")

    monkeypatch.setattr(text_flow.StepProgress, "after_epoch", failing_once)
    result = train_text(small(novel, seed=7))
    assert len(failures) == 1
    assert result["train"]["summary"].startswith("went on with the interrupted training, ")


def test_a_sample_of_each_epoch_is_on_the_dashboard(server, workspace, novel):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    settings = small(novel, max_epochs=2, seed=5).model_copy(update={"name": "with-samples"})
    train_text(settings)
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=["with-samples-sample"]))
        samples = client.read_artifacts(artifact_filter=chosen)
    headings = {str(artifact.data).splitlines()[0][:8] for artifact in samples}
    assert headings == {"Epoch 1,", "Epoch 2,"}


def test_a_worse_version_does_not_become_champion(server, workspace, novel):
    first = train_text(small(novel, max_epochs=8))
    worse = train_text(small(novel, max_epochs=1, hidden_size=2, learning_rate=1e-5))
    assert not worse["promote"]["promoted"]
    assert worse["promote"]["champion"] == first["promote"]["champion"]
    better = train_text(small(novel, max_epochs=16))
    assert better["promote"]["promoted"]


def test_an_interrupted_training_goes_on_to_the_same_bits(server, workspace, novel, monkeypatch):
    published = text_flow._publish_sample

    def interrupt(model, name, record):
        if record.epoch == 2:
            raise KeyboardInterrupt
        published(model, name, record)

    whole = train_text(small(novel))
    monkeypatch.setenv("GATECAST_HOME", str(workspace.root.with_name("other")))
    monkeypatch.setattr(text_flow, "_publish_sample", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_text(small(novel))
    monkeypatch.setattr(text_flow, "_publish_sample", published)
    resumed = train_text(small(novel), resume=True)
    assert "went on with the interrupted training" in resumed["train"]["summary"]
    names = [Path(result["train"]["model"]) / "model.json" for result in (whole, resumed)]
    assert names[0].read_bytes() == names[1].read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"abc\xff", "is not UTF-8: byte 0xff at offset 3"),
        (b"a" * 500, "has 1 different characters"),
        (b"abcdefgh", "too short"),
    ],
)
def test_bad_text_changes_nothing_that_was_there(server, workspace, novel, content, message):
    train_text(small(novel, max_epochs=1))
    before = contents(workspace.models)
    novel.write_bytes(content)
    with pytest.raises(InputError, match=message):
        train_text(small(novel, max_epochs=1))
    assert contents(workspace.models) == before


def test_a_forecaster_is_not_replaced_by_a_language_model(copied, novel):
    name = champions(copied)[0]
    with pytest.raises(
        InputError, match="is a forecaster, not a language model; give the language model another --name"
    ):
        train_text(small(novel).model_copy(update={"name": name}))


def test_a_damaged_champion_is_replaced(server, workspace, novel):
    first = train_text(small(novel, max_epochs=1))
    (Path(first["checkpoint"]["path"]) / "model.safetensors").write_bytes(b"damaged")
    second = train_text(small(novel, max_epochs=2))
    assert f"replaces the champion ({first['checkpoint']['version']} cannot be read" in second["promote"]["summary"]
    assert Registry(workspace, first["name"]).champion() == second["checkpoint"]["version"]


def test_names_come_from_the_file_and_the_level():
    assert TextSettings().model_name == "shakespeare-text"
    words = TextSettings(paths=(Path("x/Ünder écrit.txt"),), model=CharLMSettings(level="word"))
    assert words.model_name == "nder-crit-text-words"

from __future__ import annotations

import lzma

import pytest
from typer.testing import CliRunner

from gatecast import CharLM
from gatecast.flows.cli import app
from gatecast.flows.commands.text import TrainOptions
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.lstm.training.checkpoint import fingerprint
from tests.flows.typed import parsed

TEXT = "the cat sat on the mat, the dog sat on the log. " * 30


@pytest.fixture
def model(workspace) -> CharLM:
    """The champion of a workspace."""
    model = CharLM(hidden_size=16, embedding_size=6, seq_len=8, batch_size=4, max_epochs=2).fit(TEXT)
    registry = Registry(workspace, "cats")
    candidate = registry.directory / "candidate"
    model.save(candidate)
    version = registry.add(candidate, fingerprint(candidate), {})
    registry.record(Decision(version, None, True, "first", version))
    return model


def run(*arguments: str):
    return CliRunner().invoke(app, ["text", *arguments])


def test_options_become_settings():
    typed = "a.txt b.txt --level word --epochs 4 --layers 2 --tie-weights --weight-decay 0.1"
    settings = parsed(TrainOptions, *typed.split()).text.settings()
    model = settings.model
    assert (model.level, model.max_epochs, model.max_minutes, model.num_layers) == ("word", 4, None, 2)
    assert (model.tie_weights, model.weight_decay) == (True, 0.1)
    assert [path.name for path in settings.paths] == ["a.txt", "b.txt"]


def test_a_training_takes_three_minutes_unless_something_says_how_long():
    def limits(*arguments: str) -> tuple[float | None, int]:
        model = parsed(TrainOptions, *arguments).text.settings().model
        return model.max_minutes, model.max_epochs

    # A time is not cut short by epochs that nobody asked for.
    assert limits() == limits("--hidden-size", "8") == (3, 1000)
    assert limits("--minutes", "60") == (60, 1000)
    assert limits("--epochs", "9") == (None, 9)
    assert limits("--minutes", "1.5", "--epochs", "9") == (1.5, 9)


def test_generate_writes_prompt_and_text(model):
    result = run("generate", "--prompt", "the c", "--length", "20", "--seed", "4")
    assert result.exit_code == 0
    assert result.stdout == "the c" + model.generate("the c", 20, 0.8, seed=4) + "\n"


def test_generate_names_what_of_the_prompt_it_does_not_know(model):
    result = run("generate", "--prompt", "☃", "--length", "3")
    assert "does not know '☃' of the prompt" in result.stderr


def test_evaluate_prints_the_score_beside_the_compressor(model, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT[:200] + "☃")
    result = run("evaluate", str(path))
    assert result.exit_code == 0
    score = model.evaluate(TEXT[:200] + "☃")
    assert f"{score['bits_per_char']:.4f}" in result.stdout
    assert "xz -9e" in result.stdout
    assert "Unknown to the model, left out of all scores: 1 character of the text." in result.stderr
    # A compressor has the same text to do as the model.
    known = 8 * len(lzma.compress(TEXT[:200].encode(), preset=9 | lzma.PRESET_EXTREME)) / 200
    assert f"{known:.4f}" in result.stdout
    assert "200 characters that the model knows" in result.stdout
    assert "Next:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate",), "No text is named"),
        (("evaluate", "nowhere.txt"), "cannot be read"),
        (("generate", "--name", "dogs"), "There is no trained language model 'dogs'; choose from cats."),
        (("generate", "--top-k", "0"), "top_k is 0; it has to be 1 or more."),
        (("train", "--tie-weights", "--embedding-size", "3"), "Weights can be tied"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(model, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_without_a_model_the_next_step_is_named(workspace):
    result = run("generate")
    assert result.exit_code == 2
    assert "run 'gatecast text train' first" in " ".join(result.stderr.split())

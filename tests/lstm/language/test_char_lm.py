from __future__ import annotations

import math

import numpy as np
import pytest

import gatecast
from gatecast import CharLM, CheckpointError
from gatecast.data.errors import InputError
from gatecast.data.language.text import TextStreams
from gatecast.kernels.lookup import Lookup
from gatecast.lstm.language.network import TextNetwork
from gatecast.lstm.training.loop import TrainingError
from tests.conftest import on_device
from tests.gradcheck import central_difference
from tests.reference import cross_entropy, lstm_forward

TEXT = "the cat sat on the mat, the dog sat on the log. " * 40
SMALL = {"hidden_size": 24, "embedding_size": 8, "seq_len": 8, "batch_size": 4, "max_epochs": 2, "learning_rate": 1e-2}


def small_model(**changes) -> CharLM:
    return CharLM(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def fitted() -> CharLM:
    """A model that tests must not change."""
    return small_model(max_epochs=8).fit(TEXT)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("changes", [{}, {"num_layers": 2}, {"tie_weights": True, "num_layers": 2}])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("seq_len", [3, 8])  # of 3 streams and 5 characters: 8 are enough for a table of the gates
def test_gradients_of_all_parameters_agree_with_central_differences(rng, changes, dropped, seq_len):
    size = 3 if changes.get("tie_weights") else 2
    options = {"num_layers": 1, **changes}
    if dropped:
        options |= {"dropout": 0.4, "recurrent_dropout": 0.3, "embedding_dropout": 0.2}
    network = TextNetwork(5, size, 3, **options, dtype="float64", seed=1)
    piece = next(TextStreams(rng.integers(0, 5, 60), 3, seq_len, 0).epoch(1))
    piece = piece._replace(counts=rng.random(piece.counts.shape) < 0.8)
    state = tuple(rng.normal(size=(options["num_layers"], 3, 3)) for _ in range(2))
    network.backpropagate(piece, state, 7)
    gradients = network.parameters.gradients.copy()
    values = network.parameters.values

    def loss() -> float:
        network.parameters.changed()
        return network.backpropagate(piece, state, 7)[0]

    np.testing.assert_allclose(gradients, central_difference(loss, values), atol=1e-8)


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("seq_len", [3, 9])
def test_loss_and_state_are_those_of_the_equations(rng, tie_weights, seq_len):
    network = TextNetwork(6, 4, 4, 2, tie_weights=tie_weights, dtype="float64", seed=1)
    arrays = network.parameters.to_host()
    piece = next(TextStreams(rng.integers(0, 6, 80), 3, seq_len, 0).epoch(1))
    state = tuple(rng.normal(size=(2, 3, 4)) for _ in range(2))
    loss, (h, c) = network.backpropagate(piece, state, 0)
    y = arrays["embedding.weight"][piece.inputs]
    for layer in range(2):
        weights = [arrays[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih")]
        y, h_layer, c_layer, _ = lstm_forward(*weights, y, state[0][layer], state[1][layer])
        np.testing.assert_allclose(h[layer], h_layer, atol=1e-12)
        np.testing.assert_allclose(c[layer], c_layer, atol=1e-12)
    weight = arrays["embedding.weight" if tie_weights else "head.weight"]
    logits = y.reshape(-1, 4) @ weight.T + arrays["head.bias"]
    expected, _ = cross_entropy(logits, piece.targets.ravel(), np.ones(piece.targets.size))
    assert loss == pytest.approx(expected, rel=1e-12)
    losses, predictions, _ = network.score(piece, state)
    assert losses.mean() == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(predictions.ravel(), logits.argmax(axis=1))


@pytest.mark.parametrize(
    ("dropout", "vocabulary_size", "is_looked_up"), [(0, 12, True), (0.1, 12, False), (0, 13, False)]
)
def test_characters_are_looked_up_in_a_table_where_they_recur(rng, dropout, vocabulary_size, is_looked_up):
    network = TextNetwork(vocabulary_size, 4, 4, 1, embedding_dropout=dropout)
    tokens = rng.integers(0, vocabulary_size, (3, 8))
    assert isinstance(network._inputs(tokens, training=True), Lookup) == is_looked_up
    assert isinstance(network._inputs(tokens, training=False), Lookup) == (vocabulary_size == 12)


def test_a_character_outside_the_vocabulary_is_refused(rng):
    network = TextNetwork(2, 4, 4, 1)
    piece = next(TextStreams(rng.integers(0, 3, 60), 3, 8, 0).epoch(1))
    with pytest.raises(ValueError, match="from 0 to 2; they must lie between 0 and 1"):
        network.backpropagate(piece, None, 0)


def test_tied_weights_are_stored_once():
    names = set(TextNetwork(6, 4, 4, 1, tie_weights=True).parameters)
    assert "head.weight" not in names
    assert {"embedding.weight", "head.bias"} < names
    with pytest.raises(ValueError, match="can be tied where embedding_size is hidden_size, 4"):
        CharLM(tie_weights=True, embedding_size=3, hidden_size=4)


# ---------------------------------------------------------------- training


def test_it_learns_a_text_that_can_be_learnt(fitted):
    result = fitted.evaluate(TEXT[:500])
    assert result["cross_entropy"] < 0.3
    assert result["accuracy"] > 0.85
    losses = [record.validation_loss for record in fitted.history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "word", "min_count": 1},
        {"tie_weights": True, "embedding_size": None},
        {"num_layers": 2, "dropout": 0.1},
        {"schedule": "plateau"},
        {"dtype": "float64"},
    ],
)
def test_variants_learn_too(changes):
    model = small_model(**{"max_epochs": 6, **changes}).fit(TEXT)
    assert model.history[-1].train_loss < 0.7 * model.history[0].train_loss


@pytest.mark.parametrize("changes", [{}, {"num_layers": 2, "tie_weights": True, "embedding_size": None}])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path, changes):
    whole = small_model(max_epochs=3, **changes).fit(TEXT)

    class StopError(Exception):
        pass

    def stop(record):
        if record.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        small_model(max_epochs=3, **changes).fit(TEXT, checkpoints=tmp_path, on_epoch=stop)
    seen = []
    resumed = small_model(max_epochs=3, **changes).fit(TEXT, checkpoints=tmp_path, resume=True, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [1, 2, 3]
    assert resumed.history == whole.history
    assert whole.save(tmp_path / "whole").joinpath("model.json").read_bytes() == (
        resumed.save(tmp_path / "resumed").joinpath("model.json").read_bytes()
    )


def test_a_time_budget_becomes_a_number_of_steps_that_a_resumption_keeps(tmp_path, monkeypatch):
    settings = {"max_minutes": 1e-9, "max_epochs": 50}
    model = small_model(**settings).fit(TEXT, checkpoints=tmp_path)
    assert model.total_steps == model.history[-1].step == 1

    monkeypatch.setattr(CharLM, "_plan", lambda *_: pytest.fail("a resumed training must not measure again"))
    resumed = small_model(**settings).fit(TEXT, checkpoints=tmp_path, resume=True)
    assert resumed.total_steps == 1


def test_training_for_a_time_is_training_for_its_steps(monkeypatch):
    monkeypatch.setattr(CharLM, "_plan", lambda *_: 70)
    model = small_model(max_minutes=5.0, max_epochs=50, patience=50).fit(TEXT)
    steps = [record.step for record in model.history]
    assert steps[-1] == 70
    assert steps[-1] - steps[-2] < steps[0]  # the last epoch is a part of one


def test_timing_steps_does_not_change_the_parameters():
    model = small_model(max_minutes=60.0, max_epochs=1)
    timed = model.fit(TEXT).history
    assert timed == small_model(max_epochs=1).fit(TEXT).history


def test_plateau_halves_the_learning_rate_after_an_epoch_that_was_no_better():
    model = small_model(schedule="plateau", max_epochs=12, patience=12, learning_rate=0.2).fit(TEXT)
    rate = 0.2
    assert any(not record.best for record in model.history)
    for record in model.history:
        assert record.learning_rate == pytest.approx(rate)
        rate *= 1 if record.best else 0.5


def test_a_training_that_diverges_says_so():
    with pytest.raises(TrainingError, match="diverged"):
        small_model(learning_rate=1e30, gradient_clip=1e30).fit(TEXT)


def test_the_time_of_a_step_is_that_of_the_median_epoch(fitted):
    typical = np.median([record.seconds for record in fitted.history])
    assert fitted.seconds_per_step == pytest.approx(len(fitted.history) * typical / fitted.history[-1].step)


def test_every_step_is_reported():
    seen = []
    model = small_model(max_epochs=1).fit(TEXT, on_step=lambda step, loss: seen.append((step, loss)))
    assert [step for step, _ in seen] == list(range(1, model.total_steps + 1))
    assert np.mean([loss for _, loss in seen]) == pytest.approx(model.history[0].train_loss)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "too short"),
        ("ab", "too short"),
        ("a" * 1000, "1 different characters"),
        ("abcdefghij", "too short"),
        ("ab\ud800" * 50, "Character 2 of the text is '\\\\ud800', which Unicode does not have"),
    ],
)
def test_a_text_that_cannot_be_learnt_is_refused_and_the_model_stays(fitted, text, message):
    before = fitted.generate("the ", 20)
    with pytest.raises(InputError, match=message):
        fitted.fit(text)
    assert fitted.generate("the ", 20) == before


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(InputError, match="has 45 tokens, but a window takes 65"):
        small_model(seq_len=64).fit("abcde" * 10)


def test_a_short_text_is_learnt_in_fewer_streams():
    assert small_model(batch_size=64).fit("abcab" * 10).history


# ---------------------------------------------------------------- evaluation


def test_evaluation_runs_through_the_whole_text(fitted):
    network = fitted._network
    text = TEXT[:300]
    arrays = network.parameters.to_host()
    tokens = fitted.vocabulary.encode(text)
    weights = [arrays[f"lstm.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih")]
    zeros = np.zeros((1, 24))
    y, *_ = lstm_forward(*weights, arrays["embedding.weight"][tokens[None, :-1]], zeros, zeros)
    logits = y[0] @ arrays["head.weight"].astype(np.float64).T + arrays["head.bias"]
    expected, _ = cross_entropy(logits, tokens[1:], np.ones(299))
    result = fitted.evaluate(text)
    assert result["cross_entropy"] == pytest.approx(expected, rel=1e-4)
    assert result["perplexity"] == pytest.approx(math.exp(expected), rel=1e-4)
    assert result["bits_per_char"] == pytest.approx(expected / math.log(2), rel=1e-4)
    assert result["accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == tokens[1:]))
    assert (result["tokens"], result["unknown"]) == (299, 0)


def test_evaluation_in_chunks_carries_the_state(fitted, monkeypatch):
    whole = fitted.evaluate(TEXT[:500])
    monkeypatch.setattr("gatecast.lstm.language.char_lm._SCORED_STEPS", 7)
    assert fitted.evaluate(TEXT[:500]) == pytest.approx(whole, rel=1e-6)


def test_streams_side_by_side_give_the_same_figures(fitted, monkeypatch):
    monkeypatch.setattr("gatecast.lstm.language.char_lm._WARM_UP", 64)
    one = fitted.evaluate(TEXT)
    many = fitted.evaluate(TEXT, streams=5)
    assert many["tokens"] == one["tokens"] == len(TEXT) - 1
    assert many["cross_entropy"] == pytest.approx(one["cross_entropy"], abs=1e-3)


def test_a_character_that_training_never_saw_is_counted_and_left_out(fitted):
    clean = fitted.evaluate("the cat sat")
    marked = fitted.evaluate("the cat☃ sat")
    assert marked["unknown"] == 1
    assert marked["tokens"] == clean["tokens"] == 10
    assert math.isfinite(marked["cross_entropy"])
    with pytest.raises(InputError, match="knows no token"):
        fitted.evaluate("☃☃☃")


def test_a_word_that_is_too_rare_is_expected_as_unknown():
    model = small_model(level="word", min_count=30).fit(TEXT)
    result = model.evaluate("the cat zzz")
    assert model.vocabulary.trained_unknown
    assert result["tokens"] == 2
    assert result["unknown"] >= 1


def test_bits_per_character_of_a_word_model_count_characters():
    model = small_model(level="word", min_count=1).fit(TEXT)
    result = model.evaluate(TEXT[:480])
    characters = len(TEXT[:480]) - len("the")
    assert result["bits_per_char"] == pytest.approx(
        result["cross_entropy"] * result["tokens"] / characters / math.log(2)
    )


def test_an_unknown_word_counts_with_all_its_characters():
    model = small_model(level="word", min_count=30).fit(TEXT)
    result = model.evaluate("the incomprehensibility")
    nats = result["cross_entropy"] * result["tokens"]
    assert result["bits_per_char"] == pytest.approx(nats / len(" incomprehensibility") / math.log(2))


@pytest.mark.parametrize("text", ["", "t"])
def test_a_text_with_nothing_to_predict_is_refused(fitted, text):
    with pytest.raises(InputError, match="nothing to predict"):
        fitted.evaluate(text)


def test_a_model_that_was_not_fitted_says_so():
    for use in (
        lambda m: m.evaluate("ab"),
        lambda m: m.generate("a", 3),
        lambda m: m.save("x"),
        lambda m: m.best_epoch,
    ):
        with pytest.raises(InputError, match="has not been fitted"):
            use(CharLM())


# ---------------------------------------------------------------- writing


def test_it_writes_what_it_has_read(fitted):
    assert "sat on the" in fitted.generate("the cat ", 60, temperature=0)


def test_the_seed_decides_the_text(fitted):
    first, again, other = (fitted.generate("the ", 80, temperature=1.5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 80


def test_the_prompt_is_read(fitted):
    assert fitted.generate("the dog sat on the l", 3, temperature=0) == "og."
    assert fitted.generate("the cat sat on the m", 3, temperature=0) == "at,"


def test_top_k_of_one_is_temperature_zero(fitted):
    assert fitted.generate("the ", 30, top_k=1) == fitted.generate("the ", 30, temperature=0)
    assert fitted.generate("the ", 30, top_p=1e-9) == fitted.generate("the ", 30, temperature=0)


def test_text_ends_before_the_stop_string(fitted):
    whole = fitted.generate("the ", 200, temperature=0)
    place = whole.index("on the")
    assert fitted.generate("the ", 200, temperature=0, stop="on the") == whole[:place]
    assert "".join(fitted.stream("the ", 200, temperature=0, stop="never")) == whole


@pytest.mark.parametrize("stop", ["at on", "m", " the mat, the dog"])
def test_a_stop_string_is_found_across_the_parts(fitted, monkeypatch, stop):
    expected = fitted.generate("the ", 100, temperature=0, stop=stop)
    monkeypatch.setattr("gatecast.lstm.language.writer._STEPS", 3)
    assert fitted.generate("the ", 100, temperature=0, stop=stop) == expected
    assert stop not in expected


def test_unknown_and_empty_prompts_are_read(fitted):
    assert len(fitted.generate("", 5)) == len(fitted.generate("☃", 5)) == 5
    assert fitted.generate("the", 0) == ""


def test_unk_is_never_written():
    model = small_model(level="word", min_count=30).fit(TEXT)
    assert "<unk>" not in model.generate("the", 300, temperature=3.0)


@pytest.mark.parametrize(
    "options", [{"length": -1}, {"temperature": -1.0}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}]
)
def test_options_that_do_not_fit_are_refused(fitted, options):
    with pytest.raises(InputError, match="it has to be"):
        fitted.generate("the ", **{"length": 5, **options})
    with pytest.raises(InputError, match="stop string"):
        fitted.generate("the ", 5, stop="")


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    "changes", [{}, {"level": "word", "min_count": 1}, {"tie_weights": True, "embedding_size": None}]
)
def test_a_saved_model_is_loaded_as_it_was(tmp_path, changes):
    model = small_model(max_epochs=1, **changes).fit(TEXT)
    loaded = gatecast.load(model.save(tmp_path / "model"))
    assert isinstance(loaded, CharLM)
    assert loaded.settings == model.settings
    assert loaded.evaluate(TEXT[:300]) == model.evaluate(TEXT[:300])
    assert loaded.generate("the ", 40, seed=3) == model.generate("the ", 40, seed=3)
    assert loaded.save(tmp_path / "again").joinpath("model.json").read_bytes() == (
        (tmp_path / "model" / "model.json").read_bytes()
    )


def test_another_text_is_not_gone_on_with(tmp_path):
    small_model(max_epochs=1).fit(TEXT, checkpoints=tmp_path)
    with pytest.raises(CheckpointError, match="other settings or data"):
        small_model(max_epochs=1).fit(TEXT + "more", checkpoints=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="other settings or data"):
        small_model(max_epochs=2).fit(TEXT, checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize("seq_len", [3, 10])
def test_the_gpu_learns_as_the_cpu_does(rng, tie_weights, seq_len):
    from tests.conftest import get_ops

    get_ops("cuda")
    options = {"tie_weights": tie_weights, "dropout": 0.3, "recurrent_dropout": 0.3, "dtype": "float64", "seed": 1}
    networks = [TextNetwork(5, 3, 3, 2, **options, backend=backend) for backend in ("cpu", "cuda")]
    piece = next(TextStreams(rng.integers(0, 5, 40), 2, seq_len, 0).epoch(1))
    losses = [float(network.backpropagate(piece, None, 4)[0]) for network in networks]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    cpu, cuda = (network.parameters.gradients_to_host() for network in networks)
    for name, gradient in cpu.items():
        np.testing.assert_allclose(cuda[name], gradient, atol=1e-12)


def test_the_gpu_writes_and_scores_as_the_cpu_does(fitted, tmp_path):
    from gatecast.kernels import cuda
    from tests.conftest import get_ops

    get_ops("cuda")
    model = CharLM(hidden_size=4, embedding_size=3, seq_len=4, batch_size=2, max_epochs=1).fit("abcab" * 6)
    settings = model.settings.model_copy(update={"backend": "cuda"})
    other = CharLM.from_settings(settings)
    other.vocabulary = model.vocabulary
    other._network = other._make_network()
    other._snapshot = model._snapshot
    other._network.parameters.load(model._network.parameters.to_host())
    assert other._network.ops is cuda
    assert other.evaluate("abcabca") == pytest.approx(model.evaluate("abcabca"), rel=1e-5)
    assert other.generate("ab", 5) == model.generate("ab", 5)
    assert on_device(cuda, np.zeros(1)) is not None

from __future__ import annotations

import re

import numpy as np
import pytest

from gatecast import Tagger, load
from gatecast.data.errors import InputError
from gatecast.data.language import encoding
from gatecast.data.language.tagging import convert
from gatecast.data.language.words import WordVectors
from gatecast.lstm.tagging.entities import score_chunks
from gatecast.lstm.tagging.tagger import _chunk_f1
from gatecast.lstm.training import checkpoint
from gatecast.lstm.training.checkpoint import CheckpointError
from tests.lstm.sentences import tagged_sentences

SMALL = {
    "word_size": 12, "character_size": 6, "character_hidden_size": 6, "casing_size": 3, "affix_size": 3,
    "hidden_size": 12, "batch_size": 8, "learning_rate": 0.02, "dropout": 0.2, "max_epochs": 12,
}  # fmt: skip
SENTENCES, TAGS = tagged_sentences()


@pytest.fixture(scope="module")
def fitted() -> Tagger:
    return Tagger(**SMALL).fit(SENTENCES, TAGS)


def test_it_learns_names_that_it_can_see_and_scores_them(fitted):
    scores = fitted.evaluate(SENTENCES, TAGS)
    assert scores["f1"] > 0.9
    assert scores["accuracy"] > 0.9
    assert set(scores["types"]) == {"person", "place"}
    assert scores["tokens"] == sum(map(len, SENTENCES))
    assert fitted.best_epoch <= len(fitted.history)


@pytest.mark.parametrize("settings", [{"crf": False}, {"bidirectional": False}, {"scheme": "BIOES"}])
def test_every_variant_learns(settings):
    model = Tagger(**{**SMALL, **settings}).fit(SENTENCES, TAGS)
    assert model.history[-1].train_loss < model.history[0].train_loss / 2
    assert model.evaluate(SENTENCES, TAGS)["f1"] > 0.6


def test_predictions_are_well_formed_and_of_the_same_length(fitted):
    strange = [["Zyx", "!!", "ÄÖÜ", "数学"], [], ["x" * 500], ["ok"]]
    predicted = fitted.predict(strange)
    assert list(map(len, predicted)) == [4, 0, 1, 1]
    assert predicted == [convert(tags, "BIO") for tags in predicted]
    assert fitted.predict([]) == []
    assert fitted.predict([[]]) == [[]]


def test_a_sentence_of_ten_thousand_words_is_tagged(fitted):
    (tags,) = fitted.predict([SENTENCES[0] * 1429])
    assert len(tags) >= 10_000
    assert fitted.predict([SENTENCES[0]])[0][0] == tags[0]


def test_a_sentence_has_the_same_tags_in_any_company(fitted):
    together = fitted.predict(SENTENCES)
    assert [fitted.predict([sentence])[0] for sentence in SENTENCES] == together


def test_the_scheme_of_the_file_makes_no_difference(fitted):
    converted = [convert(tags, "BIOES") for tags in TAGS]
    model = Tagger(**SMALL).fit(SENTENCES, converted)
    assert model.predict(SENTENCES) == fitted.predict(SENTENCES)
    assert fitted.evaluate(SENTENCES, converted) == fitted.evaluate(SENTENCES, TAGS)


def test_tags_that_mark_no_chunks_are_taken_as_they_are():
    tags = [["NAME" if word[0].isupper() else "WORD" for word in sentence] for sentence in SENTENCES]
    model = Tagger(**SMALL).fit(SENTENCES, tags)
    scores = model.evaluate(SENTENCES, tags)
    assert model.scheme == "none"
    assert scores["accuracy"] > 0.95
    assert "f1" not in scores


def test_the_score_that_stops_training_is_the_one_that_is_reported(rng):
    names = ["O", "B-a", "I-a", "B-b", "I-b"]
    true, guessed = ([[str(tag) for tag in rng.choice(names, length)] for length in (9, 1, 5, 30)] for _ in range(2))
    assert _chunk_f1(true, guessed) == pytest.approx(score_chunks(true, guessed)["f1"])


def test_the_same_seed_gives_the_same_bits():
    one, other = (Tagger(**{**SMALL, "max_epochs": 2}).fit(SENTENCES, TAGS) for _ in range(2))
    assert one.history == other.history


def test_a_saved_tagger_tags_as_before(fitted, tmp_path):
    loaded = load(fitted.save(tmp_path / "model"))
    assert isinstance(loaded, Tagger)
    assert loaded.predict(SENTENCES) == fitted.predict(SENTENCES)
    assert loaded.settings == fitted.settings
    assert loaded.history == fitted.history


@pytest.fixture
def former(monkeypatch, tmp_path) -> tuple[Tagger, checkpoint.Checkpoint]:
    """A tagger that sees four features of a word, and its checkpoint as it was when there were no others."""
    names = ("word", "casing", "prefix", "suffix")
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "FEATURES", {name: encoding.FEATURES[name] for name in names})
        for merged in ("_LINK", "_USER"):
            patch.setattr(encoding, merged, re.compile("(?!)"))
        model = Tagger(**{**SMALL, "max_epochs": 3}).fit(SENTENCES, TAGS)
    contents = checkpoint.read(model.save(tmp_path / "former"))
    vocabularies = contents.document["vocabularies"]
    features = dict(vocabularies.pop("features"))
    del vocabularies["merges"]
    vocabularies |= {"words": features["word"], "prefixes": features["prefix"], "suffixes": features["suffix"]}
    return model, contents


def test_a_tagger_that_was_saved_with_four_features_tags_as_before(former, tmp_path):
    model, contents = former
    loaded = Tagger.from_checkpoint(contents, tmp_path)
    assert set(loaded.network.features) == {"word", "casing", "prefix", "suffix"}
    assert loaded.predict(SENTENCES) == model.predict(SENTENCES)
    assert loaded.evaluate([["@mira"]], [["O"]])["unknown_words"] == 1
    again = load(loaded.save(tmp_path / "again"))
    assert again.predict(SENTENCES) == model.predict(SENTENCES)


def test_a_training_with_other_features_is_not_gone_on_with(former, tmp_path):
    _, contents = former
    checkpoint.write(contents, tmp_path / "epochs" / "epoch-0003")
    with pytest.raises(CheckpointError, match="other features of words"):
        Tagger(**{**SMALL, "max_epochs": 3}).fit(SENTENCES, TAGS, checkpoints=tmp_path / "epochs", resume=True)


@pytest.mark.parametrize("name", ["settings", "tags", "scheme", "vocabularies", "data_hash", "training"])
def test_a_missing_part_of_the_document_is_named(fitted, tmp_path, name):
    contents = checkpoint.read(fitted.save(tmp_path / "model"))
    del contents.document[name]
    with pytest.raises(CheckpointError, match=name):
        Tagger.from_checkpoint(contents, tmp_path / "model")


def test_a_time_budget_becomes_a_number_of_steps_and_changes_none_of_them():
    shortest = Tagger(**{**SMALL, "max_epochs": 50, "max_minutes": 1e-9}).fit(SENTENCES, TAGS)
    assert shortest.total_steps == shortest.history[-1].step == 1
    ample = Tagger(**{**SMALL, "max_epochs": 2, "max_minutes": 60.0}).fit(SENTENCES, TAGS)
    assert ample.history == Tagger(**{**SMALL, "max_epochs": 2}).fit(SENTENCES, TAGS).history


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    settings = {**SMALL, "max_epochs": 4}
    whole = Tagger(**settings).fit(SENTENCES, TAGS)

    class Stop(Exception):
        pass

    def stop_after_two(record):
        if record.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        Tagger(**settings).fit(SENTENCES, TAGS, checkpoints=tmp_path, on_epoch=stop_after_two)
    seen = []
    resumed = Tagger(**settings).fit(SENTENCES, TAGS, checkpoints=tmp_path, resume=True, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [1, 2, 3, 4]
    assert resumed.history == whole.history
    one, other = (model.save(tmp_path / name) for model, name in ((whole, "whole"), (resumed, "resumed")))
    for file in ("model.json", "model.safetensors", "optimizer.safetensors"):
        assert (one / file).read_bytes() == (other / file).read_bytes()
    with pytest.raises(CheckpointError, match="other settings or data"):
        Tagger(**settings).fit(SENTENCES[1:], TAGS[1:], checkpoints=tmp_path, resume=True)


def test_vectors_are_the_first_values_of_the_words_they_name(rng):
    words = ("Harwick", "elsewhere", "the")
    vectors = WordVectors(words, rng.normal(size=(3, 12)).astype("float32"))
    model = Tagger(**{**SMALL, "max_epochs": 1, "learning_rate": 1e-9}).fit(SENTENCES, TAGS, vectors=vectors)
    network = model.network
    encoder = model._require_encoder()
    weight = network.parameters.to_host()["word.weight"]
    for word, vector in zip(("harwick", "elsewhere", "the"), vectors.values, strict=True):
        row = weight[encoder.words.number(word)]
        assert encoder.words.number(word) > 0
        assert np.corrcoef(row, vector)[0, 1] > 0.999
    with pytest.raises(InputError, match="vectors have 12 numbers, but word_size is 5"):
        Tagger(**{**SMALL, "word_size": 5}).fit(SENTENCES, TAGS, vectors=vectors)


def test_a_type_that_training_never_saw_counts_as_missed(fitted):
    scores = fitted.evaluate([["Mira", "sings"]], [["B-person", "B-verb"]])
    assert scores["types"]["verb"]["recall"] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tagger().fit([], []), "no word"),
        (lambda: Tagger().fit([[]], [[]]), "no word"),
        (lambda: Tagger().fit([["a"]], [["O"]]), "give dev sentences too"),
        (lambda: Tagger().fit([["a", "b"]], [["O"]]), "sentence 0 has 2 words, but 1 tags"),
        (lambda: Tagger().fit([["a"]], []), "1 training sentences, but tags of 0"),
        (lambda: Tagger().fit(["a b"], ["O O"]), "is a string"),
        (lambda: Tagger().fit([["a"], ["b"]], [["B-x"], ["x"]]), "'x' is no tag of a chunk"),
        (lambda: Tagger().predict([["a"]]), "not been fitted"),
        (lambda: Tagger().best_epoch, "not been fitted"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_string_is_no_sentence(fitted):
    with pytest.raises(InputError, match="split the text"):
        fitted.predict(["Mira sings"])
    with pytest.raises(InputError, match="'NN' is no tag"):
        fitted.evaluate([["a"]], [["NN"]])

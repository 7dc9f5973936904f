from __future__ import annotations

import numpy as np

from gatecast.data.language.encoding import WordEncoder
from gatecast.lstm.tagging import batches as tagging_batches
from gatecast.lstm.tagging.batches import SentenceBatches, gather_sentences, in_order_of_length
from tests.lstm.sentences import tagged_sentences


def encoded(sentences):
    return WordEncoder.of_sentences(sentences, min_count=1, longest=20).encode(sentences)


def test_a_batch_holds_its_sentences():
    sentences, _ = tagged_sentences()
    text = encoded(sentences)
    numbers = np.arange(len(text.forms))
    batch = gather_sentences(text, numbers, np.array([5, 0]))
    assert batch.lengths.tolist() == [len(sentences[5]), len(sentences[0])]
    assert batch.tags[0, : batch.lengths[0]].tolist() == numbers[text.offsets[5] : text.offsets[6]].tolist()
    assert (batch.tags[0, batch.lengths[0] :] == 0).all()
    # Every word has its own spelling, whatever row it is in.
    for row, sentence in enumerate((5, 0)):
        for place in range(batch.lengths[row]):
            form = text.forms[text.offsets[sentence] + place]
            spelling = batch.spelling[row, place]
            assert batch.character_lengths[spelling] == text.character_lengths[form]
            length = batch.character_lengths[spelling]
            assert batch.characters[spelling, :length].tolist() == text.characters[form, :length].tolist()
            assert batch.features[row, place].tolist() == text.features[form].tolist()


def test_an_epoch_has_every_sentence_once_and_the_same_number_gives_the_same():
    text = encoded([["word"] * length for length in (1, 0, 3, 2, 5, 4, 0, 1)])
    batches = SentenceBatches(text, np.zeros(len(text.forms), int), 2, 0.0, seed=3)
    epoch = list(batches.epoch(1))
    assert len(epoch) == batches.steps_per_epoch == 3
    assert sorted(length for batch in epoch for length in batch.lengths) == [1, 1, 2, 3, 4, 5]
    again = SentenceBatches(text, np.zeros(len(text.forms), int), 2, 0.0, seed=3).epoch(1)
    for one, other in zip(epoch, again, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_word_dropout_hides_rare_words_more_often(rng):
    text = encoded([["rare"], *[["often"]] * 200])
    chosen = np.arange(201)
    tags = np.zeros(201, int)
    hidden = sum(gather_sentences(text, tags, chosen, 1.0, rng).features[:, 0, 0] == 0 for _ in range(200))
    assert 60 < hidden[0] < 140
    assert hidden[1:].mean() < 5
    assert not (gather_sentences(text, tags, chosen, 0.0, rng).features[:, 0, 0] == 0).any()


def test_a_very_long_sentence_is_a_batch_of_its_own(monkeypatch):
    monkeypatch.setattr(tagging_batches, "_LONG", 10)
    text = encoded([["a"] * 3, ["a"] * 50, ["a"] * 2, [], ["a"] * 40])
    assert [batch.tolist() for batch in in_order_of_length(text, 4)] == [[2, 0], [4], [1]]
    batches = SentenceBatches(text, np.zeros(len(text.forms), int), 4, 0.0, seed=0)
    assert batches.steps_per_epoch == len(list(batches.epoch(1))) == 3

from __future__ import annotations

import json

import numpy as np
import pytest

from data.encoding import WordEncoder, normal_form
from data.words import CASINGS

SENTENCES = [["The", "cat", "sat", "in", "1984"], ["the", "Cat", "is", "at", "Zanzibar"]]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder.of_sentences(SENTENCES, min_count=1, longest=6)


def test_small_letters_and_zeros_are_the_normal_form():
    assert normal_form("B2B") == "b0b"


def test_words_are_known_by_their_normal_form_and_casing(encoder):
    text = encoder.encode([["THE", "the", "2021", "dog"]])
    words = text.features[text.forms, 0]
    assert words[0] == words[1] == encoder.words.number("the")
    assert words[2] == encoder.words.number("0000")
    assert words[3] == 0
    assert [CASINGS[casing] for casing in text.features[text.forms, 1]] == ["upper", "lower", "number", "lower"]


def test_affixes_that_occur_once_are_unknown(encoder):
    text = encoder.encode([["cat", "Zanzibar"]])
    assert text.features[0, 2] == encoder.prefixes.number("cat") > 0
    assert text.features[1, 2:].tolist() == [0, 0]


def test_each_form_is_spelt_once_and_long_words_keep_both_ends(encoder):
    text = encoder.encode(SENTENCES)
    assert len(text) == 2
    assert text.lengths.tolist() == [5, 5]
    assert len(text.characters) == len({word for sentence in SENTENCES for word in sentence})
    letters = ("", *encoder.characters.entries)
    spelt = ["".join(letters[number] for number in row) for row in text.characters]
    assert spelt[text.forms[2]] == "sat"
    assert text.character_lengths[text.forms[9]] == 6
    assert encoder._spelling("Zanzibar") == "Zanbar"


def test_a_word_of_no_character_is_spelt_with_an_unknown_one(encoder):
    assert encoder.encode([[""]]).character_lengths.tolist() == [1]


def test_counts_are_of_the_text_itself(encoder):
    text = encoder.encode(SENTENCES)
    assert text.counts[text.forms].tolist() == [2, 2, 1, 1, 1, 2, 2, 1, 1, 1]


def test_values_are_padded_on_the_right(encoder):
    text = encoder.encode([["a"], [], ["b", "c", "d"]])
    found = text.padded(np.array([2, 0, 1]), np.array([1, 2, 3, 4]))
    assert found.tolist() == [[2, 3, 4], [1, 0, 0], [0, 0, 0]]


def test_more_words_come_after_those_of_the_text():
    encoder = WordEncoder.of_sentences(SENTENCES, min_count=2, longest=6, more_words=("dog", "the", "Dog"))
    assert encoder.words.entries == ("cat", "the", "dog")
    assert encoder.sizes == (4, len(CASINGS), len(encoder.prefixes), len(encoder.suffixes))


def test_json_keeps_the_vocabularies(encoder):
    assert WordEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder

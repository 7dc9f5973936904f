from __future__ import annotations

import json

import numpy as np
import pytest

from gatecast.data.language.encoding import FEATURES, EncodedText, WordEncoder, normal_form, shape
from gatecast.data.language.words import CASINGS

SENTENCES = [["The", "cat", "sat", "in", "1984"], ["the", "Cat", "is", "at", "Zanzibar"]]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder.of_sentences(SENTENCES, min_count=1, longest=6)


def column(encoder: WordEncoder, text: EncodedText, name: str) -> list[str]:
    """Return the values of a feature, token by token, empty where they are unknown."""
    names = [feature for feature, _ in encoder.features]
    values = ("", *dict(encoder.features)[name].entries)
    return [values[number] for number in text.features[text.forms, names.index(name)]]


def test_small_letters_and_zeros_are_the_normal_form():
    assert normal_form("B2B") == "b0b"


def test_all_links_are_one_word_and_all_users():
    for link in ("https://a.b/C", "www.d.e", "HTTP://T.CO"):
        assert normal_form(link) == "http:"
    assert normal_form("@Anna") == normal_form("@bert_7") == normal_form("@") == "@"
    for mark in ("@-@", "@,@"):
        assert normal_form(mark) == mark
    assert normal_form("@Anna", merges=False) == "@anna"
    assert normal_form("#Anna") == "#anna"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("McDonald", "XxXxx"), ("NASA", "XX"), ("USAir", "XXxx"), ("@anna_95", "@xx_00"), ("Élan", "Xxx"),
        ("soooo!!!", "xx!!"), ("A-b-C-d-E-f", "X-x-X-x-"), ("\n\n\n", "\n\n"), ("", ""),
    ],
)  # fmt: skip
def test_a_shape_is_what_a_word_looks_like(word, expected):
    assert shape(word) == expected


def test_words_are_known_by_their_normal_form_and_casing(encoder):
    text = encoder.encode([["THE", "the", "2021", "dog"]])
    words = text.features[text.forms, 0]
    assert words[0] == words[1] == encoder.words.number("the")
    assert words[2] == encoder.words.number("0000")
    assert words[3] == 0
    assert [CASINGS[casing] for casing in text.features[text.forms, 1]] == ["upper", "lower", "number", "lower"]


def test_affixes_that_occur_once_are_unknown(encoder):
    text = encoder.encode([["cat", "Zanzibar"]])
    assert column(encoder, text, "prefix") == ["cat", ""]
    assert column(encoder, text, "suffix4") == ["cat", ""]


def test_words_have_beginnings_and_ends_of_one_to_four_letters_and_a_shape():
    words = ["Unlikely", "UNLIKE", "b2b"]
    encoder = WordEncoder.of_sentences([words, words], min_count=1, longest=6)
    text = encoder.encode([words])
    expected = {
        "casing": ["title", "upper", "with digits"],
        "shape": ["Xxx", "XX", "x0x"],
        "prefix1": ["u", "u", "b"],
        "prefix2": ["un", "un", "b0"],
        "prefix": ["unl", "unl", "b0b"],
        "prefix4": ["unli", "unli", "b0b"],
        "suffix1": ["y", "e", "b"],
        "suffix2": ["ly", "ke", "0b"],
        "suffix": ["ely", "ike", "b0b"],
        "suffix4": ["kely", "like", "b0b"],
    }
    assert {name: column(encoder, text, name) for name in expected} == expected
    assert [name for name, _ in encoder.features] == list(FEATURES) == ["word", *expected]


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
    assert encoder.sizes["word"] == 4
    assert encoder.sizes["casing"] == len(CASINGS)


def test_no_sentence_has_no_features(encoder):
    assert encoder.encode([]).features.shape == (0, len(FEATURES))


def test_json_keeps_the_vocabularies(encoder):
    assert WordEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


def test_vocabularies_of_the_first_four_features_are_read():
    former = {
        "words": ["the", "cat"], "prefixes": ["the"], "suffixes": ["cat"], "characters": ["t", "h", "e"], "longest": 9
    }  # fmt: skip
    encoder = WordEncoder.from_dict(former)
    assert encoder.sizes == {"word": 3, "casing": len(CASINGS), "prefix": 2, "suffix": 2}
    text = encoder.encode([["CAT", "there"]])
    assert text.features.tolist() == [[2, CASINGS.index("upper"), 0, 1], [0, CASINGS.index("lower"), 1, 0]]
    assert encoder.normal_form("@Anna") == "@anna"
    assert WordEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder

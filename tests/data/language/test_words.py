from __future__ import annotations

import numpy as np
import pytest

from gatecast.data.errors import InputError
from gatecast.data.language.words import CASINGS, Lexicon, casing, read_vectors


def test_a_vocabulary_numbers_its_entries_from_one():
    vocabulary = Lexicon.of(["b", "a", "c", "a", "b", "a"])
    assert vocabulary.entries == ("a", "b", "c")
    assert len(vocabulary) == 4
    assert vocabulary.numbers(["c", "a", "never"]).tolist() == [3, 1, 0]
    assert Lexicon.of(["b", "a", "c", "a", "b", "a"], min_count=2).entries == ("a", "b")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("house", "lower"), ("House", "title"), ("A", "title"), ("NASA", "upper"), ("iPhone", "mixed"),
        ("3.5", "number"), ("R2D2", "with digits"), ("...", "mark"), ("#fun", "hashtag"), ("@ada", "user"),
        ("http://t.co/x", "link"), ("#", "mark"), ("数学", "other"), ("Zürich", "title"), ("B.C.", "upper"),
    ],
)  # fmt: skip
def test_casing(word, expected):
    assert CASINGS[casing(word)] == expected


def write(tmp_path, content: str):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["", "3 2\n"], ids=["glove", "word2vec"])
def test_vectors_are_read(tmp_path, header):
    vectors = read_vectors(write(tmp_path, f"{header}the 0.5 -1\n. . . 2 3\nthe 9 9\nä 1e-2 0\n"))
    assert vectors.words == ("the", ". . .", "ä")
    np.testing.assert_array_equal(vectors.values, np.array([[0.5, -1], [2, 3], [0.01, 0]], "float32"))
    assert vectors.values.dtype == np.float32
    assert vectors.size == 2
    assert read_vectors(tmp_path / "vectors.txt", limit=1).words == ("the",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no vectors"),
        ("the 1 2\na 1\n", "line 2: 1 numbers after the word, where the first line has 2"),
        ("the 1 2\na 1 x\n", "line 2: 'x' is not a finite number"),
        ("the 1 nan\n", "line 1: 'nan' is not a finite number"),
        ("the\n", "line 1: 0 numbers"),
    ],
)
def test_bad_vectors_are_named_with_the_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_vectors(write(tmp_path, content))

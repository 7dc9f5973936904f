from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import InputError
from gatecast.data.language.text import (
    TextStreams,
    Vocabulary,
    preprocess_text,
    read_text,
    scoring_pieces,
    split_text,
    tokenise,
)


def test_files_are_read_one_after_another_with_unix_line_ends(tmp_path):
    one = tmp_path / "one.txt"
    two = tmp_path / "two.txt"
    one.write_bytes("\ufeffé\r\nb\r".encode())
    two.write_bytes(b"c\n")
    assert read_text([one, two]) == "é\nb\nc\n"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "empty.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"empty\.txt is empty; name"):
        read_text([tmp_path / "empty.txt"])


@pytest.mark.parametrize(("content", "offset"), [(b"ab\xffc", 2), (b"\xef\xbb\xbfab\xff", 5), (b"ab\xc3", 2)])
def test_the_first_byte_that_is_not_utf_8_is_named(tmp_path, content, offset):
    path = tmp_path / "latin.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"latin\.txt is not UTF-8: byte 0x{content[offset]:02x} at offset {offset};"):
        read_text([path])


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_text([path])


def test_the_end_of_a_text_validates():
    assert split_text("abcdefghij" * 2, 0.1) == ("abcdefghij" + "abcdefgh", "ij")
    with pytest.raises(InputError, match="too short"):
        split_text("abcde", 0.1)


@given(st.text())
def test_words_joined_are_the_text_again(text):
    assert "".join(tokenise(text, "word")) == text


def test_a_word_carries_its_blank_and_its_apostrophe():
    assert tokenise("I'll go, 2 miles.\n\nCafé  x", "word") == [
        "I'll", " go", ",", " 2", " miles", ".", "\n", "\n", "Café", " ", " x",
    ]  # fmt: skip


@given(st.text(min_size=1))
def test_any_unicode_is_encoded_and_decoded(text):
    if len(set(text)) < 2:
        text += "ab"
    vocabulary = Vocabulary.build(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert 0 not in vocabulary.encode(text)
    assert not vocabulary.trained_unknown


def test_what_the_vocabulary_does_not_hold_is_entry_0():
    vocabulary = Vocabulary.build("banana")
    assert vocabulary.tokens == ("<unk>", "a", "b", "n")
    assert vocabulary.encode("nab!☃").tolist() == [3, 1, 2, 0, 0]
    assert vocabulary.decode([0, 1]) == "<unk>a"


def test_rare_tokens_are_left_out():
    assert Vocabulary.build("aabbc", min_count=2).tokens == ("<unk>", "a", "b")
    frequent = Vocabulary.build("aaabbc", max_size=2)
    assert frequent.tokens == ("<unk>", "a", "b")
    assert frequent.trained_unknown


def test_words_that_occur_once_are_unknown():
    vocabulary = Vocabulary.build(" a b a b c", "word")
    assert vocabulary.tokens == ("<unk>", " a", " b")
    assert vocabulary.encode(" b c a d").tolist() == [2, 0, 1, 0]


def test_the_vocabulary_does_not_depend_on_the_order_of_the_text():
    assert Vocabulary.build("abcd", max_size=2) == Vocabulary.build("dcba", max_size=2)


@pytest.mark.parametrize("text", ["aaaa", "a"])
def test_a_vocabulary_of_one_token_is_refused(text):
    with pytest.raises(InputError, match="has 1 different characters; a model needs two"):
        Vocabulary.build(text)


def test_rare_words_leave_too_few_to_choose_between():
    with pytest.raises(InputError, match="has 1 different words that occur at least 2 times"):
        Vocabulary.build(" a b c a", "word")


@pytest.mark.parametrize(("count", "batch_size", "seq_len"), [(1000, 4, 16), (33, 4, 16), (17, 64, 16), (5000, 7, 9)])
def test_streams_are_contiguous_and_do_not_overlap(count, batch_size, seq_len):
    streams = TextStreams(np.arange(count), batch_size, seq_len, seed=3)
    for number in (1, 2, 3):
        pieces = list(streams.epoch(number))
        assert len(pieces) == streams.steps_per_epoch >= 1
        inputs = np.concatenate([piece.inputs for piece in pieces], axis=1)
        targets = np.concatenate([piece.targets for piece in pieces], axis=1)
        assert inputs.shape == (streams.streams, seq_len * len(pieces))
        np.testing.assert_array_equal(np.diff(inputs, axis=1), 1)
        np.testing.assert_array_equal(targets, inputs + 1)
        assert len(np.unique(inputs)) == inputs.size
        assert targets.max() < count
        assert all(piece.counts.all() for piece in pieces)


def test_an_epoch_is_the_same_each_time_and_another_begins_elsewhere():
    streams = TextStreams(np.arange(1000), 4, 16, seed=3)
    begins = [next(streams.epoch(number)).inputs[0, 0] for number in range(1, 9)]
    assert begins == [next(streams.epoch(number)).inputs[0, 0] for number in range(1, 9)]
    assert len(set(begins)) > 3


def test_little_of_a_text_is_left_out_of_an_epoch():
    streams = TextStreams(np.arange(100_000), 32, 64, seed=0)
    used = streams.steps_per_epoch * streams.streams * 64
    assert used > 100_000 - 32 * 64 - 64


def test_a_text_shorter_than_a_window_is_refused():
    TextStreams(np.arange(17), 4, 16, seed=0)
    with pytest.raises(InputError, match="has 16 tokens, but a window takes 17"):
        TextStreams(np.arange(16), 4, 16, seed=0)


@pytest.mark.parametrize(("count", "streams"), [(2, 1), (100, 1), (100, 3), (101, 4), (97, 5)])
def test_scoring_predicts_every_token_but_the_first_once(count, streams):
    pieces = list(scoring_pieces(np.arange(count), streams, 4, 8))
    counted = np.concatenate([piece.targets[piece.counts] for piece in pieces])
    assert sorted(counted.tolist()) == list(range(1, count))
    if streams > 1:
        assert [piece.counts.any() for piece in pieces[:3]] == [False, False, True]
        for stream in range(1, streams):
            inputs = np.concatenate([piece.inputs[stream][: int(piece.counts[stream].sum())] for piece in pieces[2:]])
            before = np.concatenate([piece.inputs[stream] for piece in pieces[:2]])
            assert before.tolist() == list(range(inputs[0] - 8, inputs[0]))


def test_preprocessing_gives_one_hot_windows_and_what_follows():
    x, y, char_to_index, index_to_char = preprocess_text("abacab", 3)
    assert x.shape == (3, 3, 3)
    assert y.shape == (3, 3)
    assert char_to_index == {"a": 0, "b": 1, "c": 2}
    windows = ["".join(index_to_char[index] for index in row.argmax(axis=1)) for row in x]
    assert windows == ["aba", "bac", "aca"]
    assert [index_to_char[index] for index in y.argmax(axis=1)] == ["c", "a", "b"]
    assert x.sum(axis=2).min() == x.sum(axis=2).max() == 1


@pytest.mark.parametrize(("text", "seq_len"), [("", 1), ("abc", 3), ("abc", 0)])
def test_preprocessing_refuses_a_text_without_a_window(text, seq_len):
    with pytest.raises(InputError):
        preprocess_text(text, seq_len)

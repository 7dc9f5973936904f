from __future__ import annotations

import math

import numpy as np
import pytest

from gatecast.lstm.tagging.entities import confusion, score_chunks, token_accuracy

TAGS = [["B-a", "I-a", "O", "B-b"], ["O", "B-a"], []]
GUESSES = [["B-a", "I-a", "O", "B-a"], ["B-b", "B-a"], []]


def test_accuracy_is_the_share_of_right_tokens():
    assert token_accuracy(TAGS, GUESSES) == pytest.approx(4 / 6)
    assert math.isnan(token_accuracy([[]], [[]]))


def test_chunks_are_scored_in_all_and_by_type():
    found = score_chunks(TAGS, GUESSES)
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 * 2 / 7)
    assert found["support"] == 3
    assert found["types"]["a"] == {
        "precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2,
    }  # fmt: skip
    assert found["types"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_a_type_that_was_never_seen_counts_as_missed():
    assert score_chunks([["B-new"]], [["O"]])["types"]["new"]["recall"] == 0


def test_nothing_to_find_and_nothing_found_scores_zero():
    assert score_chunks([["O"]], [["O"]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "types": {}}


def test_confusion_counts_tokens_by_type():
    names, counts = confusion(TAGS, GUESSES)
    assert names == ("O", "a", "b")
    np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 3, 0], [0, 1, 0]])


def test_other_sentences_are_refused():
    with pytest.raises(ValueError, match="same sentences"):
        token_accuracy([["O"]], [["O", "O"]])

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gatecast.lstm.language.ngram import ngram_cross_entropy


def by_hand(training, tokens, size, context):
    """Witten & Bell's equation, one token at a time."""

    def probability(token, before):
        places = range(len(before), len(training))
        counts = Counter(training[n] for n in places if training[n - len(before) : n] == before)
        below = probability(token, before[1:]) if before else 1 / size
        total = sum(counts.values())
        kinds = len(counts)
        return (counts[token] + kinds * below) / (total + kinds) if total else below

    return [-np.log(probability(tokens[n], tokens[max(0, n - context) : n])) for n in range(1, len(tokens))]


@pytest.mark.parametrize("context", [0, 1, 2, 4])
def test_it_is_the_equation(rng, context):
    training = rng.integers(0, 3, 60).tolist()
    tokens = rng.integers(0, 4, 25).tolist()
    ours = ngram_cross_entropy(np.array(training), np.array(tokens), 4, context)
    np.testing.assert_allclose(ours, by_hand(training, tokens, 4, context), rtol=1e-12)


def test_longer_contexts_expect_a_text_with_structure_better():
    text = np.array([0, 1, 2, 3, 1, 0, 2, 2] * 50)
    losses = [ngram_cross_entropy(text, text, 4, context).mean() for context in (0, 1, 2)]
    assert losses[0] > losses[1] > losses[2]


def test_a_large_vocabulary_shortens_the_context(rng):
    tokens = rng.integers(0, 100_000, 50)
    assert np.isfinite(ngram_cross_entropy(tokens, tokens, 100_000, 8)).all()


def test_a_text_shorter_than_the_context():
    assert len(ngram_cross_entropy(np.array([0, 1]), np.array([1, 0]), 2, 4)) == 1

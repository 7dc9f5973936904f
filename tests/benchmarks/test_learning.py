from __future__ import annotations

import numpy as np

from benchmarks.learning import draw_sequences, wrong_answers


def test_sequences_are_those_of_the_paper(rng):
    x, lengths, targets = draw_sequences(500, rng)
    assert x.shape == (500, 110, 2)
    assert set(lengths) == set(range(100, 111))
    for sequence, length, target in zip(x, lengths, targets, strict=True):
        numbers, markers = sequence[:length].T
        assert not sequence[length:].any()
        assert np.abs(numbers).max() <= 1
        assert markers[-1] == -1
        marked = np.flatnonzero(markers == 1)
        assert len(marked) == 2
        assert marked[0] < 10
        assert marked[1] < 50
        assert set(np.flatnonzero(markers == -1)) <= {0, length - 1}
        first_counts_as_zero = np.where(marked == 0, 0, numbers[marked])
        np.testing.assert_allclose(target[0], 0.5 + first_counts_as_zero.sum() / 4, atol=1e-6)


def test_some_training_is_better_than_none():
    few, more = wrong_answers(0, sequences=8), wrong_answers(0, sequences=8_000)
    assert more < few
    assert few > 1_000

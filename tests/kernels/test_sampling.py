from __future__ import annotations

import numba
import numpy as np
import pytest

from gatecast.kernels.sampling import sample

compiled = numba.njit(lambda *arguments: sample(*arguments))


def frequencies(logits, temperature=1.0, top_k=100, top_p=1.0, draws=4000):
    """Share of each entry over evenly spaced draws."""
    chosen = [
        compiled(np.array(logits, float), temperature, top_k, top_p, draw) for draw in (np.arange(draws) + 0.5) / draws
    ]
    return np.bincount(chosen, minlength=len(logits)) / draws


LOGITS = [0.3, 2.0, -1.0, 1.0, 1.0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_at_a_temperature(temperature):
    probabilities = np.exp(np.array(LOGITS) / temperature)
    np.testing.assert_allclose(frequencies(LOGITS, temperature), probabilities / probabilities.sum(), atol=1e-3)


@pytest.mark.parametrize(("top_k", "kept"), [(1, [1]), (2, [1, 3, 4]), (3, [1, 3, 4]), (4, [0, 1, 3, 4])])
def test_top_k_keeps_the_most_probable_and_those_equal_to_the_last(top_k, kept):
    probabilities = np.zeros(5)
    probabilities[kept] = np.exp(np.array(LOGITS))[kept]
    np.testing.assert_allclose(frequencies(LOGITS, top_k=top_k), probabilities / probabilities.sum(), atol=1e-3)


def test_top_p_keeps_the_smallest_set_of_that_share():
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    for top_p, kept in ((0.3, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.999, 4)):
        assert np.count_nonzero(frequencies(logits, top_p=top_p)) == kept


def test_temperature_zero_is_the_first_of_the_most_probable():
    assert compiled(np.array([0.0, 2.0, 2.0]), 0.0, 5, 1.0, 0.99) == 1


def test_an_entry_of_minus_infinity_is_never_drawn():
    shares = frequencies([-np.inf, 0.0, 0.0])
    assert shares[0] == 0
    assert compiled(np.array([-np.inf, 0.0]), 1.0, 5, 1.0, 0.0) == 1


def test_extreme_logits_and_draws_end():
    assert compiled(np.array([1e30, -1e30, 0.0], np.float32), np.float32(1), 2, np.float32(0.9), np.float32(1.0)) == 0
    assert compiled(np.full(3, np.nan), 1.0, 2, 0.5, 0.5) in (0, 1, 2)

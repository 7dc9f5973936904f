"""The CRF against every tag sequence of tiny sentences, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import get_ops, on_device
from tests.gradcheck import central_difference
from tests.reference import crf_sequences

LENGTHS = np.array([4, 1, 3, 0, 2], np.int64)


class Chain:
    """A random CRF of three tags and a batch of sentences of different lengths, for any backend."""

    def __init__(self, rng, dtype="float64", lengths=LENGTHS, num_tags=3, scale=1.0, seq_len=4):
        shape = (len(lengths), seq_len, num_tags)
        self.transitions, self.start, self.end, self.emissions = (
            scale * rng.normal(size=size).astype(dtype) for size in ((num_tags, num_tags), num_tags, num_tags, shape)
        )
        self.penalties = [np.zeros_like(array) for array in (self.transitions, self.start, self.end)]
        self.tags = rng.integers(0, num_tags, shape[:2])
        self.lengths = lengths
        self.dtype = dtype

    def arguments(self, ops) -> tuple[Any, ...]:
        weights = ops.CRFWeights(*(on_device(ops, array) for array in (self.transitions, self.start, self.end)))
        penalties = ops.CRFWeights(*(on_device(ops, array) for array in self.penalties))
        return weights, penalties, on_device(ops, self.emissions)

    def workspace(self, ops):
        return ops.crf_workspace(*self.emissions.shape, self.dtype)

    def log_partition(self, ops) -> np.ndarray:
        found = ops.zeros(self.lengths.shape, self.dtype)
        ops.crf_log_partition(*self.arguments(ops), on_device(ops, self.lengths), self.workspace(ops), found)
        return ops.to_host(found)

    def marginals(self, ops) -> np.ndarray:
        found = ops.zeros(self.emissions.shape, self.dtype)
        ops.crf_marginals(*self.arguments(ops), on_device(ops, self.lengths), self.workspace(ops), found)
        return ops.to_host(found)

    def viterbi(self, ops) -> tuple[np.ndarray, np.ndarray]:
        tags = ops.zeros(self.tags.shape, "int64")
        scores = ops.zeros(self.lengths.shape, self.dtype)
        ops.crf_viterbi(*self.arguments(ops), on_device(ops, self.lengths), self.workspace(ops), tags, scores)
        return ops.to_host(tags), ops.to_host(scores)

    def loss(self, ops) -> tuple[float, list[np.ndarray]]:
        weights, penalties, emissions = self.arguments(ops)
        gradients = ops.CRFWeights(*(ops.zeros(array.shape, self.dtype) for array in weights))
        d_emissions = ops.zeros(emissions.shape, self.dtype)
        loss = ops.crf_loss(
            weights, penalties, emissions, on_device(ops, self.tags), on_device(ops, self.lengths),
            self.workspace(ops), gradients, d_emissions,
        )  # fmt: skip
        return float(loss), [ops.to_host(array) for array in (*gradients, d_emissions)]

    def sequences(self, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Every tag sequence of a sentence, with its score."""
        weights = self.transitions, self.start, self.end
        weights = [weight.astype(float) + penalty for weight, penalty in zip(weights, self.penalties, strict=True)]
        return crf_sequences(*weights, self.emissions[b, : self.lengths[b]].astype(float))

    def forbid(self):
        """Forbid one transition, one first and one last tag."""
        self.penalties[0][2, 0] = self.penalties[1][1] = self.penalties[2][2] = -np.inf


@pytest.fixture(params=["free", "constrained"])
def chain(request, rng) -> Chain:
    chain = Chain(rng)
    if request.param == "constrained":
        chain.forbid()
        chain.tags[:] = 0  # allowed throughout
    return chain


def test_log_partition_is_that_of_all_sequences(ops, chain):
    found = chain.log_partition(ops)
    for b, length in enumerate(chain.lengths):
        expected = np.logaddexp.reduce(chain.sequences(b)[1]) if length else 0
        assert found[b] == pytest.approx(expected, abs=1e-9)


def test_marginals_are_those_of_all_sequences(ops, chain):
    found = chain.marginals(ops)
    for b, length in enumerate(chain.lengths):
        assert (found[b, length:] == 0).all()
        if length:
            sequences, scores = chain.sequences(b)
            probability = np.exp(scores - np.logaddexp.reduce(scores))
            for t in range(length):
                expected = np.bincount(sequences[:, t], probability, minlength=3)
                np.testing.assert_allclose(found[b, t], expected, atol=1e-9)


def test_viterbi_finds_the_best_of_all_sequences(ops, chain):
    tags, best = chain.viterbi(ops)
    for b, length in enumerate(chain.lengths):
        assert (tags[b, length:] == -1).all()
        if length:
            sequences, scores = chain.sequences(b)
            assert tags[b, :length].tolist() == sequences[scores.argmax()].tolist()
            assert best[b] == pytest.approx(scores.max(), abs=1e-9)
        else:
            assert best[b] == 0


def test_loss_is_the_mean_negative_log_likelihood(ops, chain):
    expected = 0.0
    for b, length in enumerate(chain.lengths):
        if length:
            sequences, scores = chain.sequences(b)
            observed = (sequences == chain.tags[b, :length]).all(axis=1)
            expected += np.logaddexp.reduce(scores) - scores[observed].item()
    assert chain.loss(ops)[0] == pytest.approx(expected / len(chain.lengths), abs=1e-9)


@pytest.mark.parametrize("name", ["transitions", "start", "end", "emissions"])
def test_gradients_agree_with_central_differences(rng, name):
    # The other backend is held against this one below.
    ops = get_ops("cpu")
    chain = Chain(rng)
    gradient = dict(zip(("transitions", "start", "end", "emissions"), chain.loss(ops)[1], strict=True))[name]
    expected = central_difference(lambda: chain.loss(ops)[0], getattr(chain, name))
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


def test_gradients_are_expected_counts_less_observed_ones(ops, chain):
    expected = [np.zeros_like(array) for array in (chain.transitions, chain.start, chain.end, chain.emissions)]
    for b, length in enumerate(chain.lengths):
        if length == 0:
            continue
        sequences, scores = chain.sequences(b)
        weights = np.exp(scores - np.logaddexp.reduce(scores))
        counted = [*zip(sequences, weights, strict=True), (chain.tags[b, :length], -1.0)]
        for sequence, weight in counted:
            expected[1][sequence[0]] += weight
            expected[2][sequence[-1]] += weight
            np.add.at(expected[0], (sequence[:-1], sequence[1:]), weight)
            expected[3][b, np.arange(length), sequence] += weight
    for found, array in zip(chain.loss(ops)[1], expected, strict=True):
        np.testing.assert_allclose(found, array / len(chain.lengths), atol=1e-9)


def test_what_stands_beyond_the_end_changes_nothing(ops, rng):
    chain = Chain(rng)
    before = [chain.log_partition(ops), chain.marginals(ops), *chain.viterbi(ops), *chain.loss(ops)[1]]
    for b, length in enumerate(chain.lengths):
        chain.emissions[b, length:] = np.nan
        chain.tags[b, length:] = -7
    after = [chain.log_partition(ops), chain.marginals(ops), *chain.viterbi(ops), *chain.loss(ops)[1]]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_equal_sequences_the_lowest_tags_win(ops, rng):
    chain = Chain(rng, scale=0.0)
    tags, _ = chain.viterbi(ops)
    for b, length in enumerate(chain.lengths):
        assert (tags[b, :length] == 0).all()


def test_nan_comes_out_of_its_own_sentence_only(ops, rng):
    chain = Chain(rng)
    chain.emissions[2, 1, 1] = np.nan
    assert np.isnan(chain.log_partition(ops)).tolist() == [False, False, True, False, False]
    marginals = chain.marginals(ops)
    assert np.isnan(marginals[2, :3]).all()
    assert not np.isnan(marginals[[0, 1, 3, 4]]).any()
    assert np.isnan(chain.loss(ops)[0])
    tags, _ = chain.viterbi(ops)
    assert ((tags >= -1) & (tags < 3)).all()


def test_both_backends_agree_in_float32(rng):
    cpu = get_ops("cpu")
    cuda = get_ops("cuda")
    chain = Chain(rng, "float32", scale=3.0)
    chain.forbid()
    chain.tags[:] = 0
    np.testing.assert_allclose(chain.log_partition(cpu), chain.log_partition(cuda), rtol=1e-5)
    np.testing.assert_allclose(chain.marginals(cpu), chain.marginals(cuda), atol=1e-5)
    for one, other in zip(chain.loss(cpu)[1], chain.loss(cuda)[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_array_equal(chain.viterbi(cpu)[0], chain.viterbi(cuda)[0])


def long_chains(rng, scale):
    """The same sentences of 1,000 tokens in float32 and float64."""
    lengths = np.array([1000, 990], np.int64)
    single = Chain(rng, "float32", lengths, num_tags=9, scale=scale, seq_len=1000)
    double = Chain(rng, "float64", lengths, num_tags=9, seq_len=1000)
    for name in ("transitions", "start", "end", "emissions"):
        setattr(double, name, getattr(single, name).astype("float64"))
    double.tags = single.tags
    return single, double


# Potentials of 60 a step reach sums that underflow in float32 unless they are formed in logarithms.
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_float32_holds_over_a_thousand_steps(rng, scale):
    ops = get_ops("cpu")
    single, double = long_chains(rng, scale)
    np.testing.assert_allclose(single.log_partition(ops), double.log_partition(ops), rtol=1e-6)
    np.testing.assert_allclose(single.marginals(ops), double.marginals(ops), atol=2e-4)
    np.testing.assert_array_equal(single.viterbi(ops)[0], double.viterbi(ops)[0])
    (loss, gradients), (expected_loss, expected) = single.loss(ops), double.loss(ops)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for found, array in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, array, atol=1e-3 * max(1, np.abs(array).max()))


def test_shards_add_up_to_the_whole(rng):
    """A batch that is spread over threads gives what its sentences give one by one."""
    ops = get_ops("cpu")
    lengths = rng.integers(0, 31, 32)
    chain = Chain(rng, lengths=lengths, num_tags=20, seq_len=30)
    assert len(chain.workspace(ops).rows) > 1
    loss, gradients = chain.loss(ops)
    partition, (tags, scores) = chain.log_partition(ops), chain.viterbi(ops)
    losses = []
    sums = [np.zeros_like(gradient) for gradient in gradients[:3]]
    for b in range(len(lengths)):
        alone = Chain(rng, lengths=lengths[b : b + 1], num_tags=20, seq_len=30)
        alone.transitions = chain.transitions
        alone.start = chain.start
        alone.end = chain.end
        alone.emissions = chain.emissions[b : b + 1]
        alone.tags = chain.tags[b : b + 1]
        assert len(alone.workspace(ops).rows) == 1
        one_loss, one_gradients = alone.loss(ops)
        losses.append(one_loss)
        for total, gradient in zip(sums, one_gradients, strict=False):
            total += gradient
        assert alone.log_partition(ops)[0] == partition[b]
        assert alone.viterbi(ops)[1][0] == scores[b]
        np.testing.assert_array_equal(alone.viterbi(ops)[0][0], tags[b])
        np.testing.assert_allclose(one_gradients[3][0] / 32, gradients[3][b], atol=1e-15)
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    for total, gradient in zip(sums, gradients, strict=False):
        np.testing.assert_allclose(gradient, total / 32, atol=1e-12)


def test_the_same_bits_whatever_the_number_of_threads(rng):
    import numba

    ops = get_ops("cpu")
    lengths = rng.integers(1, 31, 32)
    chain = Chain(rng, "float32", lengths=lengths, num_tags=20, seq_len=30)
    _, several = chain.loss(ops)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        _, one = chain.loss(ops)
    finally:
        numba.set_num_threads(threads)
    for a, b in zip(several, one, strict=True):
        np.testing.assert_array_equal(a, b)

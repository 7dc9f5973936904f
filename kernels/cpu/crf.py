"""A linear-chain conditional random field over sequences of tags (Lafferty, McCallum & Pereira 2001).

The score of a tag sequence ``y`` of length T, for emissions ``e`` (T, K), is::

    s(y) = start[y_0] + sum_t e[t, y_t] + sum_{t>0} transitions[y_{t-1}, y_t] + end[y_{T-1}]

and its probability ``exp(s(y)) / Z``. The partition Z is found by the forward algorithm, the marginals and with them
the gradients by forward-backward (Rabiner 1989, §III), the best sequence by Viterbi's algorithm.

All of it stays in logarithms. From one step to the next the greatest log-potential is taken out and added up apart, in
float64, so that float32 loses nothing however long the sequence is. A step multiplies by ``exp(transitions)``, computed
once a call; where such a sum underflows, which only potentials that lie dozens apart can cause, it is formed anew term
by term.

Sentences are cut into shards, one thread each; every shard adds up its own gradients of the transitions, and these are
summed in order.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.scalar import log_add_exp

__all__ = ["CRFWeights", "crf_log_partition", "crf_loss", "crf_marginals", "crf_viterbi", "crf_workspace"]


class CRFWeights(NamedTuple):
    """Weights of a linear-chain CRF, their gradients, or what is added to them to forbid some transitions."""

    transitions: np.ndarray
    """(K, K), from the row's tag to the column's"""
    start: np.ndarray
    """(K,)"""
    end: np.ndarray
    """(K,)"""


class _Workspace(NamedTuple):
    transitions: np.ndarray  # (2, K, K): with the penalties; as they are, and transposed
    exponentials: np.ndarray  # (2, K, K): exp(transitions - top)
    top: np.ndarray  # (1,): the greatest of the transitions
    start: np.ndarray  # (K,)
    end: np.ndarray  # (K,)
    forward: np.ndarray  # (B, T, K): log-potentials of what ends with a tag at a step
    backward: np.ndarray  # (B, T, K): of what follows, the step's own emission included
    marginals: np.ndarray  # (B, T, K)
    pointers: np.ndarray  # (B, T, K) int32: the best tag before
    rows: np.ndarray  # (shards, 3, K)
    d_transitions: np.ndarray  # (shards, K, K)
    d_ends: np.ndarray  # (shards, 2, K): of start and end
    log_partition: np.ndarray  # (B,) float64
    score: np.ndarray  # (B,) float64: of the observed tags


# Terms of the sums over pairs of tags below which waking another thread would take longer than the work.
_WORTH_THREADS = 1 << 16
_MOST_SHARDS = 16
# Sums below this are formed anew in logarithms; what is lost above it is under the rounding of float32.
_TINY = np.float32(1e-30)


def crf_workspace(batch_size: int, seq_len: int, num_tags: int, dtype: str) -> _Workspace:
    """Allocate what the operations below need for these sizes; reused from call to call."""
    shards = min(batch_size, _MOST_SHARDS) if batch_size * seq_len * num_tags**2 > _WORTH_THREADS else 1

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return _Workspace(
        transitions=zeros(2, num_tags, num_tags),
        exponentials=zeros(2, num_tags, num_tags),
        top=zeros(1),
        start=zeros(num_tags),
        end=zeros(num_tags),
        forward=zeros(batch_size, seq_len, num_tags),
        backward=zeros(batch_size, seq_len, num_tags),
        marginals=zeros(batch_size, seq_len, num_tags),
        pointers=np.zeros((batch_size, seq_len, num_tags), np.int32),
        rows=zeros(shards, 3, num_tags),
        d_transitions=zeros(shards, num_tags, num_tags),
        d_ends=zeros(shards, 2, num_tags),
        log_partition=np.zeros(batch_size),
        score=np.zeros(batch_size),
    )


def crf_log_partition(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    lengths: np.ndarray,
    workspace: _Workspace,
    log_partition: np.ndarray,
) -> None:
    """Logarithm of the sum over all tag sequences of ``exp(score)``.

    Parameters
    ----------
    weights : CRFWeights
    penalties : CRFWeights
        Added to `weights`: 0, or minus infinity where something is forbidden.
    emissions : (B, T, K) array
        What stands beyond a sentence's length is not looked at.
    lengths : (B,) int64 array
        From 0 to T; a sentence of length 0 has one tag sequence, of score 0.
    workspace : from `crf_workspace`
    log_partition : (B,) array
        ``=``
    """
    _prepare(weights, penalties, workspace)
    _log_partitions(emissions, lengths, workspace)
    log_partition[...] = workspace.log_partition


def crf_marginals(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    lengths: np.ndarray,
    workspace: _Workspace,
    marginals: np.ndarray,
) -> None:
    """Probability of each tag at each step, over all tag sequences.

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    marginals : (B, T, K) array
        ``=``; zero beyond a sentence's length.
    """
    _prepare(weights, penalties, workspace)
    _forward_backward(emissions, lengths, workspace)
    marginals[...] = workspace.marginals


def crf_loss(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    tags: np.ndarray,
    lengths: np.ndarray,
    workspace: _Workspace,
    gradients: CRFWeights,
    d_emissions: np.ndarray,
) -> float:
    """Return the negative log-likelihood of the observed tags, its mean over the sentences, with its gradients.

    The gradient of a potential is its expected count less its observed one (Sutton & McCallum 2012, §4.1.1).

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    tags : (B, T) int64 array
        From 0 to K - 1; what stands beyond a sentence's length is not looked at.
    gradients : CRFWeights
        ``=``
    d_emissions : (B, T, K) array
        ``=``; zero beyond a sentence's length.
    """
    _prepare(weights, penalties, workspace)
    _forward_backward(emissions, lengths, workspace)
    return _loss(emissions, tags, lengths, workspace, gradients, d_emissions)


def crf_viterbi(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    lengths: np.ndarray,
    workspace: _Workspace,
    tags: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Best tag sequence of each sentence; of equal ones that whose last differing tag has the lower number.

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    tags : (B, T) int64 array
        ``=``; -1 beyond a sentence's length.
    scores : (B,) array
        ``=``
    """
    _prepare(weights, penalties, workspace)
    _viterbi(emissions, lengths, workspace, tags)
    scores[...] = workspace.score


@kernel
def _prepare(weights, penalties, workspace):
    """Add the penalties, and find the exponentials of the transitions, the greatest of which is 1."""
    tags = weights.start.shape[0]
    transitions, exponentials = workspace.transitions, workspace.exponentials
    for i in range(tags):
        workspace.start[i] = weights.start[i] + penalties.start[i]
        workspace.end[i] = weights.end[i] + penalties.end[i]
        for j in range(tags):
            transitions[0, i, j] = weights.transitions[i, j] + penalties.transitions[i, j]
            transitions[1, j, i] = transitions[0, i, j]
    workspace.top[0] = _greatest(transitions[0].ravel())
    for i in range(tags):
        for j in range(tags):
            exponentials[0, i, j] = np.exp(transitions[0, i, j] - workspace.top[0])
            exponentials[1, j, i] = exponentials[0, i, j]


@kernel
def _greatest(row):
    greatest = row[0]
    for n in range(1, row.shape[0]):
        greatest = max(greatest, row[n])
    return greatest


@kernel
def _log_sum_exp(row):
    greatest = _greatest(row)
    total = row.dtype.type(0)
    for n in range(row.shape[0]):
        total += np.exp(row[n] - greatest)
    return greatest + np.log(total)


@kernel
def _propagate(scores, workspace, direction, weights, propagated):
    """``propagated[j] = log(sum_i exp(scores[i] - s + transitions[i, j]))``; return s, the greatest of the scores."""
    tags, top, shift = scores.shape[0], workspace.top[0], _greatest(scores)
    transitions, exponentials = workspace.transitions[direction], workspace.exponentials[direction]
    for i in range(tags):
        weights[i] = np.exp(scores[i] - shift)
        propagated[i] = 0
    for i in range(tags):
        for j in range(tags):
            propagated[j] += weights[i] * exponentials[i, j]
    for j in range(tags):
        if propagated[j] >= _TINY:
            propagated[j] = top + np.log(propagated[j])
        else:
            total = scores[0] - shift + transitions[0, j]
            for i in range(1, tags):
                total = log_add_exp(total, scores[i] - shift + transitions[i, j])
            propagated[j] = total
    return shift


@kernel
def _forward_sentence(emissions, length, workspace, b, row):
    """Fill a sentence's forward log-potentials, and its log-partition."""
    tags = emissions.shape[1]
    forward, total = workspace.forward[b], 0.0
    if length == 0:
        workspace.log_partition[b] = total
        return
    for j in range(tags):
        forward[0, j] = workspace.start[j] + emissions[0, j]
    for t in range(1, length):
        total += _propagate(forward[t - 1], workspace, 0, row, forward[t])
        for j in range(tags):
            forward[t, j] += emissions[t, j]
    for j in range(tags):
        row[j] = forward[length - 1, j] + workspace.end[j]
    workspace.log_partition[b] = total + _log_sum_exp(row)


@kernel
def _backward_sentence(emissions, length, workspace, b, row):
    """Fill a sentence's backward log-potentials, and the marginals."""
    tags = emissions.shape[1]
    forward, backward, marginals = workspace.forward[b], workspace.backward[b], workspace.marginals[b]
    marginals[max(length, 0) :] = 0
    for t in range(length - 1, -1, -1):
        if t == length - 1:
            for i in range(tags):
                backward[t, i] = workspace.end[i]
        else:
            _propagate(backward[t + 1], workspace, 1, row, backward[t])
        for i in range(tags):
            row[i] = forward[t, i] + backward[t, i]
            backward[t, i] += emissions[t, i]
        normaliser = _log_sum_exp(row)
        for i in range(tags):
            marginals[t, i] = np.exp(row[i] - normaliser)


@kernel
def _add_pairs(length, workspace, b, rows, d_transitions):
    """``d_transitions += `` the probabilities of a sentence's pairs of neighbouring tags."""
    transitions, exponentials = workspace.transitions[0], workspace.exponentials[0]
    tags = transitions.shape[0]
    before, after, sums = rows[0], rows[1], rows[2]
    for t in range(1, length):
        forward, backward = workspace.forward[b, t - 1], workspace.backward[b, t]
        forward_top, backward_top = _greatest(forward), _greatest(backward)
        total = transitions.dtype.type(0)
        for j in range(tags):
            before[j], after[j] = np.exp(forward[j] - forward_top), np.exp(backward[j] - backward_top)
        for i in range(tags):
            sums[i] = 0
            for j in range(tags):
                sums[i] += exponentials[i, j] * after[j]
            total += before[i] * sums[i]
        if total >= _TINY:
            for i in range(tags):
                scale = before[i] / total
                for j in range(tags):
                    d_transitions[i, j] += scale * exponentials[i, j] * after[j]
        else:
            _add_distant_pairs(forward, backward, transitions, forward_top + backward_top, d_transitions)


@kernel
def _add_distant_pairs(forward, backward, transitions, shift, d_transitions):
    """Do the work of a step of `_add_pairs` in logarithms."""
    tags = forward.shape[0]
    total = forward[0] + backward[0] - shift + transitions[0, 0]
    for pair in range(1, tags * tags):
        i, j = pair // tags, pair % tags
        total = log_add_exp(total, forward[i] + backward[j] - shift + transitions[i, j])
    for i in range(tags):
        for j in range(tags):
            d_transitions[i, j] += np.exp(forward[i] + backward[j] - shift + transitions[i, j] - total)


@kernel
def _score(emissions, tags, length, workspace):
    """Return the score of a sentence's tags."""
    if length == 0:
        return 0.0
    total = 0.0 + workspace.start[tags[0]] + emissions[0, tags[0]]
    for t in range(1, length):
        total += workspace.transitions[0, tags[t - 1], tags[t]]
        total += emissions[t, tags[t]]
    return total + workspace.end[tags[length - 1]]


@kernel
def _shard(workspace, shard):
    """Return the first sentence of a shard, and the first of the next."""
    batch_size, shards = workspace.forward.shape[0], workspace.rows.shape[0]
    return shard * batch_size // shards, (shard + 1) * batch_size // shards


def _log_partitions(emissions: np.ndarray, lengths: np.ndarray, workspace: _Workspace) -> None:
    run = _log_partitions_in_parallel if workspace.rows.shape[0] > 1 else _log_partitions_of_shard
    run(emissions, lengths, workspace, 0)


@parallel_kernel
def _log_partitions_in_parallel(emissions, lengths, workspace, first):
    for shard in numba.prange(first, workspace.rows.shape[0]):
        _log_partitions_of_shard(emissions, lengths, workspace, np.int64(shard))


@kernel
def _log_partitions_of_shard(emissions, lengths, workspace, shard):
    first, last = _shard(workspace, shard)
    for b in range(first, last):
        _forward_sentence(emissions[b], lengths[b], workspace, b, workspace.rows[shard, 0])


def _forward_backward(emissions: np.ndarray, lengths: np.ndarray, workspace: _Workspace) -> None:
    run = _forward_backward_in_parallel if workspace.rows.shape[0] > 1 else _forward_backward_of_shard
    run(emissions, lengths, workspace, 0)


@parallel_kernel
def _forward_backward_in_parallel(emissions, lengths, workspace, first):
    for shard in numba.prange(first, workspace.rows.shape[0]):
        _forward_backward_of_shard(emissions, lengths, workspace, np.int64(shard))


@kernel
def _forward_backward_of_shard(emissions, lengths, workspace, shard):
    rows, d_transitions, d_ends = workspace.rows[shard], workspace.d_transitions[shard], workspace.d_ends[shard]
    d_transitions[:] = 0
    d_ends[:] = 0
    first, last = _shard(workspace, shard)
    for b in range(first, last):
        length = lengths[b]
        _forward_sentence(emissions[b], length, workspace, b, rows[0])
        _backward_sentence(emissions[b], length, workspace, b, rows[0])
        _add_pairs(length, workspace, b, rows, d_transitions)
        if length > 0:
            for j in range(emissions.shape[2]):
                d_ends[0, j] += workspace.marginals[b, 0, j]
                d_ends[1, j] += workspace.marginals[b, length - 1, j]


@kernel
def _loss(emissions, tags, lengths, workspace, gradients, d_emissions):
    """Expected counts less observed ones, over the number of sentences."""
    batch_size, _, num_tags = emissions.shape
    d_transitions, d_ends = workspace.d_transitions, workspace.d_ends
    for shard in range(1, d_transitions.shape[0]):
        for i in range(num_tags):
            for j in range(num_tags):
                d_transitions[0, i, j] += d_transitions[shard, i, j]
            d_ends[0, 0, i] += d_ends[shard, 0, i]
            d_ends[0, 1, i] += d_ends[shard, 1, i]
    total = 0.0
    d_emissions[:] = workspace.marginals
    for b in range(batch_size):
        length = lengths[b]
        total += workspace.log_partition[b] - _score(emissions[b], tags[b], length, workspace)
        for t in range(length):
            d_emissions[b, t, tags[b, t]] -= 1
            if t > 0:
                d_transitions[0, tags[b, t - 1], tags[b, t]] -= 1
        if length > 0:
            d_ends[0, 0, tags[b, 0]] -= 1
            d_ends[0, 1, tags[b, length - 1]] -= 1
    scale = emissions.dtype.type(1.0 / batch_size)
    for b in range(batch_size):
        for t in range(lengths[b]):
            for j in range(num_tags):
                d_emissions[b, t, j] *= scale
    for i in range(num_tags):
        gradients.start[i], gradients.end[i] = scale * d_ends[0, 0, i], scale * d_ends[0, 1, i]
        for j in range(num_tags):
            gradients.transitions[i, j] = scale * d_transitions[0, i, j]
    return total / batch_size


def _viterbi(emissions: np.ndarray, lengths: np.ndarray, workspace: _Workspace, tags: np.ndarray) -> None:
    run = _viterbi_in_parallel if workspace.rows.shape[0] > 1 else _viterbi_of_shard
    run(emissions, lengths, workspace, tags, 0)


@parallel_kernel
def _viterbi_in_parallel(emissions, lengths, workspace, tags, first):
    for shard in numba.prange(first, workspace.rows.shape[0]):
        _viterbi_of_shard(emissions, lengths, workspace, tags, np.int64(shard))


@kernel
def _viterbi_of_shard(emissions, lengths, workspace, tags, shard):
    first, last = _shard(workspace, shard)
    for b in range(first, last):
        _viterbi_sentence(emissions[b], lengths[b], workspace, b, workspace.rows[shard], tags[b])
        workspace.score[b] = _score(emissions[b], tags[b], lengths[b], workspace)


@kernel
def _viterbi_sentence(emissions, length, workspace, b, rows, tags):
    num_tags = emissions.shape[1]
    transitions, pointers = workspace.transitions[0], workspace.pointers[b]
    best, candidates = rows[0], rows[1]
    tags[max(length, 0) :] = -1
    if length == 0:
        return
    for j in range(num_tags):
        best[j] = workspace.start[j] + emissions[0, j]
    for t in range(1, length):
        pointer, top = pointers[t], _greatest(best)
        for j in range(num_tags):
            candidates[j] = best[0] - top + transitions[0, j]
            pointer[j] = 0
        for i in range(1, num_tags):
            score = best[i] - top
            for j in range(num_tags):
                is_better = score + transitions[i, j] > candidates[j]
                candidates[j] = score + transitions[i, j] if is_better else candidates[j]
                pointer[j] = np.int32(i) if is_better else pointer[j]
        for j in range(num_tags):
            best[j] = candidates[j] + emissions[t, j]
    tag = 0
    for j in range(1, num_tags):
        if best[j] + workspace.end[j] > best[tag] + workspace.end[tag]:
            tag = j
    for t in range(length - 1, -1, -1):
        tags[t] = tag
        if t > 0:
            tag = int(pointers[t, tag])

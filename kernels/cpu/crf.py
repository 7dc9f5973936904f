"""A linear-chain conditional random field over sequences of tags (Lafferty, McCallum & Pereira 2001).

The score of a tag sequence ``y`` of length T, for emissions ``e`` (T, K), is::

    s(y) = start[y_0] + sum_t e[t, y_t] + sum_{t>0} transitions[y_{t-1}, y_t] + end[y_{T-1}]

and its probability is ``exp(s(y)) / Z``. The forward algorithm computes the partition Z, forward-backward the marginals
and with them the gradients (Rabiner 1989, §III), and Viterbi's algorithm the best sequence.

Sentences are cut into shards, one thread each; every shard adds up its own gradients of the transitions, and these are
summed in order.
"""

from __future__ import annotations

import numba
import numpy as np

from gatecast.kernels.cpu.chain import (
    CRFWeights,
    Workspace,
    add_pairs,
    backward_sentence,
    forward_sentence,
    prepare,
    score_sentence,
    viterbi_sentence,
)
from gatecast.kernels.cpu.compilation import kernel, parallel_kernel

__all__ = ["CRFWeights", "crf_log_partition", "crf_loss", "crf_marginals", "crf_viterbi", "crf_workspace"]


# Terms of the sums over pairs of tags below which waking another thread would take longer than the work.
_WORTH_THREADS = 1 << 16
_MOST_SHARDS = 16


def crf_workspace(batch_size: int, seq_len: int, num_tags: int, dtype: str) -> Workspace:
    """Allocate what the operations below need for these sizes; reused from call to call."""
    shards = min(batch_size, _MOST_SHARDS) if batch_size * seq_len * num_tags**2 > _WORTH_THREADS else 1

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return Workspace(
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
    workspace: Workspace,
    log_partition: np.ndarray,
) -> None:
    """Logarithm of the sum over all tag sequences of ``exp(score)``.

    Parameters
    ----------
    weights : CRFWeights
    penalties : CRFWeights
        Added to `weights`: 0, or minus infinity where something is forbidden.
    emissions : (B, T, K) array
        Values beyond a sentence's length are not read.
    lengths : (B,) int64 array
        From 0 to T; a sentence of length 0 has one tag sequence, of score 0.
    workspace : from `crf_workspace`
    log_partition : (B,) array
        ``=``
    """
    prepare(weights, penalties, workspace)
    _log_partitions(emissions, lengths, workspace)
    log_partition[...] = workspace.log_partition


def crf_marginals(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    lengths: np.ndarray,
    workspace: Workspace,
    marginals: np.ndarray,
) -> None:
    """Probability of each tag at each step, over all tag sequences.

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    marginals : (B, T, K) array
        ``=``; zero beyond a sentence's length.
    """
    prepare(weights, penalties, workspace)
    _forward_backward(emissions, lengths, workspace)
    marginals[...] = workspace.marginals


def crf_loss(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    tags: np.ndarray,
    lengths: np.ndarray,
    workspace: Workspace,
    gradients: CRFWeights,
    d_emissions: np.ndarray,
) -> float:
    """Return the negative log-likelihood of the observed tags, its mean over the sentences, with its gradients.

    The gradient of a potential is its expected count less its observed one (Sutton & McCallum 2012, §4.1.1).

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    tags : (B, T) int64 array
        From 0 to K - 1; values beyond a sentence's length are not read.
    gradients : CRFWeights
        ``=``
    d_emissions : (B, T, K) array
        ``=``; zero beyond a sentence's length.
    """
    prepare(weights, penalties, workspace)
    _forward_backward(emissions, lengths, workspace)
    return _loss(emissions, tags, lengths, workspace, gradients, d_emissions)


def crf_viterbi(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: np.ndarray,
    lengths: np.ndarray,
    workspace: Workspace,
    tags: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Best tag sequence of each sentence; a tie goes to the one whose last differing tag has the lower number.

    Parameters
    ----------
    weights, penalties, emissions, lengths, workspace : as for `crf_log_partition`
    tags : (B, T) int64 array
        ``=``; -1 beyond a sentence's length.
    scores : (B,) array
        ``=``
    """
    prepare(weights, penalties, workspace)
    _viterbi(emissions, lengths, workspace, tags)
    scores[...] = workspace.score


@kernel
def _shard(workspace, shard):
    """Return the first sentence of a shard, and the first of the next."""
    batch_size = workspace.forward.shape[0]
    shards = workspace.rows.shape[0]
    return shard * batch_size // shards, (shard + 1) * batch_size // shards


def _log_partitions(emissions: np.ndarray, lengths: np.ndarray, workspace: Workspace) -> None:
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
        forward_sentence(emissions[b], lengths[b], workspace, b, workspace.rows[shard, 0])


def _forward_backward(emissions: np.ndarray, lengths: np.ndarray, workspace: Workspace) -> None:
    run = _forward_backward_in_parallel if workspace.rows.shape[0] > 1 else _forward_backward_of_shard
    run(emissions, lengths, workspace, 0)


@parallel_kernel
def _forward_backward_in_parallel(emissions, lengths, workspace, first):
    for shard in numba.prange(first, workspace.rows.shape[0]):
        _forward_backward_of_shard(emissions, lengths, workspace, np.int64(shard))


@kernel
def _forward_backward_of_shard(emissions, lengths, workspace, shard):
    rows = workspace.rows[shard]
    d_transitions = workspace.d_transitions[shard]
    d_ends = workspace.d_ends[shard]
    d_transitions[:] = 0
    d_ends[:] = 0
    first, last = _shard(workspace, shard)
    for b in range(first, last):
        length = lengths[b]
        forward_sentence(emissions[b], length, workspace, b, rows[0])
        backward_sentence(emissions[b], length, workspace, b, rows[0])
        add_pairs(length, workspace, b, rows, d_transitions)
        if length > 0:
            for j in range(emissions.shape[2]):
                d_ends[0, j] += workspace.marginals[b, 0, j]
                d_ends[1, j] += workspace.marginals[b, length - 1, j]


@kernel
def _loss(emissions, tags, lengths, workspace, gradients, d_emissions):
    """Expected counts less observed ones, over the number of sentences."""
    batch_size, _, num_tags = emissions.shape
    d_transitions = workspace.d_transitions
    d_ends = workspace.d_ends
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
        total += workspace.log_partition[b] - score_sentence(emissions[b], tags[b], length, workspace)
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
        gradients.start[i] = scale * d_ends[0, 0, i]
        gradients.end[i] = scale * d_ends[0, 1, i]
        for j in range(num_tags):
            gradients.transitions[i, j] = scale * d_transitions[0, i, j]
    return total / batch_size


def _viterbi(emissions: np.ndarray, lengths: np.ndarray, workspace: Workspace, tags: np.ndarray) -> None:
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
        viterbi_sentence(emissions[b], lengths[b], workspace, b, workspace.rows[shard], tags[b])
        workspace.score[b] = score_sentence(emissions[b], tags[b], lengths[b], workspace)

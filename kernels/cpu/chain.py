"""One sentence of a linear-chain CRF: the forward, backward and Viterbi recursions, in memory that all sentences share.

The equations are in `kernels.cpu.crf`; everything stays in logarithms. At every step the greatest log-potential is
taken out and added up separately, in float64, so that float32 loses nothing however long the sequence is. A step
multiplies by ``exp(transitions)``, computed once a call; if such a sum underflows, which only potentials that are
dozens apart can cause, it is computed again term by term.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.scalar import exponential, log_add_exp

__all__ = [
    "CRFWeights",
    "Workspace",
    "add_pairs",
    "backward_sentence",
    "forward_sentence",
    "prepare",
    "score_sentence",
    "viterbi_sentence",
]


class CRFWeights(NamedTuple):
    """Weights of a linear-chain CRF, their gradients, or what is added to them to forbid some transitions."""

    transitions: np.ndarray
    """(K, K), from the row's tag to the column's"""
    start: np.ndarray
    """(K,)"""
    end: np.ndarray
    """(K,)"""


class Workspace(NamedTuple):
    """What the recursions share; see `kernels.cpu.crf.crf_workspace`."""

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


# Sums below this are computed again in logarithms; above it, what is lost is less than the rounding of float32.
_TINY = np.float32(1e-30)


@kernel
def prepare(weights, penalties, workspace):
    """Add the penalties, and compute the exponentials of the transitions, scaled so that the greatest is 1."""
    tags = weights.start.shape[0]
    transitions = workspace.transitions
    exponentials = workspace.exponentials
    for i in range(tags):
        workspace.start[i] = weights.start[i] + penalties.start[i]
        workspace.end[i] = weights.end[i] + penalties.end[i]
        for j in range(tags):
            transitions[0, i, j] = weights.transitions[i, j] + penalties.transitions[i, j]
            transitions[1, j, i] = transitions[0, i, j]
    workspace.top[0] = _greatest(transitions[0].ravel())
    for i in range(tags):
        for j in range(tags):
            exponentials[0, i, j] = exponential(transitions[0, i, j] - workspace.top[0])
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
        total += exponential(row[n] - greatest)
    return greatest + np.log(total)


@kernel
def _propagate(scores, workspace, direction, weights, propagated):
    """``propagated[j] = log(sum_i exp(scores[i] - s + transitions[i, j]))``; return s, the greatest of the scores."""
    tags = scores.shape[0]
    top = workspace.top[0]
    shift = _greatest(scores)
    transitions = workspace.transitions[direction]
    exponentials = workspace.exponentials[direction]
    for i in range(tags):
        weights[i] = exponential(scores[i] - shift)
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
def forward_sentence(emissions, length, workspace, b, row):
    """Fill a sentence's forward log-potentials, and its log-partition."""
    tags = emissions.shape[1]
    forward = workspace.forward[b]
    total = 0.0
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
def backward_sentence(emissions, length, workspace, b, row):
    """Fill a sentence's backward log-potentials, and the marginals."""
    tags = emissions.shape[1]
    forward = workspace.forward[b]
    backward = workspace.backward[b]
    marginals = workspace.marginals[b]
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
            marginals[t, i] = exponential(row[i] - normaliser)


@kernel
def add_pairs(length, workspace, b, rows, d_transitions):
    """``d_transitions +=`` the probabilities of a sentence's pairs of neighbouring tags."""
    transitions = workspace.transitions[0]
    exponentials = workspace.exponentials[0]
    tags = transitions.shape[0]
    before = rows[0]
    after = rows[1]
    sums = rows[2]
    for t in range(1, length):
        forward = workspace.forward[b, t - 1]
        backward = workspace.backward[b, t]
        forward_top = _greatest(forward)
        backward_top = _greatest(backward)
        total = transitions.dtype.type(0)
        for j in range(tags):
            before[j] = exponential(forward[j] - forward_top)
            after[j] = exponential(backward[j] - backward_top)
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
    """Do the work of a step of `add_pairs` in logarithms."""
    tags = forward.shape[0]
    total = forward[0] + backward[0] - shift + transitions[0, 0]
    for pair in range(1, tags * tags):
        i = pair // tags
        j = pair % tags
        total = log_add_exp(total, forward[i] + backward[j] - shift + transitions[i, j])
    for i in range(tags):
        for j in range(tags):
            d_transitions[i, j] += exponential(forward[i] + backward[j] - shift + transitions[i, j] - total)


@kernel
def score_sentence(emissions, tags, length, workspace):
    """Return the score of a sentence's tags."""
    if length == 0:
        return 0.0
    total = 0.0 + workspace.start[tags[0]] + emissions[0, tags[0]]
    for t in range(1, length):
        total += workspace.transitions[0, tags[t - 1], tags[t]]
        total += emissions[t, tags[t]]
    return total + workspace.end[tags[length - 1]]


@kernel
def viterbi_sentence(emissions, length, workspace, b, rows, tags):
    """Write the best tags of a sentence; -1 after its end."""
    num_tags = emissions.shape[1]
    transitions = workspace.transitions[0]
    pointers = workspace.pointers[b]
    best = rows[0]
    candidates = rows[1]
    tags[max(length, 0) :] = -1
    if length == 0:
        return
    for j in range(num_tags):
        best[j] = workspace.start[j] + emissions[0, j]
    for t in range(1, length):
        pointer = pointers[t]
        top = _greatest(best)
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

"""A linear-chain conditional random field on the GPU: a launch per time step, a thread per sentence and tag.

A plain version of `kernels.cpu.crf`, with the same host-level operations. Every sum runs in one thread from first to
last, so the same input gives the same bits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.arrays import copy_array
from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.reduction import DeviceNumber
from gatecast.kernels.scalar import log_add_exp

__all__ = ["CRFWeights", "crf_log_partition", "crf_loss", "crf_marginals", "crf_viterbi", "crf_workspace"]


class CRFWeights(NamedTuple):
    """Weights of a linear-chain CRF, their gradients, or what is added to them to forbid some transitions."""

    transitions: Any
    """(K, K), from the row's tag to the column's"""
    start: Any
    """(K,)"""
    end: Any
    """(K,)"""


class _Workspace(NamedTuple):
    transitions: Any  # (K, K): with the penalties
    start: Any  # (K,)
    end: Any  # (K,)
    forward: Any  # (B, T, K): log-potentials of what ends with a tag at a step
    backward: Any  # (B, T, K): of what follows
    marginals: Any  # (B, T, K)
    pointers: Any  # (B, T, K) int32: the best tag before
    pair_normaliser: Any  # (B, T)
    log_partition: Any  # (B,) float64
    score: Any  # (B,) float64


def crf_workspace(batch_size: int, seq_len: int, num_tags: int, dtype: str) -> _Workspace:
    """Allocate what the operations below need for these sizes; reused from call to call."""
    potentials = (batch_size, seq_len, num_tags)
    return _Workspace(
        transitions=new_array((num_tags, num_tags), dtype),
        start=new_array(num_tags, dtype),
        end=new_array(num_tags, dtype),
        forward=new_array(potentials, dtype),
        backward=new_array(potentials, dtype),
        marginals=new_array(potentials, dtype),
        pointers=new_array(potentials, np.int32),
        pair_normaliser=new_array((batch_size, seq_len), dtype),
        log_partition=new_array(batch_size, np.float64),
        score=new_array(batch_size, np.float64),
    )


def crf_log_partition(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: Any,
    lengths: Any,
    workspace: _Workspace,
    log_partition: Any,
) -> None:
    """Logarithm of the partition; arguments as `kernels.cpu.crf.crf_log_partition`."""
    _run_forward(weights, penalties, emissions, lengths, workspace)
    copy_array(workspace.log_partition, log_partition)


def crf_marginals(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: Any,
    lengths: Any,
    workspace: _Workspace,
    marginals: Any,
) -> None:
    """Probability of each tag at each step; arguments as `kernels.cpu.crf.crf_marginals`."""
    _run_forward_backward(weights, penalties, emissions, lengths, workspace)
    copy_array(workspace.marginals, marginals)


def crf_loss(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: Any,
    tags: Any,
    lengths: Any,
    workspace: _Workspace,
    gradients: CRFWeights,
    d_emissions: Any,
) -> DeviceNumber:
    """Return the mean negative log-likelihood, with its gradients; arguments as `kernels.cpu.crf.crf_loss`."""
    batch_size, seq_len, num_tags = emissions.shape
    _run_forward_backward(weights, penalties, emissions, lengths, workspace)
    _run_scores(emissions, tags, lengths, workspace)
    scale = np.dtype(emissions.dtype).type(1 / batch_size)
    launch(_emission_gradient, (batch_size, seq_len), workspace.marginals, tags, lengths, scale, d_emissions)
    launch(_end_gradients, num_tags, workspace.marginals, tags, lengths, scale, gradients.start, gradients.end)
    launch(
        _pair_normalisers, (batch_size, seq_len), workspace.transitions, emissions, workspace.forward,
        workspace.backward, lengths, workspace.pair_normaliser,
    )  # fmt: skip
    launch(
        _transition_gradient, (num_tags, num_tags), workspace.transitions, emissions, workspace.forward,
        workspace.backward, workspace.pair_normaliser, tags, lengths, scale, gradients.transitions,
    )  # fmt: skip
    loss = new_array(1, np.float64)
    run(_mean_loss, 1, 1, 0, workspace.log_partition, workspace.score, loss)
    return DeviceNumber(loss)


def crf_viterbi(
    weights: CRFWeights,
    penalties: CRFWeights,
    emissions: Any,
    lengths: Any,
    workspace: _Workspace,
    tags: Any,
    scores: Any,
) -> None:
    """Best tag sequence of each sentence; arguments as `kernels.cpu.crf.crf_viterbi`."""
    batch_size, seq_len, num_tags = emissions.shape
    _add_penalties(weights, penalties, workspace)
    launch(_first_step, (batch_size, num_tags), workspace.start, emissions, workspace.forward)
    for t in range(1, seq_len):
        launch(
            _viterbi_step, (batch_size, num_tags), t, workspace.transitions, emissions, lengths,
            workspace.forward, workspace.pointers,
        )  # fmt: skip
    launch(_trace_back, batch_size, workspace.end, workspace.forward, workspace.pointers, lengths, tags)
    _run_scores(emissions, tags, lengths, workspace)
    copy_array(workspace.score, scores)


def _add_penalties(weights: CRFWeights, penalties: CRFWeights, workspace: _Workspace) -> None:
    num_tags = weights.start.shape[0]
    launch(_sum, (num_tags, num_tags), weights.transitions, penalties.transitions, workspace.transitions)
    for ends in ("start", "end"):
        row = (1, num_tags)
        arrays = [getattr(part, ends).reshape(row) for part in (weights, penalties, workspace)]
        launch(_sum, row, *arrays)


def _run_forward(
    weights: CRFWeights, penalties: CRFWeights, emissions: Any, lengths: Any, workspace: _Workspace
) -> None:
    batch_size, seq_len, num_tags = emissions.shape
    _add_penalties(weights, penalties, workspace)
    launch(_first_step, (batch_size, num_tags), workspace.start, emissions, workspace.forward)
    for t in range(1, seq_len):
        launch(_forward_step, (batch_size, num_tags), t, workspace.transitions, emissions, lengths, workspace.forward)
    launch(_log_partition, batch_size, workspace.end, workspace.forward, lengths, workspace.log_partition)


def _run_forward_backward(
    weights: CRFWeights, penalties: CRFWeights, emissions: Any, lengths: Any, workspace: _Workspace
) -> None:
    batch_size, seq_len, num_tags = emissions.shape
    _run_forward(weights, penalties, emissions, lengths, workspace)
    for t in range(seq_len - 1, -1, -1):
        launch(
            _backward_step, (batch_size, num_tags), t, workspace.transitions, workspace.end, emissions, lengths,
            workspace.backward,
        )  # fmt: skip
    launch(_marginals, (batch_size, seq_len), workspace.forward, workspace.backward, lengths, workspace.marginals)


def _run_scores(emissions: Any, tags: Any, lengths: Any, workspace: _Workspace) -> None:
    launch(
        _scores, emissions.shape[0], workspace.transitions, workspace.start, workspace.end, emissions, tags, lengths,
        workspace.score,
    )  # fmt: skip


@kernel
def _mean_loss(log_partition, score, loss):
    total = np.float64(0)
    for b in range(score.shape[0]):
        total += log_partition[b] - score[b]
    loss[0] = total / score.shape[0]


@kernel
def _sum(a, b, total):
    j, i = cuda.grid(2)
    if i < total.shape[0] and j < total.shape[1]:
        total[i, j] = a[i, j] + b[i, j]


@kernel
def _first_step(start, emissions, forward):
    j, b = cuda.grid(2)
    if b < forward.shape[0] and j < forward.shape[2]:
        forward[b, 0, j] = start[j] + emissions[b, 0, j]


@kernel
def _forward_step(t, transitions, emissions, lengths, forward):
    j, b = cuda.grid(2)
    if b >= forward.shape[0] or j >= forward.shape[2] or t >= lengths[b]:
        return
    shift = forward[b, t - 1, 0]
    for i in range(1, forward.shape[2]):
        shift = max(shift, forward[b, t - 1, i])
    total = forward[b, t - 1, 0] - shift + transitions[0, j]
    for i in range(1, forward.shape[2]):
        total = log_add_exp(total, forward[b, t - 1, i] - shift + transitions[i, j])
    forward[b, t, j] = total + emissions[b, t, j]


@kernel
def _log_partition(end, forward, lengths, log_partition):
    b = cuda.grid(1)
    if b >= forward.shape[0]:
        return
    log_partition[b] = 0
    for t in range(lengths[b] - 1):
        shift = forward[b, t, 0]
        for i in range(1, forward.shape[2]):
            shift = max(shift, forward[b, t, i])
        log_partition[b] += shift
    if lengths[b] > 0:
        total = forward[b, lengths[b] - 1, 0] + end[0]
        for i in range(1, forward.shape[2]):
            total = log_add_exp(total, forward[b, lengths[b] - 1, i] + end[i])
        log_partition[b] += total


@kernel
def _backward_step(t, transitions, end, emissions, lengths, backward):
    i, b = cuda.grid(2)
    if b >= backward.shape[0] or i >= backward.shape[2] or t >= lengths[b]:
        return
    if t == lengths[b] - 1:
        backward[b, t, i] = end[i]
        return
    shift = emissions[b, t + 1, 0] + backward[b, t + 1, 0]
    for j in range(1, backward.shape[2]):
        shift = max(shift, emissions[b, t + 1, j] + backward[b, t + 1, j])
    total = emissions[b, t + 1, 0] + backward[b, t + 1, 0] - shift + transitions[i, 0]
    for j in range(1, backward.shape[2]):
        total = log_add_exp(total, emissions[b, t + 1, j] + backward[b, t + 1, j] - shift + transitions[i, j])
    backward[b, t, i] = total


@kernel
def _marginals(forward, backward, lengths, marginals):
    t, b = cuda.grid(2)
    if b >= marginals.shape[0] or t >= marginals.shape[1]:
        return
    tags = marginals.shape[2]
    if t >= lengths[b]:
        for j in range(tags):
            marginals[b, t, j] = 0
        return
    total = forward[b, t, 0] + backward[b, t, 0]
    for j in range(1, tags):
        total = log_add_exp(total, forward[b, t, j] + backward[b, t, j])
    for j in range(tags):
        marginals[b, t, j] = math.exp(forward[b, t, j] + backward[b, t, j] - total)


@kernel
def _pair_normalisers(transitions, emissions, forward, backward, lengths, normaliser):
    t, b = cuda.grid(2)
    if b >= normaliser.shape[0] or t >= normaliser.shape[1] or t == 0 or t >= lengths[b]:
        return
    tags = transitions.shape[0]
    total = forward[b, t - 1, 0] + transitions[0, 0] + (emissions[b, t, 0] + backward[b, t, 0])
    for pair in range(1, tags * tags):
        i = pair // tags
        j = pair % tags
        after = emissions[b, t, j] + backward[b, t, j]
        total = log_add_exp(total, forward[b, t - 1, i] + transitions[i, j] + after)
    normaliser[b, t] = total


@kernel
def _transition_gradient(transitions, emissions, forward, backward, normaliser, tags, lengths, scale, gradient):
    j, i = cuda.grid(2)
    if i >= gradient.shape[0] or j >= gradient.shape[1]:
        return
    total = transitions.dtype.type(0)
    for b in range(forward.shape[0]):
        for t in range(1, lengths[b]):
            after = emissions[b, t, j] + backward[b, t, j]
            total += math.exp(forward[b, t - 1, i] + transitions[i, j] + after - normaliser[b, t])
            if tags[b, t - 1] == i and tags[b, t] == j:
                total -= transitions.dtype.type(1)
    gradient[i, j] = scale * total


@kernel
def _end_gradients(marginals, tags, lengths, scale, start, end):
    j = cuda.grid(1)
    if j >= start.shape[0]:
        return
    first, last = marginals.dtype.type(0), marginals.dtype.type(0)
    for b in range(marginals.shape[0]):
        if lengths[b] > 0:
            stop = lengths[b] - 1
            first += marginals[b, 0, j]
            last += marginals[b, stop, j]
            if tags[b, 0] == j:
                first -= marginals.dtype.type(1)
            if tags[b, stop] == j:
                last -= marginals.dtype.type(1)
    start[j] = scale * first
    end[j] = scale * last


@kernel
def _emission_gradient(marginals, tags, lengths, scale, gradient):
    t, b = cuda.grid(2)
    if b >= marginals.shape[0] or t >= marginals.shape[1]:
        return
    for j in range(marginals.shape[2]):
        gradient[b, t, j] = scale * marginals[b, t, j]
    if t < lengths[b]:
        gradient[b, t, tags[b, t]] -= scale


@kernel
def _scores(transitions, start, end, emissions, tags, lengths, score):
    b = cuda.grid(1)
    if b >= score.shape[0]:
        return
    score[b] = 0
    if lengths[b] > 0:
        score[b] += start[tags[b, 0]]
        for t in range(lengths[b]):
            score[b] += emissions[b, t, tags[b, t]]
            if t > 0:
                score[b] += transitions[tags[b, t - 1], tags[b, t]]
        score[b] += end[tags[b, lengths[b] - 1]]


@kernel
def _viterbi_step(t, transitions, emissions, lengths, best, pointers):
    j, b = cuda.grid(2)
    if b >= best.shape[0] or j >= best.shape[2] or t >= lengths[b]:
        return
    top = best[b, t - 1, 0]
    for i in range(1, best.shape[2]):
        top = max(top, best[b, t - 1, i])
    pointer = 0
    score = best[b, t - 1, 0] - top + transitions[0, j]
    for i in range(1, best.shape[2]):
        candidate = best[b, t - 1, i] - top + transitions[i, j]
        if candidate > score:
            pointer = i
            score = candidate
    best[b, t, j] = score + emissions[b, t, j]
    pointers[b, t, j] = pointer


@kernel
def _trace_back(end, best, pointers, lengths, tags):
    b = cuda.grid(1)
    if b >= tags.shape[0]:
        return
    for t in range(lengths[b], tags.shape[1]):
        tags[b, t] = -1
    last = lengths[b] - 1
    if last < 0:
        return
    tag = 0
    for j in range(1, best.shape[2]):
        if best[b, last, j] + end[j] > best[b, last, tag] + end[tag]:
            tag = j
    for t in range(last, -1, -1):
        tags[b, t] = tag
        if t > 0:
            tag = pointers[b, t, tag]

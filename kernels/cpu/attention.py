"""Attention of one query per sequence over the steps of that sequence.

A score for each step and head, softmax over the true steps, and the mean of the steps with these weights. The features
of query, keys and values are cut into `heads` equal parts, each with its own scores and weights.

The sequences are cut into shards, one thread each, and a sequence is finished while its steps are in cache. A sum over
its steps is a product with one row per head: the mean, for instance, is ``weights (heads, T) @ values (T, D)``, and of
the row of a head only the columns of that head are used. In the other direction, where more products follow, each head
has a row that is zero in the columns of the other heads, and one product spreads all of them over the steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import kernel, parallel_kernel
from gatecast.kernels.cpu.dot import dot_rows
from gatecast.kernels.cpu.pack import copy_line, padded, panels_shape, product
from gatecast.kernels.scalar import exponential, multiply_add

__all__ = [
    "AttentionWorkspace",
    "attend",
    "attend_backward",
    "attention_workspace",
    "dot_attention_backward",
    "dot_attention_forward",
    "multiply_steps",
    "score",
    "sequences_of",
    "spread_heads",
]


class AttentionWorkspace(NamedTuple):
    """Features are padded to whole panels: P of a value, Q of a key; the padding stays zero."""

    shard_rows: int
    steps: np.ndarray  # (shards, T, P): the values of a sequence; with additive scores, then their gradients
    coefficients: np.ndarray  # (shards, 2 * heads, T): weights, then gradients of the scores
    rows: np.ndarray  # (shards, heads, P): d_context, each head's features in a row; for additive scores
    sums: np.ndarray  # (shards, heads, P)
    keys: np.ndarray  # (B, T, Q): tanh(query + key), then its gradient
    d_tanh: np.ndarray  # (shards, T, Q)
    key_sums: np.ndarray  # (shards, heads, Q)
    key_rows: np.ndarray  # (shards, 1, Q): query, then its gradient
    v_rows: np.ndarray  # (heads, Q): v, each head's features in a separate row
    d_v: np.ndarray  # (shards, 1, Q)
    d_key_weight: np.ndarray  # (shards, A, P)
    forward_panels: np.ndarray  # packed key_weight.T
    backward_panels: np.ndarray  # packed key_weight
    ones: np.ndarray  # (1, T)


# Numbers in the values below which waking another thread would take longer than the work.
_WORTH_THREADS = 1 << 14
# Each shard has its own sum of weight gradients.
_MOST_SHARDS = 16


def attention_workspace(
    batch_size: int, seq_len: int, size: int, heads: int, dtype: str, attention_size: int = 0
) -> AttentionWorkspace:
    """Allocate what attention over values (B, T, size) needs; reused from call to call.

    Additive scores have keys of `attention_size` features; without them it is 0.
    """
    shard_rows = -(-batch_size // _MOST_SHARDS) if batch_size * seq_len * size > _WORTH_THREADS else batch_size
    shards = -(-batch_size // shard_rows)
    width = padded(size, dtype)
    key_width = padded(attention_size, dtype)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return AttentionWorkspace(
        shard_rows=shard_rows,
        steps=zeros(shards, seq_len, width),
        coefficients=zeros(shards, 2 * heads, seq_len),
        rows=zeros(shards, heads, width),
        sums=zeros(shards, heads, width),
        keys=zeros(batch_size, seq_len, key_width),
        d_tanh=zeros(shards, seq_len, key_width),
        key_sums=zeros(shards, heads, key_width),
        key_rows=zeros(shards, 1, key_width),
        v_rows=zeros(heads, key_width),
        d_v=zeros(shards, 1, key_width),
        d_key_weight=zeros(shards, attention_size, width),
        forward_panels=zeros(*panels_shape(size, attention_size, dtype)),
        backward_panels=zeros(*panels_shape(attention_size, size, dtype)),
        ones=np.ones((1, seq_len), dtype),
    )


def dot_attention_forward(
    query: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    workspace: AttentionWorkspace,
    weights: np.ndarray,
    context: np.ndarray,
) -> None:
    """Attend with the score ``query . value`` (Luong, Pham & Manning 2015, arXiv 1508.04025, eq. 8).

    Parameters
    ----------
    query : (B, D) array
    values : (B, T, D) array
        Values after the end of a sequence are not read.
    lengths : (B,) int64 array
        True length of each sequence, at least 1.
    workspace : from `attention_workspace`
    weights : (B, heads, T) array
        ``=`` softmax of the scores over the steps of each sequence, zero after its end; heads divides D.
    context : (B, D or more) array
        ``=`` sum of the values, weighted, in the first D columns.
    """
    if workspace.steps.shape[0] > 1:
        run(_dot_forward, query, values, lengths, workspace, weights, context)
    else:
        run(_dot_forward_shard, query, values, lengths, workspace, weights, context, 0)


def dot_attention_backward(
    query: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    d_context: np.ndarray,
    workspace: AttentionWorkspace,
    d_query: np.ndarray,
    d_values: np.ndarray,
) -> None:
    """Back-propagate through `dot_attention_forward`, whose arguments and weights these are.

    Parameters
    ----------
    query, values, lengths, weights
        As in the forward pass, unchanged since.
    d_context : (B, D or more) array
        Gradient of the context in the first D columns.
    workspace : from `attention_workspace`
    d_query : (B, D) array
        ``=``
    d_values : (B, T, D) array
        ``=``, zero after the end of a sequence; `values` itself, which is overwritten then, or other memory.
    """
    if workspace.steps.shape[0] > 1:
        run(_dot_backward, query, values, lengths, weights, d_context, workspace, d_query, d_values)
    else:
        run(_dot_backward_shard, query, values, lengths, weights, d_context, workspace, d_query, d_values, 0)


@parallel_kernel
def _dot_forward(query, values, lengths, workspace, weights, context):
    for shard in numba.prange(workspace.steps.shape[0]):
        _dot_forward_shard(query, values, lengths, workspace, weights, context, np.int64(shard))


@kernel
def _dot_forward_shard(query, values, lengths, workspace, weights, context, shard):
    for b in range(*sequences_of(workspace, shard, values)):
        steps = borrowed(values)[b, : lengths[b]]
        alphas = borrowed(weights)[b]
        score(steps, borrowed(query)[b], alphas)
        attend(steps, workspace, shard, alphas, borrowed(context)[b])


@parallel_kernel
def _dot_backward(query, values, lengths, weights, d_context, workspace, d_query, d_values):
    for shard in numba.prange(workspace.steps.shape[0]):
        _dot_backward_shard(query, values, lengths, weights, d_context, workspace, d_query, d_values, np.int64(shard))


@kernel
def _dot_backward_shard(query, values, lengths, weights, d_context, workspace, d_query, d_values, shard):
    size = values.shape[2]
    heads = weights.shape[1]
    sums = borrowed(workspace.sums)[shard]
    for b in range(*sequences_of(workspace, shard, values)):
        length = lengths[b]
        steps = borrowed(values)[b, :length]
        coefficients = borrowed(workspace.coefficients)[shard, :, :length]
        attend_backward(steps, borrowed(weights)[b], borrowed(d_context)[b, :size], coefficients)
        multiply_steps(coefficients[heads:], steps, workspace, shard, sums, False)
        _gather_heads(sums, borrowed(d_query)[b])
        _spread(coefficients, borrowed(d_context)[b, :size], borrowed(query)[b], borrowed(d_values)[b])


@kernel
def sequences_of(workspace, shard, values):
    """Return the sequences of a shard: the first, and the one after the last."""
    first = shard * workspace.shard_rows
    return first, min(first + workspace.shard_rows, values.shape[0])


@kernel
def score(steps, vector, scores):
    """``scores[head, t] = vector . steps[t]`` over the features of a head."""
    heads = scores.shape[0]
    size = vector.shape[0] // heads
    for head in range(heads):
        first, last = head * size, (head + 1) * size
        dot_rows(steps[:, first:last], vector[first:last], scores[head])


@kernel
def attend(steps, workspace, shard, weights, context):
    """Turn the scores (heads, T) of one sequence into weights, and add up its steps (length, D) with them."""
    length = steps.shape[0]
    sums = borrowed(workspace.sums)[shard]
    for head in range(weights.shape[0]):
        _softmax(weights[head], length)
    multiply_steps(weights[:, :length], steps, workspace, shard, sums, False)
    _gather_heads(sums, context[: steps.shape[1]])


@kernel
def _softmax(scores, length):
    """Softmax of the first `length` scores, in place; zero beyond."""
    greatest = scores[0]
    for t in range(1, length):
        greatest = max(greatest, scores[t])
    for t in range(length):
        scores[t] = exponential(scores[t] - greatest)
    total = scores.dtype.type(0)
    for t in range(length):
        total += scores[t]
    for t in range(length):
        scores[t] /= total
    scores[length:] = 0


@kernel
def attend_backward(steps, weights, d_context, coefficients):
    """Write the weights, then the gradients of the scores, of the true steps, (2 * heads, length)."""
    heads = weights.shape[0]
    length = steps.shape[0]
    d_scores = coefficients[heads:]
    score(steps, d_context, d_scores)
    for head in range(heads):
        mean = weights.dtype.type(0)
        for t in range(length):
            mean = multiply_add(weights[head, t], d_scores[head, t], mean)
        for t in range(length):
            coefficients[head, t] = weights[head, t]
            d_scores[head, t] = weights[head, t] * (d_scores[head, t] - mean)


@kernel
def multiply_steps(a, steps, workspace, shard, c, accumulate):
    """``c = a @ steps``, or ``+=``, for steps (length, D) that become whole panels first if they are not."""
    wide = borrowed(workspace.steps)[shard, : steps.shape[0]]
    if steps.shape[1] == wide.shape[1]:
        product(a, steps, c, accumulate)
        return
    for t in range(wide.shape[0]):
        copy_line(steps[t], wide[t])
        wide[t, steps.shape[1] :] = 0
    product(a, wide, c, accumulate)


@kernel
def _spread(coefficients, d_context, query, d_values):
    """Write the gradient of one sequence's values (T, D) where scores are dot products, zero after its end."""
    heads = coefficients.shape[0] // 2
    length = coefficients.shape[1]
    size = query.shape[0] // heads
    for head in range(heads):
        features = slice(head * size, (head + 1) * size)
        d_mean = d_context[features]
        asked = query[features]
        for t in range(length):
            weight = coefficients[head, t]
            d_score = coefficients[heads + head, t]
            line = d_values[t][features]
            for j in range(size):
                line[j] = multiply_add(d_score, asked[j], weight * d_mean[j])
    d_values[length:] = 0


@kernel
def spread_heads(vector, rows):
    """Put each head's features of `vector` into a separate row, zeros in the columns of other heads."""
    heads = rows.shape[0]
    size = vector.shape[0] // heads
    for head in range(heads):
        rows[head] = 0
        for j in range(head * size, (head + 1) * size):
            rows[head, j] = vector[j]


@kernel
def _gather_heads(rows, vector):
    """Undo `spread_heads`: of each row, take the columns of its head."""
    size = vector.shape[0] // rows.shape[0]
    for head in range(rows.shape[0]):
        for j in range(head * size, (head + 1) * size):
            vector[j] = rows[head, j]

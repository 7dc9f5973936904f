"""Attention with additive scores, ``v . tanh(query + key)``, in the same workspace as attention with dot products.

The keys are a separate product for each step; the tanh is kept for the backward pass.
"""

from __future__ import annotations

import numba
import numpy as np

from gatecast.kernels.cpu.activation import tanh_line
from gatecast.kernels.cpu.attention import (
    AttentionWorkspace,
    attend,
    attend_backward,
    multiply_steps,
    score,
    sequences_of,
    spread_heads,
)
from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import kernel, parallel_kernel
from gatecast.kernels.cpu.pack import copy, copy_line, pack, product, sum_shards
from gatecast.kernels.scalar import tanh_derivative

__all__ = ["additive_attention_backward", "additive_attention_forward"]


def additive_attention_forward(
    query: np.ndarray,
    key_weight: np.ndarray,
    v: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    workspace: AttentionWorkspace,
    weights: np.ndarray,
    context: np.ndarray,
) -> None:
    """Attend with ``v . tanh(query + key_weight @ value)`` (Bahdanau, Cho & Bengio 2015, arXiv 1409.0473, A.1.2).

    Parameters
    ----------
    query : (B, A) array
    key_weight : (A, D) array
    v : (A,) array
        heads divides A.
    values, lengths, weights, context
        As in `dot_attention_forward`.
    workspace : from `attention_workspace`
        ``=``: keeps the tanh, which the backward pass needs.
    """
    if workspace.steps.shape[0] > 1:
        run(_additive_forward, query, key_weight, v, values, lengths, workspace, weights, context)
    else:
        run(pack, key_weight.T, workspace.forward_panels, 0, 0)
        run(_additive_forward_shard, query, v, values, lengths, workspace, weights, context, 0)


def additive_attention_backward(
    key_weight: np.ndarray,
    v: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    d_context: np.ndarray,
    workspace: AttentionWorkspace,
    d_query: np.ndarray,
    d_key_weight: np.ndarray,
    d_v: np.ndarray,
    d_values: np.ndarray,
) -> None:
    """Back-propagate through `additive_attention_forward`, whose arguments and weights these are, once.

    Parameters
    ----------
    key_weight, v, values, lengths, weights
        As in the forward pass, unchanged since.
    d_context : (B, D or more) array
        Gradient of the context in the first D columns.
    workspace : from `attention_workspace`
        As the forward pass left it; the tanh in it is overwritten.
    d_query : (B, A) array
        ``=``
    d_key_weight : (A, D) array
        ``=``
    d_v : (A,) array
        ``=``
    d_values : (B, T, D) array
        ``=``, zero after the end of a sequence; `values` itself, which is overwritten then, or other memory.
    """
    run(_additive_backward, key_weight, v, values, lengths, weights, d_context, workspace, d_query, d_values)
    run(_sum_gradients, workspace, d_key_weight, d_v)


@parallel_kernel
def _additive_forward(query, key_weight, v, values, lengths, workspace, weights, context):
    pack(key_weight.T, workspace.forward_panels, 0)
    for shard in numba.prange(workspace.steps.shape[0]):
        _additive_forward_shard(query, v, values, lengths, workspace, weights, context, np.int64(shard))


@kernel
def _additive_forward_shard(query, v, values, lengths, workspace, weights, context, shard):
    row = borrowed(workspace.key_rows)[shard]
    for b in range(*sequences_of(workspace, shard, values)):
        length = lengths[b]
        steps = borrowed(values)[b, :length]
        keys = borrowed(workspace.keys)[b, :length]
        alphas = borrowed(weights)[b]
        copy_line(borrowed(query)[b], row[0])
        product(borrowed(workspace.ones)[:, :length].T, row, keys, False)
        product(steps[:, : steps.shape[1]], borrowed(workspace.forward_panels), keys, True)
        tanh_line(keys.reshape(-1))
        score(keys[:, : v.shape[0]], borrowed(v), alphas)
        attend(steps, workspace, shard, alphas, borrowed(context)[b])


@parallel_kernel
def _additive_backward(key_weight, v, values, lengths, weights, d_context, workspace, d_query, d_values):
    pack(key_weight, workspace.backward_panels, 0)
    spread_heads(v, workspace.v_rows)
    for shard in numba.prange(workspace.steps.shape[0]):
        _additive_backward_shard(values, lengths, weights, d_context, workspace, d_query, d_values, np.int64(shard))


@kernel
def _additive_backward_shard(values, lengths, weights, d_context, workspace, d_query, d_values, shard):
    size = values.shape[2]
    heads = weights.shape[1]
    attention_size = d_query.shape[1]
    rows = borrowed(workspace.rows)[shard]
    row = borrowed(workspace.key_rows)[shard]
    sums = borrowed(workspace.key_sums)[shard]
    d_v = borrowed(workspace.d_v)[shard, 0]
    d_v[:] = 0
    first, last = sequences_of(workspace, shard, values)
    for b in range(first, last):
        length = lengths[b]
        steps = borrowed(values)[b, :length]
        keys = borrowed(workspace.keys)[b, :length]
        d_tanh = borrowed(workspace.d_tanh)[shard, :length]
        coefficients = borrowed(workspace.coefficients)[shard, :, :length]
        attend_backward(steps, borrowed(weights)[b], borrowed(d_context)[b, :size], coefficients)
        d_scores = coefficients[heads:]
        product(d_scores, keys, sums, False)
        _add_heads(sums, d_v[:attention_size])
        product(d_scores.T, borrowed(workspace.v_rows), d_tanh, False)
        _differentiate_tanh(d_tanh.reshape(-1), keys.reshape(-1))
        product(borrowed(workspace.ones)[:, :length], keys, row, False)
        copy_line(row[0], borrowed(d_query)[b])
        d_keys = keys[:, :attention_size]
        d_key_weight = borrowed(workspace.d_key_weight)[shard]
        multiply_steps(d_keys.T, steps, workspace, shard, d_key_weight, b > first)
        spread_heads(borrowed(d_context)[b, :size], rows)
        d_steps = borrowed(workspace.steps)[shard, :length]
        product(coefficients[:heads].T, rows, d_steps, False)
        product(d_keys, borrowed(workspace.backward_panels), d_steps, True)
        _leave(d_steps, borrowed(d_values)[b])


@kernel
def _sum_gradients(workspace, d_key_weight, d_v):
    for row in range(workspace.d_key_weight.shape[1]):
        sum_shards(workspace.d_key_weight, row)
    sum_shards(workspace.d_v, 0)
    copy(workspace.d_key_weight[0], d_key_weight)
    copy_line(workspace.d_v[0, 0], d_v)


@kernel
def _leave(d_steps, d_values):
    """Write the gradient of one sequence's values (T, D), zero after its end.

    A product writes its rows in pieces. Memory that is not in cache should be written from end to end, so the product
    writes to memory that is in cache, and this copies it.
    """
    copy(d_steps, d_values)
    d_values[d_steps.shape[0] :] = 0


@kernel
def _add_heads(rows, vector):
    """Add to `vector`, of each row, the columns of its head."""
    size = vector.shape[0] // rows.shape[0]
    for head in range(rows.shape[0]):
        for j in range(head * size, (head + 1) * size):
            vector[j] += rows[head, j]


@kernel
def _differentiate_tanh(gradient, line):
    """Turn the values of tanh into the gradients of its arguments, in place."""
    for n in range(line.shape[0]):
        line[n] = gradient[n] * tanh_derivative(line[n])

"""Attention of one query per sequence over the steps of that sequence.

A score for each step and head, softmax over the true steps, and the mean of the steps so weighted. The features of
query, keys and values are cut into `heads` equal parts, each with scores and weights of its own. Sequences are
independent of each other, so each runs on one thread.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.scalar import multiply_add, tanh, tanh_derivative

__all__ = [
    "additive_attention_backward",
    "additive_attention_forward",
    "dot_attention_backward",
    "dot_attention_forward",
]


def dot_attention_forward(
    query: np.ndarray, values: np.ndarray, lengths: np.ndarray, weights: np.ndarray, context: np.ndarray
) -> None:
    """Attend with the score ``query . value`` (Luong, Pham & Manning 2015, arXiv 1508.04025, eq. 8).

    Parameters
    ----------
    query : (B, D) array
    values : (B, T, D) array
        What stands after the end of a sequence is not looked at.
    lengths : (B,) int64 array
        True length of each sequence, at least 1.
    weights : (B, heads, T) array
        ``=`` softmax of the scores over the steps of each sequence, zero after its end; heads divides D.
    context : (B, D) array
        ``=`` sum of the values, weighted.
    """
    if query.shape[0] == 1:
        _dot_forward_row(query, values, lengths, weights, context, 0)
    else:
        _dot_forward(query, values, lengths, weights, context)


def dot_attention_backward(
    query: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    d_context: np.ndarray,
    d_query: np.ndarray,
    d_values: np.ndarray,
) -> None:
    """Back-propagate through `dot_attention_forward`, whose arguments and weights these are.

    Parameters
    ----------
    query, values, lengths, weights
        As in the forward pass, unchanged since.
    d_context, d_query : (B, D) arrays
        `d_query` is ``=``.
    d_values : (B, T, D) array
        ``=``, zero after the end of a sequence.
    """
    d_scores = np.empty_like(weights)
    _dot_backward(query, values, lengths, weights, d_scores, d_context, d_query, d_values)


def additive_attention_forward(
    query: np.ndarray,
    keys: np.ndarray,
    v: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    context: np.ndarray,
) -> None:
    """Attend with the score ``v . tanh(query + key)`` (Bahdanau, Cho & Bengio 2015, arXiv 1409.0473, A.1.2).

    Parameters
    ----------
    query : (B, A) array
    keys : (B, T, A) array
        ``=`` tanh(query + key), which the backward pass needs.
    v : (A,) array
        heads divides A.
    values, lengths, weights, context
        As in `dot_attention_forward`.
    """
    if query.shape[0] == 1:
        _additive_forward_row(query, keys, v, values, lengths, weights, context, 0)
    else:
        _additive_forward(query, keys, v, values, lengths, weights, context)


def additive_attention_backward(
    keys: np.ndarray,
    v: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    d_context: np.ndarray,
    d_query: np.ndarray,
    d_v: np.ndarray,
    d_values: np.ndarray,
) -> None:
    """Back-propagate through `additive_attention_forward`, whose arguments and weights these are.

    Parameters
    ----------
    keys : (B, T, A) array
        As the forward pass left it; ``=`` the gradient of the keys, zero after the end of a sequence.
    v, values, lengths, weights
        As in the forward pass.
    d_context : (B, D) array
    d_query : (B, A) array
        ``=``
    d_v : (A,) array
        ``=``
    d_values : (B, T, D) array
        ``=``, zero after the end of a sequence.
    """
    d_scores, d_v_rows = np.empty_like(weights), np.empty_like(d_query)
    _additive_backward(keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values)
    _sum_rows(d_v_rows, d_v)


@parallel_kernel
def _dot_forward(query, values, lengths, weights, context):
    for b in numba.prange(query.shape[0]):
        _dot_forward_row(query, values, lengths, weights, context, np.int64(b))


@kernel
def _dot_forward_row(query, values, lengths, weights, context, b):
    heads = weights.shape[1]
    size = query.shape[1] // heads
    for head in range(heads):
        for t in range(lengths[b]):
            weights[b, head, t] = _dot(query[b], values[b, t], head * size, (head + 1) * size)
    _attend(weights[b], values[b], lengths[b], context[b])


@parallel_kernel
def _dot_backward(query, values, lengths, weights, d_scores, d_context, d_query, d_values):
    for b in numba.prange(query.shape[0]):
        _dot_backward_row(query, values, lengths, weights, d_scores, d_context, d_query, d_values, np.int64(b))


@kernel
def _dot_backward_row(query, values, lengths, weights, d_scores, d_context, d_query, d_values, b):
    heads = weights.shape[1]
    size = query.shape[1] // heads
    _attend_backward(weights[b], values[b], lengths[b], d_scores[b], d_context[b], d_values[b])
    for j in range(query.shape[1]):
        d_query[b, j] = 0
    for t in range(lengths[b]):
        for head in range(heads):
            d_score = d_scores[b, head, t]
            for j in range(head * size, (head + 1) * size):
                d_query[b, j] = multiply_add(d_score, values[b, t, j], d_query[b, j])
                d_values[b, t, j] = multiply_add(d_score, query[b, j], d_values[b, t, j])


@parallel_kernel
def _additive_forward(query, keys, v, values, lengths, weights, context):
    for b in numba.prange(query.shape[0]):
        _additive_forward_row(query, keys, v, values, lengths, weights, context, np.int64(b))


@kernel
def _additive_forward_row(query, keys, v, values, lengths, weights, context, b):
    heads = weights.shape[1]
    size = v.shape[0] // heads
    for t in range(lengths[b]):
        for j in range(v.shape[0]):
            keys[b, t, j] = tanh(query[b, j] + keys[b, t, j])
        for head in range(heads):
            weights[b, head, t] = _dot(v, keys[b, t], head * size, (head + 1) * size)
    _attend(weights[b], values[b], lengths[b], context[b])


@parallel_kernel
def _additive_backward(keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values):
    for b in numba.prange(keys.shape[0]):
        _additive_backward_row(
            keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values, np.int64(b)
        )


@kernel
def _additive_backward_row(keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values, b):
    heads = weights.shape[1]
    size = v.shape[0] // heads
    _attend_backward(weights[b], values[b], lengths[b], d_scores[b], d_context[b], d_values[b])
    for j in range(v.shape[0]):
        d_query[b, j] = 0
        d_v_rows[b, j] = 0
    for t in range(lengths[b]):
        for head in range(heads):
            d_score = d_scores[b, head, t]
            for j in range(head * size, (head + 1) * size):
                hidden = keys[b, t, j]
                d_v_rows[b, j] = multiply_add(d_score, hidden, d_v_rows[b, j])
                keys[b, t, j] = d_score * v[j] * tanh_derivative(hidden)
                d_query[b, j] += keys[b, t, j]
    for t in range(lengths[b], keys.shape[1]):
        for j in range(v.shape[0]):
            keys[b, t, j] = 0


@kernel
def _attend(weights, values, length, context):
    """Turn the scores (heads, T) of one sequence into weights, and add up its values (T, D) with them."""
    heads = weights.shape[0]
    size = values.shape[1] // heads
    for head in range(heads):
        _softmax(weights[head], length)
    for j in range(values.shape[1]):
        context[j] = 0
    for t in range(length):
        for head in range(heads):
            weight = weights[head, t]
            for j in range(head * size, (head + 1) * size):
                context[j] = multiply_add(weight, values[t, j], context[j])


@kernel
def _softmax(scores, length):
    """Softmax of the first `length` scores, in place; zero beyond."""
    greatest = scores[0]
    for t in range(1, length):
        greatest = max(greatest, scores[t])
    total = scores.dtype.type(0)
    for t in range(length):
        scores[t] = math.exp(scores[t] - greatest)
        total += scores[t]
    for t in range(length):
        scores[t] /= total
    for t in range(length, scores.shape[0]):
        scores[t] = 0


@kernel
def _attend_backward(weights, values, length, d_scores, d_context, d_values):
    """Write the gradients of the scores (heads, T) and, as far as they come through the mean, of the values."""
    heads = weights.shape[0]
    size = values.shape[1] // heads
    for head in range(heads):
        mean = weights.dtype.type(0)
        for t in range(length):
            d_scores[head, t] = _dot(d_context, values[t], head * size, (head + 1) * size)
            mean = multiply_add(weights[head, t], d_scores[head, t], mean)
        for t in range(length):
            d_scores[head, t] = weights[head, t] * (d_scores[head, t] - mean)
    for t in range(values.shape[0]):
        for head in range(heads):
            weight = weights[head, t]  # zero after the end
            for j in range(head * size, (head + 1) * size):
                d_values[t, j] = weight * d_context[j]


@kernel
def _dot(a, b, first, last):
    total = a.dtype.type(0)
    for j in range(first, last):
        total = multiply_add(a[j], b[j], total)
    return total


@kernel
def _sum_rows(rows, total):
    for j in range(total.shape[0]):
        total[j] = 0
    for b in range(rows.shape[0]):
        for j in range(total.shape[0]):
            total[j] += rows[b, j]

"""Attention of one query per sequence over the steps of that sequence.

A score for each step and head, softmax over the true steps, and the mean of the steps so weighted. The features of
query, keys and values are cut into `heads` equal parts, each with scores and weights of its own. Sequences are
independent of each other, so each runs on one thread.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from kernels.cpu.borrow import borrowed
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
    query, weights, values = borrowed(query)[b], borrowed(weights)[b], borrowed(values)[b]
    for head in range(weights.shape[0]):
        _dot_products(query, values, lengths[b], head, weights)
    _attend(weights, values, lengths[b], borrowed(context)[b])


@parallel_kernel
def _dot_backward(query, values, lengths, weights, d_scores, d_context, d_query, d_values):
    for b in numba.prange(query.shape[0]):
        _dot_backward_row(query, values, lengths, weights, d_scores, d_context, d_query, d_values, np.int64(b))


@kernel
def _dot_backward_row(query, values, lengths, weights, d_scores, d_context, d_query, d_values, b):
    query, values, d_scores = borrowed(query)[b], borrowed(values)[b], borrowed(d_scores)[b]
    d_query, d_values = borrowed(d_query)[b], borrowed(d_values)[b]
    _attend_backward(borrowed(weights)[b], values, lengths[b], d_scores, borrowed(d_context)[b], d_values)
    heads = d_scores.shape[0]
    size = query.shape[0] // heads
    d_query[:] = 0
    for head in range(heads):
        first, last = head * size, (head + 1) * size
        for t in range(lengths[b]):
            _add_scaled(d_scores[head, t], values[t, first:last], d_query[first:last])
            _add_scaled(d_scores[head, t], query[first:last], d_values[t, first:last])


@parallel_kernel
def _additive_forward(query, keys, v, values, lengths, weights, context):
    for b in numba.prange(query.shape[0]):
        _additive_forward_row(query, keys, v, values, lengths, weights, context, np.int64(b))


@kernel
def _additive_forward_row(query, keys, v, values, lengths, weights, context, b):
    query, keys, weights = borrowed(query)[b], borrowed(keys)[b], borrowed(weights)[b]
    for t in range(lengths[b]):
        _add_and_tanh(query, keys[t])
    for head in range(weights.shape[0]):
        _dot_products(borrowed(v), keys, lengths[b], head, weights)
    _attend(weights, borrowed(values)[b], lengths[b], borrowed(context)[b])


@kernel
def _add_and_tanh(query, key):
    for j in range(key.shape[0]):
        key[j] = tanh(query[j] + key[j])


@parallel_kernel
def _additive_backward(keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values):
    for b in numba.prange(keys.shape[0]):
        _additive_backward_row(
            keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values, np.int64(b)
        )


@kernel
def _additive_backward_row(keys, v, values, lengths, weights, d_scores, d_context, d_query, d_v_rows, d_values, b):
    keys, v, d_scores = borrowed(keys)[b], borrowed(v), borrowed(d_scores)[b]
    d_query, d_v = borrowed(d_query)[b], borrowed(d_v_rows)[b]
    _attend_backward(
        borrowed(weights)[b], borrowed(values)[b], lengths[b], d_scores, borrowed(d_context)[b], borrowed(d_values)[b]
    )
    heads = d_scores.shape[0]
    size = v.shape[0] // heads
    d_query[:], d_v[:], keys[lengths[b] :] = 0, 0, 0
    for head in range(heads):
        first, last = head * size, (head + 1) * size
        for t in range(lengths[b]):
            key = keys[t, first:last]
            _add_scaled(d_scores[head, t], key, d_v[first:last])
            _tanh_layer_gradient(d_scores[head, t], v[first:last], key)
            _add_scaled(v.dtype.type(1), key, d_query[first:last])


@kernel
def _tanh_layer_gradient(d_score, v, hidden):
    """Turn tanh's values into the gradients of what it was taken of, in place."""
    for j in range(hidden.shape[0]):
        hidden[j] = d_score * v[j] * tanh_derivative(hidden[j])


@kernel
def _attend(weights, values, length, context):
    """Turn the scores (heads, T) of one sequence into weights, and add up its values (T, D) with them."""
    heads = weights.shape[0]
    size = values.shape[1] // heads
    context[:] = 0
    for head in range(heads):
        _softmax(weights[head], length)
        first, last = head * size, (head + 1) * size
        for t in range(length):
            _add_scaled(weights[head, t], values[t, first:last], context[first:last])


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
    scores[length:] = 0


@kernel
def _attend_backward(weights, values, length, d_scores, d_context, d_values):
    """Write the gradients of the scores (heads, T) and, as far as they come through the mean, of the values."""
    heads = weights.shape[0]
    size = values.shape[1] // heads
    d_values[length:] = 0
    for head in range(heads):
        _dot_products(d_context, values, length, head, d_scores)
        mean = weights.dtype.type(0)
        for t in range(length):
            mean = multiply_add(weights[head, t], d_scores[head, t], mean)
        first, last = head * size, (head + 1) * size
        for t in range(length):
            d_scores[head, t] = weights[head, t] * (d_scores[head, t] - mean)
            _scale(weights[head, t], d_context[first:last], d_values[t, first:last])


@kernel
def _scale(factor, source, destination):
    """``destination = factor * source`` for one-dimensional arrays."""
    for j in range(source.shape[0]):
        destination[j] = factor * source[j]


@kernel
def _add_scaled(factor, source, destination):
    """``destination += factor * source`` for one-dimensional arrays."""
    for j in range(source.shape[0]):
        destination[j] = multiply_add(factor, source[j], destination[j])


@kernel
def _dot_products(vector, steps, length, head, products):
    """``products[head, t] = vector . steps[t]`` over the features of a head.

    A sum has to wait for each of its terms, so those of eight steps are formed side by side.
    """
    zero = products.dtype.type(0)
    size = vector.shape[0] // products.shape[0]
    first, last = head * size, (head + 1) * size
    whole = length - length % 8
    for t in range(0, whole, 8):
        part = vector[first:last]
        y0, y1, y2, y3 = (
            steps[t, first:last],
            steps[t + 1, first:last],
            steps[t + 2, first:last],
            steps[t + 3, first:last],
        )
        y4, y5, y6, y7 = (
            steps[t + 4, first:last],
            steps[t + 5, first:last],
            steps[t + 6, first:last],
            steps[t + 7, first:last],
        )
        s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
        for j in range(size):
            s0 = multiply_add(part[j], y0[j], s0)
            s1 = multiply_add(part[j], y1[j], s1)
            s2 = multiply_add(part[j], y2[j], s2)
            s3 = multiply_add(part[j], y3[j], s3)
            s4 = multiply_add(part[j], y4[j], s4)
            s5 = multiply_add(part[j], y5[j], s5)
            s6 = multiply_add(part[j], y6[j], s6)
            s7 = multiply_add(part[j], y7[j], s7)
        for k, product in enumerate((s0, s1, s2, s3, s4, s5, s6, s7)):
            products[head, t + k] = product
    for t in range(whole, length):
        total = zero
        part, y = vector[first:last], steps[t, first:last]
        for j in range(size):
            total = multiply_add(part[j], y[j], total)
        products[head, t] = total


@kernel
def _sum_rows(rows, total):
    for j in range(total.shape[0]):
        total[j] = 0
    for b in range(rows.shape[0]):
        for j in range(total.shape[0]):
            total[j] += rows[b, j]

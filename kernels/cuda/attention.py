"""Attention on the GPU: a thread per score, per sequence and head, or per feature of a sequence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.call import as_device_array, kernel, new_array
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.linear import LinearWeights, linear_forward, linear_workspace
from gatecast.kernels.scalar import tanh, tanh_derivative

__all__ = [
    "additive_attention_backward",
    "additive_attention_forward",
    "attention_workspace",
    "dot_attention_backward",
    "dot_attention_forward",
]


class _Workspace(NamedTuple):
    keys: Any  # (B, T, A): tanh(query + key), then its gradient
    key_layer: Any  # of the linear layer that makes the keys
    no_bias: Any  # (A,) zeros


def attention_workspace(
    batch_size: int, seq_len: int, size: int, heads: int, dtype: str, attention_size: int = 0
) -> _Workspace:
    """Allocate what attention needs; arguments as `kernels.cpu.attention.attention_workspace`."""
    attention_size = max(attention_size, 1)  # there is no array of no elements on a GPU
    return _Workspace(
        keys=new_array((batch_size, seq_len, attention_size), dtype),
        key_layer=linear_workspace(batch_size * seq_len, size, attention_size, dtype),
        no_bias=as_device_array(np.zeros(attention_size, dtype)),
    )


def dot_attention_forward(
    query: Any, values: Any, lengths: Any, workspace: _Workspace, weights: Any, context: Any
) -> None:
    """Attend with the score ``query . value``; arguments as `kernels.cpu.attention.dot_attention_forward`."""
    launch(_query_scores, _scores_shape(weights), query, values, lengths, weights)
    _attend(values, lengths, weights, context)


def dot_attention_backward(
    query: Any,
    values: Any,
    lengths: Any,
    weights: Any,
    d_context: Any,
    workspace: _Workspace,
    d_query: Any,
    d_values: Any,
) -> None:
    """Back-propagate; arguments as `kernels.cpu.attention.dot_attention_backward`."""
    d_scores = _attend_backward(values, lengths, weights, d_context)
    launch(_weighted_sum, query.shape, values, lengths, d_scores, d_query)
    launch(_weighted_sum_backward, query.shape, weights, d_context, d_values)
    launch(_add_query_gradient, query.shape, query, lengths, d_scores, d_values)


def additive_attention_forward(
    query: Any,
    key_weight: Any,
    v: Any,
    values: Any,
    lengths: Any,
    workspace: _Workspace,
    weights: Any,
    context: Any,
) -> None:
    """Attend with ``v . tanh(query + key)``; as `kernels.cpu.additive_attention.additive_attention_forward`."""
    layer = LinearWeights(key_weight, workspace.no_bias)
    linear_forward(layer, _as_rows(values), workspace.key_layer, _as_rows(workspace.keys))
    launch(_add_query, query.shape, query, workspace.keys, lengths)
    launch(_additive_scores, _scores_shape(weights), v, workspace.keys, lengths, weights)
    _attend(values, lengths, weights, context)


def additive_attention_backward(
    key_weight: Any,
    v: Any,
    values: Any,
    lengths: Any,
    weights: Any,
    d_context: Any,
    workspace: _Workspace,
    d_query: Any,
    d_key_weight: Any,
    d_v: Any,
    d_values: Any,
) -> None:
    """Back-propagate; arguments as `kernels.cpu.additive_attention.additive_attention_backward`."""
    keys = workspace.keys
    d_scores = _attend_backward(values, lengths, weights, d_context)
    d_v_rows = new_array(d_query.shape, d_query.dtype)
    launch(_additive_scores_backward, d_query.shape, v, keys, lengths, d_scores, d_query, d_v_rows)
    launch(_sum_rows, d_v.shape[0], d_v_rows, d_v)
    launch(_key_weight_gradient, d_key_weight.shape, values, keys, lengths, d_key_weight)
    launch(_weighted_sum_backward, (values.shape[0], values.shape[2]), weights, d_context, d_values)
    launch(_add_key_gradient, (values.shape[0] * values.shape[1], values.shape[2]), key_weight, keys, lengths, d_values)


def _as_rows(array: Any) -> Any:
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


def _scores_shape(weights: Any) -> tuple[int, int]:
    return weights.shape[0] * weights.shape[1], weights.shape[2]


def _attend(values: Any, lengths: Any, weights: Any, context: Any) -> None:
    launch(_softmax, weights.shape[0] * weights.shape[1], lengths, weights)
    launch(_weighted_sum, (values.shape[0], values.shape[2]), values, lengths, weights, context)


def _attend_backward(values: Any, lengths: Any, weights: Any, d_context: Any) -> Any:
    d_scores = new_array(weights.shape, weights.dtype)
    launch(_query_scores, _scores_shape(weights), d_context, values, lengths, d_scores)
    launch(_softmax_backward, weights.shape[0] * weights.shape[1], lengths, weights, d_scores)
    return d_scores


@kernel
def _query_scores(query, values, lengths, scores):
    """``scores[b, head, t] = query . value`` over the features of a head."""
    t, row = cuda.grid(2)
    heads = scores.shape[1]
    b = row // heads
    head = row % heads
    if b < scores.shape[0] and t < lengths[b]:
        size = values.shape[2] // heads
        total = scores.dtype.type(0)
        for j in range(head * size, (head + 1) * size):
            total += query[b, j] * values[b, t, j]
        scores[b, head, t] = total


@kernel
def _add_query_gradient(query, lengths, d_scores, d_values):
    j, b = cuda.grid(2)
    if b < query.shape[0] and j < query.shape[1]:
        head = j // (query.shape[1] // d_scores.shape[1])
        for t in range(lengths[b]):
            d_values[b, t, j] += d_scores[b, head, t] * query[b, j]


@kernel
def _add_query(query, keys, lengths):
    j, b = cuda.grid(2)
    if b < query.shape[0] and j < query.shape[1]:
        for t in range(lengths[b]):
            keys[b, t, j] = tanh(query[b, j] + keys[b, t, j])


@kernel
def _additive_scores(v, keys, lengths, scores):
    t, row = cuda.grid(2)
    heads = scores.shape[1]
    b = row // heads
    head = row % heads
    if b < scores.shape[0] and t < lengths[b]:
        size = v.shape[0] // heads
        total = scores.dtype.type(0)
        for j in range(head * size, (head + 1) * size):
            total += v[j] * keys[b, t, j]
        scores[b, head, t] = total


@kernel
def _additive_scores_backward(v, keys, lengths, d_scores, d_query, d_v_rows):
    j, b = cuda.grid(2)
    if b < keys.shape[0] and j < v.shape[0]:
        head = j // (v.shape[0] // d_scores.shape[1])
        total = d_query.dtype.type(0)
        total_v = d_query.dtype.type(0)
        for t in range(keys.shape[1]):
            if t < lengths[b]:
                hidden = keys[b, t, j]
                total_v += d_scores[b, head, t] * hidden
                keys[b, t, j] = d_scores[b, head, t] * v[j] * tanh_derivative(hidden)
                total += keys[b, t, j]
            else:
                keys[b, t, j] = 0
        d_query[b, j] = total
        d_v_rows[b, j] = total_v


@kernel
def _key_weight_gradient(values, d_keys, lengths, d_key_weight):
    j, a = cuda.grid(2)
    if a < d_key_weight.shape[0] and j < d_key_weight.shape[1]:
        total = d_key_weight.dtype.type(0)
        for b in range(values.shape[0]):
            for t in range(lengths[b]):
                total += d_keys[b, t, a] * values[b, t, j]
        d_key_weight[a, j] = total


@kernel
def _add_key_gradient(key_weight, d_keys, lengths, d_values):
    """``d_values += d_keys @ key_weight``."""
    j, row = cuda.grid(2)
    b = row // d_values.shape[1]
    t = row % d_values.shape[1]
    if b < d_values.shape[0] and j < d_values.shape[2] and t < lengths[b]:
        total = d_values[b, t, j]
        for a in range(key_weight.shape[0]):
            total += d_keys[b, t, a] * key_weight[a, j]
        d_values[b, t, j] = total


@kernel
def _softmax(lengths, scores):
    row = cuda.grid(1)
    heads = scores.shape[1]
    b = row // heads
    head = row % heads
    if b < scores.shape[0]:
        greatest = scores[b, head, 0]
        for t in range(1, lengths[b]):
            greatest = max(greatest, scores[b, head, t])
        total = scores.dtype.type(0)
        for t in range(lengths[b]):
            scores[b, head, t] = math.exp(scores[b, head, t] - greatest)
            total += scores[b, head, t]
        for t in range(lengths[b]):
            scores[b, head, t] /= total
        for t in range(lengths[b], scores.shape[2]):
            scores[b, head, t] = 0


@kernel
def _softmax_backward(lengths, weights, gradient):
    """Turn the gradient of the weights into that of the scores, in place."""
    row = cuda.grid(1)
    heads = weights.shape[1]
    b = row // heads
    head = row % heads
    if b < weights.shape[0]:
        mean = weights.dtype.type(0)
        for t in range(lengths[b]):
            mean += weights[b, head, t] * gradient[b, head, t]
        for t in range(lengths[b]):
            gradient[b, head, t] = weights[b, head, t] * (gradient[b, head, t] - mean)


@kernel
def _weighted_sum(values, lengths, weights, context):
    j, b = cuda.grid(2)
    if b < values.shape[0] and j < values.shape[2]:
        head = j // (values.shape[2] // weights.shape[1])
        total = context.dtype.type(0)
        for t in range(lengths[b]):
            total += weights[b, head, t] * values[b, t, j]
        context[b, j] = total


@kernel
def _weighted_sum_backward(weights, d_context, d_values):
    j, b = cuda.grid(2)
    if b < d_values.shape[0] and j < d_values.shape[2]:
        head = j // (d_values.shape[2] // weights.shape[1])
        for t in range(d_values.shape[1]):
            d_values[b, t, j] = weights[b, head, t] * d_context[b, j]


@kernel
def _sum_rows(rows, total):
    j = cuda.grid(1)
    if j < total.shape[0]:
        value = total.dtype.type(0)
        for b in range(rows.shape[0]):
            value += rows[b, j]
        total[j] = value

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device
from tests.reference import additive_attention, dot_attention, relative_error

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def sizes_for(ops):
    """Batch, steps, heads, features of a head (of keys, of values)."""
    small = [(1, 1, 1, 1, 1), (3, 5, 2, 3, 2)]
    return small if ops.name == "cuda" else [*small, (1, 7, 1, 5, 5), (33, 20, 4, 8, 16), (5, 9, 3, 1, 1)]


def draw_case(rng, dtype, batch, seq, heads, key_size, value_size):
    """Query, keys, values, lengths, v and the gradient of the context; NaN stands where nobody may look."""
    query, v = rng.normal(size=(batch, heads * key_size)), rng.normal(size=heads * key_size)
    keys, values = rng.normal(size=(batch, seq, heads * key_size)), rng.normal(size=(batch, seq, heads * value_size))
    d_context = rng.normal(size=(batch, heads * value_size))
    lengths = rng.integers(1, seq + 1, batch)
    for array in (keys, values):
        array[np.arange(seq) >= lengths[:, None]] = np.nan
    return [array.astype(dtype) for array in (query, keys, values, v, d_context)], lengths


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dot_attention_is_that_of_each_sequence_and_head_alone(ops, rng, dtype):
    for batch, seq, heads, _, size in sizes_for(ops):
        (query, _, values, _, d_context), lengths = draw_case(rng, dtype, batch, seq, heads, size, size)
        on = [on_device(ops, array) for array in (query, values, lengths)]
        weights, context = ops.zeros((batch, heads, seq), dtype), ops.zeros(d_context.shape, dtype)
        d_query, d_values = ops.as_array(np.full(query.shape, 9), dtype), ops.as_array(np.full(values.shape, 9), dtype)
        ops.dot_attention_forward(*on, weights, context)
        ops.dot_attention_backward(*on, weights, on_device(ops, d_context), d_query, d_values)
        results = [ops.to_host(array) for array in (weights, context, d_query, d_values)]
        expected = dot_attention(query, values, lengths, heads, d_context)
        errors = [relative_error(result, exact) for result, exact in zip(results, expected, strict=True)]
        assert max(errors) <= TOLERANCE[dtype], errors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_additive_attention_is_that_of_each_sequence_and_head_alone(ops, rng, dtype):
    for batch, seq, heads, key_size, value_size in sizes_for(ops):
        arrays, lengths = draw_case(rng, dtype, batch, seq, heads, key_size, value_size)
        query, keys, values, v, d_context = arrays
        on_query, on_keys, on_values, on_v, on_d_context = (on_device(ops, array.copy()) for array in arrays)
        on_lengths = on_device(ops, lengths)
        weights, context = ops.zeros((batch, heads, seq), dtype), ops.zeros(d_context.shape, dtype)
        d_query, d_v, d_values = (ops.as_array(np.full(array.shape, 9), dtype) for array in (query, v, values))
        ops.additive_attention_forward(on_query, on_keys, on_v, on_values, on_lengths, weights, context)
        ops.additive_attention_backward(
            on_keys, on_v, on_values, on_lengths, weights, on_d_context, d_query, d_v, d_values
        )
        results = [ops.to_host(array) for array in (weights, context, d_query, on_keys, d_v, d_values)]
        expected = additive_attention(query, keys, v, values, lengths, heads, d_context)
        errors = [relative_error(result, exact) for result, exact in zip(results, expected, strict=True)]
        assert max(errors) <= TOLERANCE[dtype], errors


def test_great_scores_do_not_overflow_and_a_missing_value_is_not_hidden(ops):
    values = np.array([[[1000.0], [-1000.0], [999.0]]], "float32")
    query, lengths = np.ones((1, 1), "float32"), np.array([3])
    weights, context = ops.zeros((1, 1, 3), "float32"), ops.zeros((1, 1), "float32")
    ops.dot_attention_forward(*(on_device(ops, array) for array in (query, values, lengths)), weights, context)
    np.testing.assert_allclose(ops.to_host(weights)[0, 0], [0.7310586, 0, 0.26894143], rtol=1e-6)
    values[0, 1] = np.nan
    ops.dot_attention_forward(*(on_device(ops, array) for array in (query, values, lengths)), weights, context)
    assert np.isnan(ops.to_host(context)).all()

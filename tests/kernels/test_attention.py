from __future__ import annotations

import numba
import numpy as np
import pytest

from gatecast.kernels import get_backend
from tests.conftest import on_device
from tests.reference import additive_attention, dot_attention, relative_error

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def sizes_for(ops):
    """Batch, steps, heads, features of a head (of keys, of values)."""
    small = [(1, 1, 1, 1, 1), (3, 5, 2, 3, 2)]
    return (
        small
        if ops.name == "cuda"
        else [*small, (1, 7, 1, 5, 5), (33, 20, 4, 8, 16), (5, 9, 3, 1, 1), (9, 21, 1, 40, 65)]
    )


def draw_case(rng, dtype, batch, seq, heads, key_size, value_size):
    """Query, keys, values, lengths, v and the gradient of the context; NaN is where nobody may look."""
    query = rng.normal(size=(batch, heads * key_size))
    v = rng.normal(size=heads * key_size)
    keys = rng.normal(size=(batch, seq, heads * key_size))
    values = rng.normal(size=(batch, seq, heads * value_size))
    d_context = rng.normal(size=(batch, heads * value_size))
    lengths = rng.integers(1, seq + 1, batch)
    for array in (keys, values):
        array[np.arange(seq) >= lengths[:, None]] = np.nan
    return [array.astype(dtype) for array in (query, keys, values, v, d_context)], lengths


def wider(ops, array):
    """Put NaN after the columns, where nobody may look."""
    return on_device(ops, np.concatenate([array, np.full_like(array, np.nan)], axis=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dot_attention_is_that_of_each_sequence_and_head_alone(ops, rng, dtype):
    for batch, seq, heads, _, size in sizes_for(ops):
        (query, _, values, _, d_context), lengths = draw_case(rng, dtype, batch, seq, heads, size, size)
        on = [on_device(ops, array) for array in (query, values, lengths)]
        workspace = ops.attention_workspace(batch, seq, heads * size, heads, dtype)
        weights = ops.empty((batch, heads, seq), dtype)
        context = wider(ops, np.full_like(d_context, 9))
        d_query = ops.as_array(np.full(query.shape, 9), dtype)
        d_values = ops.as_array(np.full(values.shape, 9), dtype)
        ops.dot_attention_forward(*on, workspace, weights, context)
        ops.dot_attention_backward(*on, weights, wider(ops, d_context), workspace, d_query, d_values)
        results = [ops.to_host(array) for array in (weights, context, d_query, d_values)]
        assert np.isnan(results[1][:, heads * size :]).all()
        results[1] = results[1][:, : heads * size]
        expected = dot_attention(query, values, lengths, heads, d_context)
        errors = [relative_error(result, exact) for result, exact in zip(results, expected, strict=True)]
        assert max(errors) <= TOLERANCE[dtype], errors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_additive_attention_is_that_of_each_sequence_and_head_alone(ops, rng, dtype):
    for batch, seq, heads, key_size, value_size in sizes_for(ops):
        arrays, lengths = draw_case(rng, dtype, batch, seq, heads, key_size, value_size)
        query, _, values, v, d_context = arrays
        key_weight = (rng.normal(size=(heads * key_size, heads * value_size)) / heads / value_size).astype(dtype)
        on_query, on_weight, on_v, on_values = (on_device(ops, array) for array in (query, key_weight, v, values))
        on_lengths = on_device(ops, lengths)
        workspace = ops.attention_workspace(batch, seq, heads * value_size, heads, dtype, heads * key_size)
        weights = ops.empty((batch, heads, seq), dtype)
        context = wider(ops, np.full_like(d_context, 9))
        d_query, d_weight, d_v, d_values = (
            ops.as_array(np.full(array.shape, 9), dtype) for array in (query, key_weight, v, values)
        )
        for _ in range(2):  # what a pass leaves in the workspace changes nothing in the next
            ops.additive_attention_forward(
                on_query, on_weight, on_v, on_values, on_lengths, workspace, weights, context
            )
            ops.additive_attention_backward(
                on_weight, on_v, on_values, on_lengths, weights, wider(ops, d_context), workspace,
                d_query, d_weight, d_v, d_values,
            )  # fmt: skip
        results = [ops.to_host(array) for array in (weights, context, d_query, d_weight, d_v, d_values)]
        results[1] = results[1][:, : heads * value_size]
        seen = np.where(np.isnan(values), 0, values).astype("float64")
        keys = seen @ key_weight.astype("float64").T
        alphas, mean, dq, d_keys, dv, dx = additive_attention(query, keys, v, values, lengths, heads, d_context)
        expected = [
            alphas, mean, dq, np.einsum("bta,btj->aj", d_keys, seen), dv, dx + d_keys @ key_weight.astype("float64")
        ]  # fmt: skip
        errors = [relative_error(result, exact) for result, exact in zip(results, expected, strict=True)]
        assert max(errors) <= TOLERANCE[dtype], errors


def test_great_scores_do_not_overflow_and_a_missing_value_is_not_hidden(ops):
    values = np.array([[[1000.0], [-1000.0], [999.0]]], "float32")
    query = np.ones((1, 1), "float32")
    lengths = np.array([3])
    weights = ops.zeros((1, 1, 3), "float32")
    context = ops.zeros((1, 1), "float32")
    workspace = ops.attention_workspace(1, 3, 1, 1, "float32")
    ops.dot_attention_forward(
        *(on_device(ops, array) for array in (query, values, lengths)), workspace, weights, context
    )
    np.testing.assert_allclose(ops.to_host(weights)[0, 0], [0.7310586, 0, 0.26894143], rtol=1e-6)
    values[0, 1] = np.nan
    ops.dot_attention_forward(
        *(on_device(ops, array) for array in (query, values, lengths)), workspace, weights, context
    )
    assert np.isnan(ops.to_host(context)).all()


def test_bits_do_not_depend_on_the_number_of_threads(rng):
    ops = get_backend("cpu")
    batch = 33
    seq = 20
    size = 40
    attention_size = 9
    (query, _, values, v, d_context), lengths = draw_case(rng, "float32", batch, seq, 1, attention_size, size)
    key_weight = rng.normal(size=(attention_size, size)).astype("float32")
    results = []
    threads = numba.get_num_threads()
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            workspace = ops.attention_workspace(batch, seq, size, 1, "float32", attention_size)
            weights = np.empty((batch, 1, seq), "float32")
            context = np.empty((batch, size), "float32")
            gradients = [np.empty_like(array) for array in (query, key_weight, v, values)]
            ops.additive_attention_forward(query, key_weight, v, values, lengths, workspace, weights, context)
            ops.additive_attention_backward(key_weight, v, values, lengths, weights, d_context, workspace, *gradients)
            results.append([weights, context, *gradients])
    finally:
        numba.set_num_threads(threads)
    for alone, together in zip(*results, strict=True):
        np.testing.assert_array_equal(alone, together)

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_looks_up_rows(ops, rng, dtype):
    weight = rng.normal(size=(7, 5)).astype(dtype)
    indices = np.array([6, 0, 3, 3, 1])
    y = ops.zeros((5, 5), dtype)
    ops.embedding_forward(on_device(ops, weight), on_device(ops, indices), y)
    np.testing.assert_array_equal(ops.to_host(y), weight[indices])


@pytest.mark.parametrize("accumulate", [False, True])
def test_backward_adds_the_rows_of_each_entry(ops, rng, accumulate):
    indices = rng.integers(0, 4, 30)
    dy = rng.normal(size=(30, 3))
    before = rng.normal(size=(6, 3))
    gradient = on_device(ops, before.copy())
    ops.embedding_backward(on_device(ops, indices), on_device(ops, dy), gradient, accumulate)
    expected = before.copy() if accumulate else np.zeros_like(before)
    np.add.at(expected, indices, dy)
    np.testing.assert_allclose(ops.to_host(gradient), expected, atol=1e-14)


def test_both_backends_add_in_the_same_order(rng):
    from gatecast.kernels import cpu, cuda

    indices = rng.integers(0, 3, 40)
    dy = rng.normal(size=(40, 2)).astype("float32")
    results = []
    for ops in (cpu, cuda):
        gradient = ops.zeros((3, 2), "float32")
        ops.embedding_backward(on_device(ops, indices), on_device(ops, dy), gradient, False)
        results.append(ops.to_host(gradient))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_are_repeated_over_steps_and_summed_back(ops, rng, dtype):
    vectors = rng.normal(size=(5, 3)).astype(dtype)
    x = rng.normal(size=(5, 4, 7)).astype(dtype)
    given = on_device(ops, x.copy())
    ops.repeat_over_steps(on_device(ops, vectors), given)
    expected = x.copy()
    expected[:, :, 4:] = vectors[:, None]
    np.testing.assert_array_equal(ops.to_host(given), expected)
    summed = on_device(ops, np.full((5, 3), 99, dtype))
    ops.sum_over_steps(on_device(ops, x), summed)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(ops.to_host(summed), x[:, :, 4:].astype(float).sum(axis=1), atol=tolerance)

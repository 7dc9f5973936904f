from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device
from tests.reference import layer_norm, relative_error


def sizes_for(ops):
    return [(1, 1), (5, 7)] if ops.name == "cuda" else [(1, 1), (5, 7), (300, 33), (513, 2), (9, 70)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_forward_and_gradients_are_those_of_each_row_alone(ops, rng, dtype, tolerance):
    for rows, features in sizes_for(ops):
        weight, bias = (rng.normal(size=features).astype(dtype) for _ in range(2))
        x, dy = ((3 * rng.normal(size=(rows, features)) + 2).astype(dtype) for _ in range(2))
        weights = ops.LayerNormWeights(on_device(ops, weight), on_device(ops, bias))
        gradients = ops.LayerNormWeights(*(ops.as_array(np.full(features, 9), dtype) for _ in range(2)))
        workspace = ops.layer_norm_workspace(rows, features, dtype)
        y = ops.zeros(x.shape, dtype)
        dx = ops.zeros(x.shape, dtype)
        expected = layer_norm(x, weight, bias, 1e-3, dy)
        for _ in range(2):  # the second pass finds what the first left
            ops.layer_norm_forward(weights, on_device(ops, x), workspace, y, 1e-3)
            ops.layer_norm_backward(weights, on_device(ops, dy), workspace, gradients, dx)
            for ours, exact in zip([y, dx, *gradients], expected, strict=True):
                assert relative_error(ops.to_host(ours), exact) < tolerance


def test_a_missing_value_is_not_hidden(ops):
    ones = ops.as_array(np.ones(2), "float32")
    x, y = ops.as_array(np.array([[1, np.nan], [1, 2]]), "float32"), ops.zeros((2, 2), "float32")
    ops.layer_norm_forward(ops.LayerNormWeights(ones, ones), x, ops.layer_norm_workspace(2, 2, "float32"), y, 1e-5)
    assert np.isnan(ops.to_host(y)).tolist() == [[True, True], [False, False]]

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device
from tests.reference import relative_error


def sizes_for(ops):
    return [(1, 1, 1), (5, 7, 3)] if ops.name == "cuda" else [(1, 1, 1), (5, 7, 3), (100, 33, 65), (600, 12, 1)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_forward_and_gradients_are_the_matrix_products(ops, rng, dtype, tolerance):
    for rows, input_size, output_size in sizes_for(ops):
        weight, bias, x, dy = (
            rng.normal(size=shape).astype(dtype)
            for shape in ((output_size, input_size), (output_size,), (rows, input_size), (rows, output_size))
        )
        weights = ops.LinearWeights(on_device(ops, weight), on_device(ops, bias))
        gradients = ops.LinearWeights(ops.zeros(weight.shape, dtype), ops.zeros(bias.shape, dtype))
        workspace = ops.linear_workspace(rows, input_size, output_size, dtype)
        y = ops.zeros(dy.shape, dtype)
        dx = ops.zeros(x.shape, dtype)
        ops.linear_forward(weights, on_device(ops, x), workspace, y)
        ops.linear_backward(weights, on_device(ops, dy), workspace, gradients, dx)
        exact = [array.astype(np.float64) for array in (weight, bias, x, dy)]
        expected = [exact[2] @ exact[0].T + exact[1], exact[3] @ exact[0], exact[3].T @ exact[2], exact[3].sum(axis=0)]
        for ours, theirs in zip([y, dx, *gradients], expected, strict=True):
            assert relative_error(ops.to_host(ours), theirs) < tolerance

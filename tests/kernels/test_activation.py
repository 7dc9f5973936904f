from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_tanh_and_its_gradient(ops, rng, dtype, tolerance):
    x, dy = (rng.normal(size=(3, 5)).astype(dtype) for _ in range(2))
    x[0, :2] = 0, np.nan
    y = on_device(ops, x.copy())
    gradient = ops.as_array(np.full(x.shape, 9), dtype)
    ops.tanh_forward(y)
    ops.tanh_backward(y, on_device(ops, dy), gradient)
    np.testing.assert_allclose(ops.to_host(y), np.tanh(x), atol=tolerance)
    np.testing.assert_allclose(ops.to_host(gradient), dy * (1 - np.tanh(x) ** 2), atol=tolerance)

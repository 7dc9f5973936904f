from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device
from tests.gradcheck import central_difference


def loss_of(ops, y_hat, y, weights):
    gradient = ops.zeros(y.shape, y.dtype.name)
    loss = ops.mse_loss(on_device(ops, y_hat), on_device(ops, y), on_device(ops, weights), gradient)
    return loss, ops.to_host(gradient)


def test_equal_weights_give_the_mean_squared_error(ops, rng):
    y_hat, y = rng.normal(size=(2, 5, 3))
    loss, _ = loss_of(ops, y_hat, y, np.ones(5))
    assert loss == pytest.approx(np.mean((y_hat - y) ** 2), rel=1e-12)


def test_gradient_agrees_with_central_differences(ops, rng):
    y_hat, y = rng.normal(size=(2, 3, 2))
    weights = np.array([1.0, 0.0, 0.5])
    _, gradient = loss_of(ops, y_hat, y, weights)
    expected = central_difference(lambda: loss_of(ops, y_hat, y, weights)[0], y_hat)
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


def test_a_missing_target_of_weight_zero_does_not_count(ops, rng):
    y_hat, y = rng.normal(size=(2, 3, 1)).astype("float32")
    y[1] = np.nan
    loss, gradient = loss_of(ops, y_hat, y, np.array([1, 0, 1], "float32"))
    assert loss == pytest.approx(np.mean((y_hat - y)[[0, 2]] ** 2), rel=1e-6)
    assert gradient[1] == 0


def test_nan_that_counts_comes_out(ops):
    loss, gradient = loss_of(ops, np.array([[np.nan], [1.0]]), np.zeros((2, 1)), np.ones(2))
    assert np.isnan(loss)
    assert np.isnan(gradient[0, 0])

from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.losses import LOSSES
from tests.conftest import on_device
from tests.gradcheck import central_difference
from tests.reference import cross_entropy


def loss_of(ops, y_hat, y, weights):
    gradient = ops.zeros(y.shape, y.dtype.name)
    loss = ops.mse_loss(on_device(ops, y_hat), on_device(ops, y), on_device(ops, weights), gradient)
    return float(loss), ops.to_host(gradient)


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


def cross_entropy_of(ops, logits, targets, weights):
    gradient = ops.zeros(logits.shape, logits.dtype.name)
    loss = ops.cross_entropy_loss(
        on_device(ops, logits), on_device(ops, targets), on_device(ops, weights.astype(logits.dtype)), gradient
    )
    return float(loss), ops.to_host(gradient)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_cross_entropy_agrees_with_the_reference(ops, rng, dtype, tolerance):
    logits = rng.normal(size=(6, 5)).astype(dtype)
    targets = rng.integers(0, 5, 6)
    weights = np.array([1, 0.5, 0, 2, 1, 1])
    loss, gradient = cross_entropy_of(ops, logits, targets, weights)
    expected_loss, expected_gradient = cross_entropy(logits, targets, weights)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(gradient, expected_gradient, atol=tolerance)


def test_cross_entropy_gradient_agrees_with_central_differences(ops, rng):
    logits = rng.normal(size=(3, 4))
    targets = np.array([2, 0, 3])
    weights = np.array([1.0, 0.0, 0.5])
    _, gradient = cross_entropy_of(ops, logits, targets, weights)
    expected = central_difference(lambda: cross_entropy_of(ops, logits, targets, weights)[0], logits)
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_large_logits_neither_overflows_nor_loses_the_target(ops, dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4], [3e38, 3e38, 0]], dtype)
    loss, gradient = cross_entropy_of(ops, logits, np.array([1, 2, 0]), np.ones(3))
    assert loss == pytest.approx((1e4 + np.log(3) + np.log(2)) / 3, rel=1e-6)
    assert np.isfinite(gradient).all()


def test_a_target_of_weight_zero_is_not_looked_at(ops, rng):
    logits = rng.normal(size=(2, 3))
    logits[1] = np.nan
    loss, gradient = cross_entropy_of(ops, logits, np.array([1, 0]), np.array([1.0, 0.0]))
    assert np.isfinite(loss)
    assert (gradient[1] == 0).all()


def test_nan_logits_come_out(ops):
    loss, gradient = cross_entropy_of(ops, np.array([[0.0, np.nan, 1.0]]), np.array([0]), np.ones(1))
    assert np.isnan(loss)
    assert np.isnan(gradient).all()


def test_gradient_may_take_the_place_of_the_logits(ops, rng):
    logits = rng.normal(size=(4, 3))
    targets = np.array([2, 0, 1, 1])
    expected = cross_entropy_of(ops, logits, targets, np.ones(4))
    shared = on_device(ops, logits)
    loss = ops.cross_entropy_loss(shared, on_device(ops, targets), on_device(ops, np.ones(4)), shared)
    assert float(loss) == expected[0]
    np.testing.assert_array_equal(ops.to_host(shared), expected[1])


def forecast_loss_of(ops, kind, y_hat, y, weights, base, spread):
    gradient = ops.zeros(y.shape, y.dtype.name)
    arrays = (on_device(ops, array) for array in (y_hat, y, weights, base, spread))
    loss = ops.forecast_loss(LOSSES[kind], *arrays, gradient)
    return float(loss), ops.to_host(gradient)


FORMULAS = {
    "mse": lambda f, a, base, spread: (f - a) ** 2,
    "mae": lambda f, a, base, spread: np.abs(f - a),
    "huber": lambda f, a, base, spread: np.where(np.abs(f - a) <= 1, (f - a) ** 2 / 2, np.abs(f - a) - 0.5),
    "smape": lambda f, a, base, spread: (
        2 * np.abs(spread * (f - a)) / (np.abs(base + spread * f) + np.abs(base + spread * a))
    ),
}


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-12)])
def test_losses_of_forecasts_are_as_defined(ops, rng, kind, dtype, tolerance):
    y_hat, y, base = rng.normal(size=(3, 5, 3)) * 2
    spread = rng.uniform(0.5, 2, 5)
    weights = rng.uniform(0, 2, (5, 3))
    weights[1] = 0
    y[0, 1] = y[1, 0] = y[3, 2] = np.nan
    loss, gradient = forecast_loss_of(ops, kind, *(array.astype(dtype) for array in (y_hat, y, weights, base, spread)))
    counted = np.where(np.isnan(y), 0, weights)
    each = np.nan_to_num(FORMULAS[kind](y_hat, y, base, spread[:, None]))
    assert loss == pytest.approx((counted * each).sum() / counted.sum(), rel=10 * tolerance)
    assert (gradient[counted == 0] == 0).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_of_losses_agree_with_central_differences(ops, rng, kind):
    y_hat, y, base = rng.normal(size=(3, 4, 2)) * 2
    spread = rng.uniform(0.5, 2, 4)
    weights = rng.uniform(0.5, 2, (4, 2))
    y[2, 1] = np.nan
    _, gradient = forecast_loss_of(ops, kind, y_hat, y, weights, base, spread)
    expected = central_difference(lambda: forecast_loss_of(ops, kind, y_hat, y, weights, base, spread)[0], y_hat)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


@pytest.mark.parametrize("kind", LOSSES)
def test_where_no_target_is_known_there_is_neither_loss_nor_gradient(ops, kind):
    nothing = np.full((2, 2), np.nan)
    loss, gradient = forecast_loss_of(
        ops, kind, np.ones((2, 2)), nothing, np.ones((2, 2)), np.zeros((2, 2)), np.ones(2)
    )
    assert loss == 0
    assert (gradient == 0).all()

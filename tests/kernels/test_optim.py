from __future__ import annotations

import math

import numpy as np
import pytest

from tests import reference
from tests.conftest import on_device


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_adam_agrees_with_the_paper(ops, rng, dtype, tolerance):
    options = {"learning_rate": 0.01, "betas": (0.9, 0.999), "epsilon": 1e-8, "weight_decay": 0.1}
    start = rng.normal(size=7).astype(dtype)
    gradients = [rng.normal(size=7).astype(dtype) for _ in range(6)]
    values = on_device(ops, start.copy())
    first = ops.zeros((7,), dtype)
    second = ops.zeros((7,), dtype)
    for step, gradient in enumerate(gradients, start=1):
        ops.adam_step(values, on_device(ops, gradient), first, second, step, *options.values())
    np.testing.assert_allclose(ops.to_host(values), reference.adam(start, gradients, **options), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_an_average_forgets_by_its_decay_and_faster_at_first(ops, rng, dtype, tolerance, decay):
    average = on_device(ops, np.ones(7, dtype))
    expected = np.ones(7)
    for step in range(1, 6):
        values = rng.normal(size=7).astype(dtype)
        ops.average_into(on_device(ops, values), average, step, decay)
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * values
    np.testing.assert_allclose(ops.to_host(average), expected, atol=tolerance)


def test_nan_in_the_weights_shows_in_their_average(ops):
    average = on_device(ops, np.zeros(2))
    ops.average_into(on_device(ops, np.array([np.nan, 1.0])), average, 1, 0.9)
    assert np.isnan(ops.to_host(average)).tolist() == [True, False]


def test_clipping_scales_to_the_norm_and_reports_the_former_one(ops):
    gradients = on_device(ops, np.array([3.0, -4.0]))
    assert float(ops.clip_gradient_norm(gradients, 1.0)) == pytest.approx(5)
    np.testing.assert_allclose(ops.to_host(gradients), [0.6, -0.8])


def test_clipping_leaves_small_gradients_alone(ops):
    gradients = on_device(ops, np.array([0.3, -0.4]))
    assert float(ops.clip_gradient_norm(gradients, 1.0)) == pytest.approx(0.5)
    assert float(ops.clip_gradient_norm(gradients, math.inf)) == pytest.approx(0.5)
    np.testing.assert_array_equal(ops.to_host(gradients), [0.3, -0.4])


def test_nan_in_a_gradient_shows_in_the_norm(ops):
    assert math.isnan(ops.clip_gradient_norm(on_device(ops, np.array([np.nan, 1.0])), 1.0))

from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.layer_norm import LayerNorm
from tests.gradcheck import central_difference
from tests.reference import relative_error


def test_rows_have_mean_zero_and_variance_one_before_scale_and_shift(rng):
    layer = LayerNorm(50, dtype="float64")
    y = layer.forward(5 + 3 * rng.normal(size=(4, 50)))
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=1), 1, rtol=1e-4)


def test_gradients_agree_with_central_differences(rng):
    layer = LayerNorm(4, dtype="float64")
    layer.parameters.set_flat(rng.normal(size=8))
    x = rng.normal(size=(3, 4))
    dy = rng.normal(size=(3, 4))

    def loss():
        return float((layer.forward(x) * dy).sum())

    layer.forward(x)
    dx = layer.backward(dy)
    gradients = layer.parameters.gradients.copy()
    assert relative_error(dx, central_difference(loss, x)) <= 1e-8
    assert relative_error(gradients, central_difference(loss, layer.parameters.values)) <= 1e-8


def test_wrong_arrays_and_settings_are_refused():
    layer = LayerNorm(3)
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.zeros((2, 3), "float32"))
    for shape in ((2, 4), (3,), (0, 3)):
        with pytest.raises(ValueError, match=r"\(rows, 3\)"):
            layer.forward(np.zeros(shape, "float32"))
    layer.forward(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        layer.backward(np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match="size is 0; it must be a whole number of at least 1"):
        LayerNorm(0)

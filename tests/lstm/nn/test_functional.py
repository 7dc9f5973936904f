from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.functional import sigmoid, sigmoid_derivative, tanh, tanh_derivative

DTYPES = [("float32", 2e-6), ("float64", 1e-15)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_activations_agree_with_numpy(dtype, tolerance):
    x = np.linspace(-20, 20, 4001).astype(dtype)
    exact = x.astype(np.float64)
    for function, expected in ((sigmoid, 1 / (1 + np.exp(-exact))), (tanh, np.tanh(exact))):
        result = function(x)
        assert result.dtype == dtype
        assert np.max(np.abs(result - expected)) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_derivatives_are_those_of_the_functions_given_their_values(dtype, tolerance):
    x = np.linspace(-6, 6, 501).astype(dtype)
    exact = x.astype(np.float64)
    s = 1 / (1 + np.exp(-exact))
    t = np.tanh(exact)
    assert np.max(np.abs(sigmoid_derivative(s.astype(dtype)) - s * (1 - s))) <= tolerance
    assert np.max(np.abs(tanh_derivative(t.astype(dtype)) - (1 - t**2))) <= tolerance
    assert sigmoid_derivative(s.astype(dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_go_to_the_limits(dtype):
    x = np.array([-np.inf, np.inf, -1e30, 1e30], dtype)
    np.testing.assert_allclose(sigmoid(x), [0, 1, 0, 1], atol=3e-7)
    np.testing.assert_allclose(tanh(x), [-1, 1, -1, 1], atol=3e-7)
    assert sigmoid(x).min() >= 0
    assert np.abs(tanh(x)).max() <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [sigmoid, tanh, sigmoid_derivative, tanh_derivative])
def test_nan_comes_out_where_nan_went_in(function, dtype):
    with np.errstate(invalid="ignore"):
        result = function(np.array([0.5, np.nan, 0.25] * 11, dtype))
    assert np.isnan(result[1::3]).all()
    assert np.isfinite(np.delete(result, np.s_[1::3])).all()


def test_the_shape_is_kept_and_a_number_gives_a_number():
    assert sigmoid(np.zeros((2, 3), "float32")).shape == (2, 3)
    assert sigmoid(0.0) == 0.5
    assert tanh(0.0) == 0.0

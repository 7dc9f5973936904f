from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from gatecast.kernels import scalar


def compiled(function):
    return numba.njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp", "afn"})(function)


@numba.njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp", "afn"})
def tanh_of_each(x):
    y = np.empty_like(x)
    for n in range(x.shape[0]):
        y[n] = scalar.tanh(x[n])
    return y


def test_tanh_in_float32_is_within_a_few_units_of_the_last_place():
    x = np.linspace(-12, 12, 200_001, dtype=np.float32)
    error = np.abs(tanh_of_each(x) - np.tanh(x.astype(np.float64)))
    assert error.max() < 4e-7


def test_tanh_in_float64_is_the_c_library():
    x = np.linspace(-12, 12, 1001)
    np.testing.assert_allclose(tanh_of_each(x), np.tanh(x), rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_passes_through_vectorised_tanh(dtype):
    x = np.zeros(67, dtype)
    x[13] = np.nan
    y = tanh_of_each(x)
    assert np.isnan(y[13])
    assert np.count_nonzero(np.isnan(y)) == 1


def test_infinity_saturates():
    y = tanh_of_each(np.array([np.inf, -np.inf], np.float32))
    np.testing.assert_allclose(y, [1, -1], atol=4e-7)


def test_float32_stays_float32():
    sigmoid = compiled(lambda x: scalar.sigmoid(x))
    sigmoid(np.float32(0.3))
    assert sigmoid.nopython_signatures[0].return_type == numba.float32


def test_plain_python_and_compiled_agree():
    for x in (np.float32(-1.7), np.float32(0.2), np.float32(9.0)):
        assert compiled(lambda x: scalar.tanh(x))(x) == pytest.approx(float(scalar.tanh(x)), abs=4e-7)
    assert compiled(lambda x: scalar.tanh(x))(0.4) == pytest.approx(math.tanh(0.4), rel=1e-15)


def test_gate_gradients_are_the_derivatives_of_the_cell():
    """Central differences of h and c through the forward equations, one pre-activation at a time."""
    z = dict(zip("ifgo", np.array([0.3, -0.8, 0.5, 1.1]), strict=True))
    c_prev, dh, dc_next = np.array([0.7, 1.3, -0.4])

    def loss(z, c_prev):
        i = scalar.sigmoid(z["i"])
        f = scalar.sigmoid(z["f"])
        g = scalar.tanh(z["g"])
        o = scalar.sigmoid(z["o"])
        c = scalar.cell_state(i, f, g, c_prev)
        return dh * scalar.hidden_state(o, scalar.tanh(c)) + dc_next * c

    i = scalar.sigmoid(z["i"])
    f = scalar.sigmoid(z["f"])
    g = scalar.tanh(z["g"])
    o = scalar.sigmoid(z["o"])
    tanh_c = scalar.tanh(scalar.cell_state(i, f, g, c_prev))
    dc = scalar.cell_state_gradient(dc_next, dh, o, tanh_c)
    expected = {
        "i": scalar.input_gate_gradient(dc, i, g),
        "f": scalar.forget_gate_gradient(dc, f, c_prev),
        "g": scalar.candidate_gradient(dc, i, g),
        "o": scalar.output_gate_gradient(dh, o, tanh_c),
    }
    step = 1e-6
    for gate, gradient in expected.items():
        difference = loss({**z, gate: z[gate] + step}, c_prev) - loss({**z, gate: z[gate] - step}, c_prev)
        assert difference / (2 * step) == pytest.approx(gradient, abs=1e-9)
    assert (loss(z, c_prev + step) - loss(z, c_prev - step)) / (2 * step) == pytest.approx(dc * f, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_add_exp(dtype):
    log_add_exp = compiled(lambda a, b: scalar.log_add_exp(a, b))
    zero = dtype(-np.inf)
    for a, b in ((0.3, -2.0), (-800.0, -801.0), (5000.0, 1.0), (4.0, 4.0)):
        assert log_add_exp(dtype(a), dtype(b)) == pytest.approx(np.logaddexp(a, b), rel=1e-6)
    assert log_add_exp(dtype(3), zero) == log_add_exp(zero, dtype(3)) == 3
    assert log_add_exp(zero, zero) == -np.inf
    assert np.isnan(log_add_exp(dtype(np.nan), dtype(1)))
    assert np.isnan(log_add_exp(dtype(1), dtype(np.nan)))
    assert log_add_exp.nopython_signatures[0].return_type == numba.from_dtype(np.dtype(dtype))


@numba.njit(error_model="numpy")
def exponential_of_each(x):
    y = np.empty_like(x)
    for n in range(x.shape[0]):
        y[n] = scalar.exponential(x[n])
    return y


def test_exponential_in_float32_is_within_a_few_units_of_the_last_place():
    x = np.linspace(-87.3, 88.7, 200_001, dtype=np.float32)
    assert np.abs(exponential_of_each(x) / np.exp(x.astype(np.float64)) - 1).max() < 2e-7


def test_exponential_in_float32_at_its_ends():
    x = np.array([0, -np.inf, -104, -103, np.inf, 88.73, np.nan] * 5, np.float32)
    expected = np.array([1, 0, 0, np.exp(-103.0), np.inf, np.inf, np.nan] * 5)
    np.testing.assert_allclose(exponential_of_each(x), expected, rtol=0.3, atol=0)


def test_exponential_in_float64_is_the_c_library():
    x = np.linspace(-700, 700, 1001)
    np.testing.assert_allclose(exponential_of_each(x), np.exp(x), rtol=1e-15, atol=0)

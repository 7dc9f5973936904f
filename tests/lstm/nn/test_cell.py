"""`LSTMCell` of lstm/nn/recurrent.py."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.cell import LSTMCell
from gatecast.lstm.nn.recurrent import LSTM
from tests.lstm.oracle import draw, oracle_backward, oracle_forward
from tests.reference import relative_error, sigmoid

DTYPES = [("float32", 1e-5), ("float64", 1e-9)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_a_cell_takes_one_step_of_the_equations(rng, dtype, tolerance):
    cell = LSTMCell(3, 5, dtype=dtype, seed=2)
    x = draw(rng, dtype, 7, 3)
    h_0 = draw(rng, dtype, 7, 5)
    c_0 = draw(rng, dtype, 7, 5)
    dh, dc = draw(rng, dtype, 7, 5), draw(rng, dtype, 7, 5)
    h, c, gates = cell.forward(x, h_0, c_0, return_gates=True)
    dx, dh_0, dc_0 = cell.backward(dh, dc)

    state = {f"{name}_l0": array for name, array in cell.state_dict().items()}
    _, h_exact, c_exact, trace = oracle_forward(state, 1, x[:, None], h_0[None], c_0[None])
    dy = np.zeros((7, 1, 5))
    dx_exact, dh_exact, dc_exact, gradients = oracle_backward(trace, dy, dh[None], dc[None])
    assert relative_error(h, h_exact[0]) <= tolerance
    assert relative_error(c, c_exact[0]) <= tolerance
    for place, name in enumerate("ifgo", start=3):
        assert relative_error(gates[name], trace[0][2][0][place]) <= tolerance
    assert relative_error(dx, dx_exact[:, 0]) <= tolerance
    assert relative_error(dh_0, dh_exact[0]) <= tolerance
    assert relative_error(dc_0, dc_exact[0]) <= tolerance
    for name, gradient in cell.grads.items():
        assert relative_error(gradient, gradients[f"{name}_l0"]) <= tolerance


def test_a_cell_without_gates_gives_the_state_alone_and_a_fresh_one(rng):
    cell = LSTMCell(3, 5, dtype="float64")
    x = rng.standard_normal((2, 3))
    zeros = np.zeros((2, 5))
    h, c = cell.forward(x, zeros, zeros)
    kept = h.copy(), c.copy()
    cell.forward(-x, h, c)
    assert np.array_equal(h, kept[0])
    assert np.array_equal(c, kept[1])


def test_a_chain_of_cells_is_an_lstm(rng):
    cell = LSTMCell(3, 5, seed=1)
    layer = LSTM(3, 5, seed=1)
    x = draw(rng, "float32", 4, 6, 3)
    y, _ = layer.forward(x)
    h = c = np.zeros((4, 5), "float32")
    for t in range(6):
        h, c = cell.forward(x[:, t], h, c)
        assert np.array_equal(h, y[:, t])


def test_a_cell_has_the_names_of_torch_and_loads_them(rng):
    cell = LSTMCell(3, 5, seed=1)
    other = LSTMCell(3, 5, seed=2)
    assert set(cell.state_dict()) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
    other.load_state_dict(cell.state_dict())
    x = draw(rng, "float32", 2, 3)
    zeros = np.zeros((2, 5), "float32")
    assert np.array_equal(other.forward(x, zeros, zeros)[0], cell.forward(x, zeros, zeros)[0])
    with pytest.raises(ValueError, match="weight_hh"):
        other.load_state_dict({"weight_ih": np.zeros((20, 3))})


def test_a_cell_refuses_a_state_of_another_shape():
    with pytest.raises(ValueError, match="state h has shape"):
        LSTMCell(3, 5).forward(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 5)))


def test_the_forget_gate_comes_second(rng):
    """With only the forget gate open, a cell keeps its state: this fixes the gate order i, f, g, o."""
    cell = LSTMCell(1, 2, dtype="float64")
    bias = np.repeat([-50.0, 50.0, 0.0, 50.0], 2)
    cell.load_state_dict({"weight_ih": np.zeros((8, 1)), "weight_hh": np.zeros((8, 2)), "bias_ih": bias})
    c_0 = rng.standard_normal((3, 2))
    h, c = cell.forward(rng.standard_normal((3, 1)), np.zeros((3, 2)), c_0)
    np.testing.assert_allclose(c, c_0, rtol=1e-12)
    np.testing.assert_allclose(h, sigmoid(50.0) * np.tanh(c_0), rtol=1e-12)

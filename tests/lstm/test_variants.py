"""Both directions, and sequences of different lengths."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.recurrent import LSTM
from tests.gradcheck import central_difference
from tests.lstm.oracle import draw, oracle_passes
from tests.reference import relative_error

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


def make_case(rng, layer, batch_size, seq_len, ragged):
    """Return x, state, lengths, dy and dstate; what lies beyond the lengths is noise that must not matter."""
    dtype = layer.dtype
    width = layer.hidden_size * (2 if layer.bidirectional else 1)
    shape = (layer.num_layers * (2 if layer.bidirectional else 1), batch_size, layer.hidden_size)
    x = draw(rng, dtype, batch_size, seq_len, layer.input_size)
    dy = draw(rng, dtype, batch_size, seq_len, width)
    state, dstate = (tuple(draw(rng, dtype, *shape) for _ in range(2)) for _ in range(2))
    lengths = rng.integers(1, seq_len + 1, batch_size) if ragged else None
    return x, state, lengths, dy, dstate


def run(layer, x, state, lengths, dy, dstate):
    y, (h_n, c_n) = layer.forward(x, state, lengths, training=True)
    dx, (dh_0, dc_0) = layer.backward(dy, dstate)
    return {"y": y, "h_n": h_n, "c_n": c_n, "dx": dx, "dh_0": dh_0, "dc_0": dc_0, **layer.grads}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("num_layers", "batch_size", "seq_len", "input_size", "hidden_size"),
    [(1, 1, 1, 1, 1), (1, 5, 7, 3, 4), (2, 19, 6, 2, 33), (3, 4, 9, 5, 8), (1, 70, 5, 3, 16)],
)
def test_outputs_and_all_gradients_are_those_of_each_sequence_alone(
    rng, dtype, ragged, bidirectional, num_layers, batch_size, seq_len, input_size, hidden_size
):
    layer = LSTM(input_size, hidden_size, num_layers, bidirectional, dtype=dtype, seed=1)
    x, state, lengths, dy, dstate = make_case(rng, layer, batch_size, seq_len, ragged)
    results = run(layer, x, state, lengths, dy, dstate)
    cut = np.full(batch_size, seq_len) if lengths is None else lengths
    *passes, gradients = oracle_passes(layer.state_dict(), num_layers, bidirectional, x, cut, *state, dy, *dstate)
    exact = dict(zip(("y", "h_n", "c_n", "dx", "dh_0", "dc_0"), passes, strict=True)) | gradients
    assert set(results) == set(exact)
    errors = {name: relative_error(result, exact[name]) for name, result in results.items()}
    assert max(errors.values()) <= TOLERANCE[dtype], errors


def test_gradients_agree_with_central_differences(rng):
    layer = LSTM(2, 3, 2, True, dtype="float64", seed=1)
    x, state, lengths, dy, dstate = make_case(rng, layer, 3, 5, True)
    inside = np.arange(5) < lengths[:, None]

    def loss():
        layer.parameters.changed()
        y, (h_n, c_n) = layer.forward(x, state, lengths)
        return float((y * dy)[inside].sum() + (h_n * dstate[0]).sum() + (c_n * dstate[1]).sum())

    results = run(layer, x, state, lengths, dy, dstate)
    gradients = layer.parameters.gradients.copy()
    for gradient, array in (
        (results["dx"], x), (results["dh_0"], state[0]), (results["dc_0"], state[1]),
        (gradients, layer.parameters.values),
    ):  # fmt: skip
        assert relative_error(gradient, central_difference(loss, array)) <= 1e-8


@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_stands_beyond_a_length_changes_no_bit(rng, bidirectional):
    layer = LSTM(3, 8, 2, bidirectional, seed=1)
    x, state, lengths, dy, dstate = make_case(rng, layer, 6, 7, True)
    beyond = np.arange(7) >= lengths[:, None]
    assert beyond.any()
    first = run(layer, x, state, lengths, dy, dstate)
    x[beyond] = 1e6
    dy[beyond] = -1e6
    again = run(layer, x, state, lengths, dy, dstate)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not first["y"][beyond].any()
    assert not first["dx"][beyond].any()


def test_full_lengths_give_the_bits_of_no_lengths(rng):
    layer = LSTM(3, 8, 1, True, seed=1)
    x, state, _, dy, dstate = make_case(rng, layer, 6, 7, False)
    plain, full = (run(layer, x, state, lengths, dy, dstate) for lengths in (None, np.full(6, 7)))
    assert all(np.array_equal(plain[name], full[name]) for name in plain)


def test_a_pass_without_lengths_after_one_with_them_knows_nothing_of_them(rng):
    layer = LSTM(3, 8, seed=1)
    x, state, lengths, dy, dstate = make_case(rng, layer, 6, 7, True)
    before = run(layer, x, state, None, dy, dstate)
    run(layer, x, state, lengths, dy, dstate)
    after = run(layer, x, state, None, dy, dstate)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 2], "must be 3 integers"),
        ([1.0, 2.0, 3.0], "must be 3 integers"),
        ([0, 1, 2], "between 1 and 4"),
        ([1, 5, 2], "between 1 and 4"),
    ],
)
def test_wrong_lengths_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        LSTM(2, 3).forward(np.zeros((3, 4, 2), "float32"), lengths=lengths)


def test_names_and_shapes_are_those_of_torch():
    state = LSTM(3, 4, 2, True).state_dict()
    assert {name: array.shape for name, array in state.items() if "weight" in name} == {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4),
        "weight_ih_l0_reverse": (16, 3), "weight_hh_l0_reverse": (16, 4),
        "weight_ih_l1": (16, 8), "weight_hh_l1": (16, 4),
        "weight_ih_l1_reverse": (16, 8), "weight_hh_l1_reverse": (16, 4),
    }  # fmt: skip
    assert {"bias_ih_l1_reverse", "bias_hh_l1_reverse"} <= set(state)

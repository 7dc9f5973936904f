from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.recurrent import LSTM
from gatecast.lstm.nn.stack import Stack
from tests.gradcheck import central_difference
from tests.lstm.oracle import draw
from tests.reference import layer_norm as normalise
from tests.reference import relative_error


def by_hand(stack, x, lengths):
    """Layer by layer in float64, with plain LSTMs that were given the same weights."""
    arrays = stack.parameters.to_host()
    y = x
    inside = (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]
    for number in range(stack.num_layers):
        inputs = y
        if stack.norms and number:
            weight = arrays[f"norms.{number - 1}.weight"]
            bias = arrays[f"norms.{number - 1}.bias"]
            inputs = normalise(y.reshape(-1, y.shape[2]), weight, bias, 1e-5, y.reshape(-1, y.shape[2]))[0]
            inputs = inputs.reshape(y.shape)
        layer = LSTM(inputs.shape[2], stack.hidden_size, 1, stack.bidirectional, dtype="float64")
        prefix = f"layers.{number}."
        layer.load_state_dict({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
        output, _ = layer.forward(inputs, lengths=lengths)
        y = (y + output) * inside if stack.residual and number else output
    return y


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("residual", "layer_norm"), [(True, False), (False, True), (True, True)])
def test_outputs_are_those_of_the_equations_and_gradients_of_central_differences(
    rng, residual, layer_norm, bidirectional
):
    stack = Stack(2, 3, 3, bidirectional, residual=residual, layer_norm=layer_norm, dtype="float64", seed=1)
    stack.parameters.set_flat(stack.parameters.values + 0.1 * rng.normal(size=len(stack.parameters)))
    directions = 2 if bidirectional else 1
    x = draw(rng, "float64", 3, 4, 2)
    dy = draw(rng, "float64", 3, 4, 3 * directions)
    state, dstate = (tuple(draw(rng, "float64", 3 * directions, 3, 3) for _ in range(2)) for _ in range(2))
    lengths = np.array([4, 1, 3])
    inside = np.arange(4) < lengths[:, None]
    y, _ = stack.forward(x, lengths=lengths)
    assert relative_error(y, by_hand(stack, x, lengths)) <= 1e-12
    assert not y[~inside].any()

    def loss():
        stack.parameters.changed()
        y, (h_n, c_n) = stack.forward(x, state, lengths)
        return float((y * dy)[inside].sum() + (h_n * dstate[0]).sum() + (c_n * dstate[1]).sum())

    stack.forward(x, state, lengths, training=True)
    dx, (dh_0, dc_0) = stack.backward(dy, dstate)
    gradients = stack.parameters.gradients.copy()
    for gradient, array in ((dx, x), (dh_0, state[0]), (dc_0, state[1]), (gradients, stack.parameters.values)):
        assert relative_error(gradient, central_difference(loss, array)) <= 1e-8


def test_what_stands_beyond_a_length_changes_no_bit(rng):
    stack = Stack(2, 4, 3, residual=True, layer_norm=True)
    x = draw(rng, "float32", 3, 5, 2)
    dy = draw(rng, "float32", 3, 5, 4)
    lengths = np.array([2, 5, 1])
    results = []
    for noise in (0, 1e6):
        x[np.arange(5) >= lengths[:, None]] = dy[np.arange(5) >= lengths[:, None]] = noise
        y, _ = stack.forward(x, lengths=lengths, training=True)
        results.append([y, *stack.backward(dy)[:1], stack.parameters.gradients.copy()])
    assert all(np.array_equal(first, again) for first, again in zip(*results, strict=True))


def test_one_layer_has_nothing_between():
    with pytest.raises(ValueError, match="at least 2"):
        Stack(2, 3, 1, residual=True)

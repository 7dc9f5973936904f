from __future__ import annotations

import numpy as np
import pytest

from gatecast import LSTM, Dropout
from gatecast.lstm.nn.dropout import DropoutRates
from tests.gradcheck import central_difference
from tests.reference import relative_error

RATES = {"dropout": 0.3, "recurrent_dropout": 0.4, "input_dropout": 0.2, "weight_dropout": 0.3}


def layer_with(kind="variational", **options):
    options = {**RATES, "dropout_kind": kind, "dtype": "float64", "seed": 1, **options}
    return LSTM(3, 6, 2, True, **options)


def run(layer, x, dy, step):
    y, _ = layer.forward(x, training=True, step=step)
    dx, _ = layer.backward(dy)
    return [y, dx, *layer.grads.values()]


@pytest.mark.parametrize("lengths", [None, [5, 2, 4]])
@pytest.mark.parametrize("kind", ["variational", "per_step"])
def test_gradients_agree_with_central_differences_while_the_masks_are_fixed(rng, kind, lengths):
    layer = layer_with(kind)
    x = rng.normal(size=(3, 5, 3))
    dy = rng.normal(size=(3, 5, 12))
    state = rng.normal(size=(2, 4, 3, 6))
    if lengths is not None:
        dy[np.arange(5) >= np.array(lengths)[:, None]] = 0

    def loss():
        y, _ = layer.forward(x, tuple(state), lengths, training=True, step=3)
        return float((y * dy).sum())

    loss()
    dx, dstate = layer.backward(dy)
    gradients = layer.parameters.gradients.copy()
    for gradient, array in ((dx, x), (np.stack(dstate), state), (gradients, layer.parameters.values)):
        assert relative_error(gradient, central_difference(loss, array)) <= 1e-8


def test_masks_are_a_function_of_seed_and_step(rng):
    x = rng.normal(size=(3, 5, 3))
    dy = rng.normal(size=(3, 5, 12))
    first = run(layer_with(), x, dy, 7)
    again = run(layer_with(), x, dy, 7)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], run(layer_with(), x, dy, 8)[0])
    other = layer_with(seed=2)
    other.load_state_dict(layer_with().state_dict())
    assert not np.array_equal(first[0], run(other, x, dy, 7)[0])


def test_masks_are_drawn_anew_for_each_training_pass_unless_the_step_is_given(rng):
    x = rng.normal(size=(3, 5, 3))
    layer = layer_with()
    passes = [layer.forward(x, training=True)[0] for _ in range(3)]
    assert not np.array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[1], passes[2])
    assert np.array_equal(layer_with().forward(x, training=True, step=0)[0], passes[0])


def test_evaluation_drops_nothing_also_after_training_passes(rng):
    x = rng.normal(size=(3, 5, 3))
    dy = rng.normal(size=(3, 5, 12))
    layer = layer_with()
    plain = LSTM(3, 6, 2, True, dtype="float64", seed=1)
    expected, _ = plain.forward(x)
    assert np.array_equal(layer.forward(x)[0], expected)
    run(layer, x, dy, 1)
    assert np.array_equal(layer.forward(x)[0], expected)
    assert np.array_equal(layer.forward(x)[0], expected)


@pytest.mark.parametrize(("kind", "constant"), [("variational", True), ("per_step", False)])
def test_what_is_dropped_of_the_input_is_constant_over_time_only_if_variational(rng, kind, constant):
    layer = LSTM(40, 6, input_dropout=0.5, dropout_kind=kind, dtype="float64")
    x = np.ones((4, 6, 40))
    layer.forward(x, training=True)
    dx, _ = layer.backward(rng.normal(size=(4, 6, 6)))
    dropped = dx == 0
    assert 0.4 < dropped.mean() < 0.6
    assert (dropped == dropped[:, :1]).all() == constant
    assert not np.array_equal(dropped[0], dropped[1])


def test_both_directions_drop_the_same_inputs_if_variational(rng):
    layer = LSTM(40, 6, 1, True, input_dropout=0.5, dtype="float64")
    layer.forward(np.ones((4, 6, 40)), training=True)
    both, _ = layer.backward(rng.normal(size=(4, 6, 12)))
    assert 0.4 < (both == 0).mean() < 0.6


def test_dropped_recurrent_weights_get_no_gradient_and_keep_their_value(rng):
    layer = LSTM(3, 8, weight_dropout=0.5, dtype="float64")
    before = layer.state_dict()
    y, _ = layer.forward(rng.normal(size=(2, 9, 3)), training=True)
    layer.backward(np.ones_like(y))
    dropped = layer.grads["weight_hh_l0"] == 0
    assert 0.35 < dropped.mean() < 0.65
    assert all(np.array_equal(before[name], array) for name, array in layer.state_dict().items())


def test_dropout_between_layers_leaves_a_single_layer_alone(rng):
    x = rng.normal(size=(2, 5, 3))
    plain = LSTM(3, 4, dtype="float64")
    single = LSTM(3, 4, dropout=0.5, dtype="float64")
    assert np.array_equal(plain.forward(x)[0], single.forward(x, training=True)[0])


def test_the_mean_over_many_passes_approaches_the_pass_without_dropout(rng):
    x = 0.1 * rng.normal(size=(2, 1, 3))
    layer = LSTM(3, 4, input_dropout=0.3, dtype="float64")
    expected, _ = layer.forward(x)
    passes = [layer.forward(x, training=True)[0] for _ in range(4000)]
    assert relative_error(np.mean(passes, axis=0), expected) < 5e-3


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("name", list(RATES))
def test_rates_outside_0_to_1_are_refused(name, rate):
    with pytest.raises(ValueError, match="must be at least 0 and less than 1"):
        LSTM(3, 4, **{name: rate})


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="choose variational or per_step"):
        DropoutRates(kind="spatial")
    with pytest.raises(ValueError, match="choose variational or per_step"):
        Dropout(0.5, "spatial")


def test_the_layer_drops_in_training_and_its_gradient_in_the_same_places():
    layer = Dropout(0.5, seed=3, dtype="float64")
    x = np.ones((4, 6, 40))
    assert layer.forward(x) is x
    y = layer.forward(x, training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert np.array_equal(y, np.repeat(y[:, :1], 6, axis=1))
    assert np.array_equal(layer.backward(x), y)
    assert not np.array_equal(layer.forward(x, training=True), y)
    assert np.array_equal(layer.forward(x, training=True, step=0), y)
    assert layer.forward(x, training=False) is x
    assert layer.backward(x) is x

from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.initialisation import Initialisation, init_linear, init_parameters
from gatecast.lstm.nn.recurrent import LSTM


def test_a_layer_has_the_shapes_of_torch_and_the_dtype_asked_for():
    parameters = init_parameters(3, 5, dtype="float64")
    assert {name: array.shape for name, array in parameters.items()} == {
        "weight_ih": (20, 3),
        "weight_hh": (20, 5),
        "bias_ih": (20,),
    }
    assert {array.dtype.name for array in parameters.values()} == {"float64"}
    linear = init_linear(5, 2)
    assert (linear["weight"].shape, linear["bias"].shape) == ((2, 5), (2,))
    assert {array.dtype.name for array in linear.values()} == {"float32"}


@pytest.mark.parametrize(("draw", "bound"), [(init_parameters, 25**-0.5), (init_linear, 9**-0.5)])
def test_values_fill_the_uniform_range(draw, bound):
    for array in draw(9, 25).values():
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > 0.8 * bound
    weights = next(iter(draw(9, 25).values()))
    assert abs(weights.mean()) < 0.1 * bound


def test_the_seed_decides_the_values():
    first, again, other = (init_parameters(3, 4, seed)["weight_hh"] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_generator_goes_on_from_layer_to_layer():
    generator = np.random.default_rng(0)
    first, second = (init_parameters(4, 4, generator)["weight_hh"] for _ in range(2))
    assert not np.array_equal(first, second)


def test_orthogonal_gates_turn_and_do_not_stretch():
    parameters = init_parameters(3, 8, 1, "float64", Initialisation("orthogonal"))
    gates = parameters["weight_hh"].reshape(4, 8, 8)
    np.testing.assert_allclose(gates @ gates.transpose(0, 2, 1), np.tile(np.eye(8), (4, 1, 1)), atol=1e-12)
    assert not np.allclose(gates[0], gates[1])
    bound = (6 / 11) ** 0.5
    assert bound * 0.8 < np.abs(parameters["weight_ih"]).max() <= bound
    assert not parameters["bias_ih"].any()


@pytest.mark.parametrize("weights", ["uniform", "orthogonal"])
def test_a_forget_bias_changes_that_gate_alone(weights):
    plain, biased = (
        init_parameters(3, 8, 1, "float64", Initialisation(weights, forget_bias=bias)) for bias in (None, 1.5)
    )
    assert biased["bias_ih"][8:16].tolist() == [1.5] * 8
    for name in plain:
        plain[name][8:16] = 0
        biased[name][8:16] = 0
        np.testing.assert_array_equal(plain[name], biased[name])


def test_chrono_biases_spread_the_memory_up_to_the_longest_lag():
    bias = init_parameters(3, 4000, 1, "float64", Initialisation(max_lag=101))["bias_ih"].reshape(4, 4000)
    np.testing.assert_array_equal(bias[0], -bias[1])
    lags = np.exp(bias[1])  # uniform from 1 to 100
    assert lags.min() >= 1
    assert lags.max() <= 100
    assert abs(lags.mean() - 50.5) < 2
    assert abs(lags.std() - 99 / 12**0.5) < 1
    assert not bias[2:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "normal"}, "choose uniform or orthogonal"),
        ({"max_lag": 2}, "at least 3"),
        ({"max_lag": 5, "forget_bias": 1.0}, "choose one"),
    ],
)
def test_a_scheme_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Initialisation(**options)


def test_a_layer_takes_its_scheme():
    state = LSTM(3, 4, 2, True, initialisation=Initialisation(forget_bias=2.0)).state_dict()
    biases = [array for name, array in state.items() if "bias_ih" in name]
    assert len(biases) == 4
    assert all(bias[4:8].tolist() == [2] * 4 for bias in biases)

from __future__ import annotations

import numpy as np
import pytest

from lstm.initialisation import init_linear, init_parameters


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

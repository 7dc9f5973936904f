from __future__ import annotations

import numpy as np
import pytest

from lstm.network import Network
from tests.gradcheck import central_difference
from tests.reference import relative_error


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_gradients_agree_with_central_differences(rng, num_layers, bidirectional, every_step):
    network = Network(3, 4, num_layers, 2, bidirectional=bidirectional, dtype="float64", seed=1)
    x = rng.standard_normal((3, 5, 3))
    state = tuple(rng.standard_normal((num_layers * (1 + bidirectional), 3, 4)) for _ in range(2))
    dy_hat = rng.standard_normal((15 if every_step else 3, 2))

    def loss():
        network.parameters.changed()
        y_hat, _ = network.forward(x, state, every_step=every_step)
        return float((y_hat * dy_hat).sum())

    network.forward(x, state, training=True, every_step=every_step)
    network.backward(dy_hat)
    gradient = network.parameters.gradients.copy()
    assert relative_error(gradient, central_difference(loss, network.parameters.values)) <= 1e-8


def test_the_last_prediction_of_every_step_is_that_of_the_window(rng):
    network = Network(3, 4, 2, 2, dtype="float64")
    x = rng.standard_normal((3, 5, 3))
    last, (h_n, c_n) = network.forward(x)
    every, (h_every, c_every) = network.forward(x, every_step=True)
    assert last.shape == (3, 2)
    assert np.array_equal(h_n, h_every)
    assert np.array_equal(c_n, c_every)
    np.testing.assert_allclose(every.reshape(3, 5, 2)[:, -1], last, rtol=1e-13)


def test_one_vector_holds_the_layers_and_the_head():
    network = Network(3, 4, 2, 2)
    sizes = {name: network.parameters[name].size for name in network.parameters}
    assert len(network.parameters) == sum(sizes.values()) == 16 * (3 + 4 + 1) + 16 * (4 + 4 + 1) + 4 * 2 + 2
    assert {"lstm.weight_ih_l0", "lstm.bias_ih_l1", "head.weight", "head.bias"} <= set(sizes)
    network.parameters.values[:] = 0
    network.parameters["head.bias"][:] = [1, 2]
    network.parameters.changed()
    y_hat, _ = network.forward(np.ones((2, 5, 3), "float32"))
    assert y_hat.tolist() == [[1, 2], [1, 2]]


def test_layers_of_one_network_do_not_begin_alike_and_the_seed_decides():
    first, again, other = (Network(4, 4, 2, 1, seed=seed) for seed in (1, 1, 2))
    assert not np.array_equal(first.parameters["lstm.weight_ih_l0"], first.parameters["lstm.weight_ih_l1"])
    assert np.array_equal(first.parameters.values, again.parameters.values)
    assert not np.array_equal(first.parameters.values, other.parameters.values)

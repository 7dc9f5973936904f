from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gatecast.lstm.config import NetworkSettings
from gatecast.lstm.forecasting.network import Network
from tests.gradcheck import central_difference
from tests.reference import relative_error


def network(num_layers=1, seed=0, **settings):
    """3 inputs, 2 units, 2 outputs, in float64."""
    changes = {"hidden_size": 2, "num_layers": num_layers, "dtype": "float64", "seed": seed}
    return Network(3, 2, NetworkSettings(**{**changes, **settings}))


def variants():
    """Every combination of layers, directions, residual connections, normalisation and attention that is allowed."""
    for num_layers, bidirectional, residual, layer_norm in product((1, 2), *[(False, True)] * 3):
        if num_layers > 1 or not (residual or layer_norm):
            between = {"bidirectional": bidirectional, "residual_layers": residual, "layer_norm": layer_norm}
            for attention, heads in (("none", 1), ("dot", 2), ("general", 1), ("additive", 2)):
                yield {"num_layers": num_layers, **between, "attention": attention, "attention_heads": heads}


def name_of(settings):
    return " ".join(f"{name}={value}" for name, value in settings.items() if value not in (False, "none"))


@pytest.mark.parametrize("settings", list(variants()), ids=name_of)
def test_gradients_agree_with_central_differences(rng, settings):
    assert gradient_error(rng, settings, every_step=False) <= 1e-8


@pytest.mark.parametrize(
    "settings", [settings for settings in variants() if settings["attention"] == "none"], ids=name_of
)
def test_gradients_of_every_step_agree_with_central_differences(rng, settings):
    assert gradient_error(rng, settings, every_step=True) <= 1e-8


def gradient_error(rng, settings, every_step, masks_of=None):
    """Return how far the gradients are from central differences."""
    net = network(seed=1, **settings)
    x = rng.standard_normal((2, 3, 3))
    state = tuple(rng.standard_normal((net.settings.num_layers * net.settings.directions, 2, 2)) for _ in range(2))
    dy_hat = rng.standard_normal((6 if every_step else 2, 2))

    def loss():
        net.parameters.changed()
        y_hat, _ = net.forward(x, state, training=masks_of is not None, step=masks_of, every_step=every_step)
        return float((y_hat * dy_hat).sum())

    net.parameters.gradients[:] = 99  # written, not added to
    net.forward(x, state, training=True, step=masks_of, every_step=every_step)
    net.backward(dy_hat)
    gradient = net.parameters.gradients.copy()
    return relative_error(gradient, central_difference(loss, net.parameters.values))


@pytest.mark.parametrize(
    "settings",
    [{}, {"bidirectional": True}, {"num_layers": 2, "residual_layers": True, "attention": "dot"}],
    ids=name_of,
)
def test_gradients_of_vectors_of_series_agree_with_central_differences(rng, settings):
    chosen = NetworkSettings(**{"hidden_size": 2, "dtype": "float64", "seed": 1, **settings})
    net = Network(3, 2, chosen, embedding=(4, 3))
    net.series.parameters.set_flat(rng.standard_normal(len(net.series.parameters)))
    x = rng.standard_normal((5, 3, 6))  # 3 inputs, and room for the vectors
    series = np.array([0, 4, 2, 2, 0])
    dy_hat = rng.standard_normal((5, 2))

    def loss():
        net.parameters.changed()
        return float((net.forward(x, series=series)[0] * dy_hat).sum())

    net.parameters.gradients[:] = 99
    net.forward(x, training=True, series=series)
    net.backward(dy_hat)
    gradient = net.parameters.gradients.copy()
    assert relative_error(gradient, central_difference(loss, net.parameters.values)) <= 1e-8


def test_vectors_of_series_begin_at_zero_and_leave_the_other_weights_as_they_are(rng):
    settings = NetworkSettings(hidden_size=2, dtype="float64")
    with_vectors, without = Network(3, 2, settings, embedding=(4, 2)), Network(5, 2, settings)
    assert not with_vectors.parameters.to_host()["series.weight"].any()
    for name, weights in without.parameters.to_host().items():
        np.testing.assert_array_equal(with_vectors.parameters.to_host()[name], weights, err_msg=name)


DROPOUTS = {"dropout": 0.3, "recurrent_dropout": 0.3, "input_dropout": 0.2, "weight_dropout": 0.3}
DEEP = {"num_layers": 3, "bidirectional": True, "residual_layers": True, "layer_norm": True, "attention": "additive"}


@pytest.mark.parametrize("kind", ["variational", "per_step"])
@pytest.mark.parametrize("settings", [{"num_layers": 2}, DEEP], ids=["plain", "deep"])
def test_gradients_agree_with_central_differences_while_the_masks_stay(rng, settings, kind):
    settings = {**settings, **DROPOUTS, "dropout_kind": kind}
    assert gradient_error(rng, settings, every_step=False, masks_of=7) <= 1e-8


def test_masks_are_those_of_the_step_and_dropping_ends_with_training(rng):
    net = network(2, **DROPOUTS, attention="dot")
    x = rng.standard_normal((4, 5, 3))
    first, again, other = (net.forward(x, training=True, step=step)[0] for step in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain = network(2, attention="dot")
    plain.parameters.set_flat(net.parameters.values)
    assert np.array_equal(net.forward(x)[0], plain.forward(x)[0])


@pytest.mark.parametrize(
    "settings", [{}, {"residual_layers": True}, {"layer_norm": True}, {"residual_layers": True, "layer_norm": True}]
)
def test_the_last_prediction_of_every_step_is_that_of_the_window(rng, settings):
    net = network(2, **settings)
    x = rng.standard_normal((3, 5, 3))
    last, (h_n, c_n) = net.forward(x)
    every, (h_every, c_every) = net.forward(x, every_step=True)
    assert last.shape == (3, 2)
    assert np.array_equal(h_n, h_every)
    assert np.array_equal(c_n, c_every)
    np.testing.assert_allclose(every.reshape(3, 5, 2)[:, -1], last, rtol=1e-13)


def test_both_backends_agree(rng):
    x = rng.standard_normal((2, 3, 3))
    dy_hat = rng.standard_normal((2, 2))
    results = []
    for backend in ("cpu", "cuda"):
        net = network(
            2, residual_layers=True, layer_norm=True, bidirectional=True, attention="general", backend=backend
        )
        y_hat, state = net.forward(x, training=True)
        net.backward(net.ops.as_array(dy_hat, "float64"))
        results.append([np.asarray(array) for array in (y_hat, *state, net.parameters.gradients)])
    assert all(relative_error(*pair) <= 1e-12 for pair in zip(*results, strict=True))


def test_attention_predicts_from_the_last_step_alone(rng):
    with pytest.raises(ValueError, match="last step"):
        network(attention="dot").forward(rng.standard_normal((2, 3, 3)), every_step=True)


def test_one_vector_holds_the_layers_and_the_head():
    net = network(2, dtype="float32")
    sizes = {name: net.parameters[name].size for name in net.parameters}
    assert len(net.parameters) == sum(sizes.values()) == 8 * (3 + 2 + 1) + 8 * (2 + 2 + 1) + 2 * 2 + 2
    assert {"lstm.weight_ih_l0", "lstm.bias_ih_l1", "head.weight", "head.bias"} <= set(sizes)
    net.parameters.values[:] = 0
    net.parameters["head.bias"][:] = [1, 2]
    net.parameters.changed()
    y_hat, _ = net.forward(np.ones((2, 5, 3), "float32"))
    assert y_hat.tolist() == [[1, 2], [1, 2]]


def test_layers_of_one_network_do_not_begin_alike_and_the_seed_decides():
    first, again, other = (network(2, seed=seed) for seed in (1, 1, 2))
    assert not np.array_equal(first.parameters["lstm.weight_hh_l0"], first.parameters["lstm.weight_hh_l1"])
    assert np.array_equal(first.parameters.values, again.parameters.values)
    assert not np.array_equal(first.parameters.values, other.parameters.values)

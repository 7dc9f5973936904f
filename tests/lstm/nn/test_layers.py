from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.layers import Embedding, Linear
from tests.reference import relative_error


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (3, 5, 2), (70, 9, 17)])
def test_linear_and_its_gradients_agree_with_numpy(rng, rows, inputs, outputs, dtype, tolerance):
    layer = Linear(inputs, outputs, dtype=dtype, seed=rng)
    weight, bias = (layer.parameters.to_host()[name].astype(np.float64) for name in ("weight", "bias"))
    x = rng.standard_normal((rows, inputs)).astype(dtype)
    dy = rng.standard_normal((rows, outputs)).astype(dtype)
    layer.parameters.gradients[:] = 99  # written, not added to
    y = layer.forward(x)
    dx = layer.backward(dy)
    x = x.astype(np.float64)
    dy = dy.astype(np.float64)
    assert y.dtype == dtype
    assert relative_error(y, x @ weight.T + bias) <= tolerance
    assert relative_error(dx, dy @ weight) <= tolerance
    assert relative_error(layer.parameters.gradient("weight"), dy.T @ x) <= tolerance
    assert relative_error(layer.parameters.gradient("bias"), dy.sum(axis=0)) <= tolerance


def test_a_later_call_does_not_change_an_earlier_result(rng):
    layer = Linear(3, 2, dtype="float64")
    x = rng.standard_normal((4, 3))
    y = layer.forward(x)
    dx = layer.backward(np.ones((4, 2)))
    kept = y.copy(), dx.copy()
    layer.forward(-x)
    layer.backward(np.zeros((4, 2)))
    assert np.array_equal(y, kept[0])
    assert np.array_equal(dx, kept[1])


def test_many_sizes_in_turn_give_the_same_as_each_alone(rng):
    layer = Linear(3, 2, dtype="float64")
    batches = [rng.standard_normal((rows, 3)) for rows in (4, 1, 7, 4)]
    for x, y in zip(batches, [layer.forward(x) for x in batches], strict=True):
        np.testing.assert_allclose(y, x @ layer.parameters["weight"].T + layer.parameters["bias"], rtol=1e-12)


@pytest.mark.parametrize("shape", [(4, 2), (4,), (1, 4, 3)])
def test_an_input_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"it must be \(rows, 3\)"):
        Linear(3, 2).forward(np.zeros(shape, "float32"))


@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (4,)])
def test_a_gradient_of_another_shape_is_refused(shape):
    layer = Linear(3, 2)
    layer.forward(np.zeros((4, 3), "float32"))
    with pytest.raises(ValueError, match=r"it must be \(4, 2\)"):
        layer.backward(np.zeros(shape, "float32"))


def test_backward_without_forward_is_refused():
    with pytest.raises(RuntimeError, match="forward"):
        Linear(3, 2).backward(np.zeros((4, 2), "float32"))


@pytest.mark.parametrize("shape", [(5,), (2, 3), (0,), (2, 1, 4)])
def test_embedding_looks_up_indices_of_any_shape(rng, shape):
    layer = Embedding(9, 4, dtype="float64", seed=rng)
    indices = rng.integers(0, 9, shape)
    y = layer.forward(indices)
    dy = rng.normal(size=(*shape, 4))
    np.testing.assert_array_equal(y, layer.parameters["weight"][indices])
    layer.parameters.gradients[:] = 99  # written, not added to
    layer.backward(dy)
    expected = np.zeros((9, 4))
    np.add.at(expected, indices, dy)
    np.testing.assert_allclose(layer.parameters.gradient("weight"), expected, atol=1e-14)
    layer.backward(dy, accumulate=True)
    np.testing.assert_allclose(layer.parameters.gradient("weight"), 2 * expected, atol=1e-14)


def test_embedding_keeps_the_indices_it_was_given(rng):
    layer = Embedding(3, 2, dtype="float64")
    indices = np.array([0, 1])
    layer.forward(indices)
    indices[:] = 2
    layer.backward(np.ones((2, 2)))
    assert layer.parameters.gradient("weight")[:, 0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("indices", [[3], [-1], [0.0]])
def test_embedding_refuses_what_is_no_index(indices):
    with pytest.raises(ValueError, match="they must"):
        Embedding(3, 2).forward(np.array(indices))


def test_embedding_refuses_a_gradient_of_another_shape():
    layer = Embedding(3, 2)
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.zeros((1, 2), "float32"))
    layer.forward(np.zeros((2, 2), int))
    with pytest.raises(ValueError, match=r"it must be \(2, 2, 2\)"):
        layer.backward(np.zeros((4, 2), "float32"))


def test_embedding_starts_from_the_same_values_for_the_same_seed():
    first, second = (Embedding(50, 40, scale=0.1, seed=3).parameters["weight"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.std() == pytest.approx(0.1, rel=0.1)

from __future__ import annotations

import numpy as np
import pytest

from gatecast import CRF, LSTM, Attention, Dropout, Embedding, LayerNorm, Linear, LSTMCell, Stack, init_parameters
from gatecast.kernels import get_backend
from gatecast.lstm.nn.parameters import Parameters

LAYERS = {
    "LSTM": lambda **options: LSTM(3, 2, **options),
    "LSTMCell": lambda **options: LSTMCell(3, 2, **options),
    "Stack": lambda **options: Stack(3, 2, 2, layer_norm=True, **options),
    "Attention": lambda **options: Attention(4, **options),
    "CRF": lambda **options: CRF(3, **options),
    "Dropout": lambda **options: Dropout(0.5, **options),
    "Embedding": lambda **options: Embedding(3, 2, **options),
    "LayerNorm": lambda **options: LayerNorm(3, **options),
    "Linear": lambda **options: Linear(3, 2, **options),
    "init_parameters": lambda **options: init_parameters(3, 2, **options),
}
SIZES = {
    "LSTM": lambda size: LSTM(3, size),
    "LSTM's input": lambda size: LSTM(size, 3),
    "LSTM's layers": lambda size: LSTM(3, 3, size),
    "LSTMCell": lambda size: LSTMCell(3, size),
    "Attention": lambda size: Attention(size),
    "CRF": lambda size: CRF(size),
    "Embedding": lambda size: Embedding(3, size),
    "LayerNorm": lambda size: LayerNorm(size),
    "Linear": lambda size: Linear(3, size),
    "init_parameters": lambda size: init_parameters(3, size),
}


@pytest.fixture
def ops():
    return get_backend("cpu")


def make(ops, offset=0.0):
    weight = np.arange(6, dtype="float64").reshape(2, 3) + offset
    return Parameters({"weight": weight, "bias": np.array([7.0, 8.0]) + offset}, ops)


def test_named_arrays_are_views_of_one_flat_vector(ops):
    parameters = make(ops)
    assert len(parameters) == 8
    assert list(parameters) == ["weight", "bias"]
    parameters.values[:] = np.arange(8) * 10
    parameters.gradient("bias")[1] = 5
    assert parameters["weight"].tolist() == [[0, 10, 20], [30, 40, 50]]
    assert parameters["bias"].tolist() == [60, 70]
    assert parameters.gradients.tolist() == [0, 0, 0, 0, 0, 0, 0, 5]


def test_first_values_are_copied(ops):
    values = np.ones(3)
    parameters = Parameters({"bias": values}, ops)
    values[0] = 9
    assert parameters["bias"].tolist() == [1, 1, 1]


def test_joined_parts_are_views_of_the_whole_and_keep_their_values(ops):
    first = make(ops)
    second = make(ops, 100)
    whole = Parameters.join({"a": first, "b": second}, ops)
    assert list(whole) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert second["bias"].tolist() == [107, 108]
    whole.values += 1
    second.gradient("weight")[0, 0] = 3
    assert first["bias"].tolist() == [8, 9]
    assert second.to_host()["bias"].tolist() == [108, 109]
    assert whole.gradient("b.weight")[0, 0] == 3
    first.set_flat(np.zeros(8))
    assert not whole["a.weight"].any()
    assert whole["b.weight"].all()


def test_copies_on_the_host_do_not_change_later(ops):
    parameters = make(ops)
    values = parameters.to_host()
    gradients = parameters.gradients_to_host()
    parameters.values[:] = -1
    parameters.gradients[:] = -1
    assert values["bias"].tolist() == [7, 8]
    assert not gradients["bias"].any()


def test_load_writes_into_the_same_vector(ops):
    parameters = make(ops)
    vector = parameters.values
    parameters.load({"bias": np.array([1, 2], "float32"), "weight": np.full((2, 3), 4.0)})
    assert parameters.values is vector
    assert vector.tolist() == [4, 4, 4, 4, 4, 4, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"bias": np.zeros(2)}, "weight"),
        ({"bias": np.zeros(2), "weight": np.zeros((2, 3)), "gain": np.zeros(1)}, "gain"),
        ({"bias": np.zeros(2), "weight": np.zeros((3, 2))}, r"weight has shape \(3, 2\)"),
        ({"weight": np.zeros((2, 3)), "bias": np.zeros((2, 1))}, "bias"),
    ],
)
def test_a_load_that_does_not_fit_changes_nothing(ops, arrays, named):
    parameters = make(ops)
    before = parameters.values.copy()
    with pytest.raises(ValueError, match=named):
        parameters.load(arrays)
    assert np.array_equal(parameters.values, before)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("dtype", ["float16", "int32", "five", None, 32])
def test_every_layer_refuses_another_dtype_in_the_same_words(layer, dtype):
    with pytest.raises(ValueError, match=f"^dtype is {dtype!r}; choose float32 or float64$"):
        layer(dtype=dtype)


@pytest.mark.parametrize("layer", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("size", [0, -1, "five", 2.0, None, True])
def test_every_layer_refuses_a_size_that_is_none_in_the_same_words(layer, size):
    with pytest.raises(ValueError, match=rf"^\w+ is {size!r}; it must be a whole number of at least 1$"):
        layer(size)

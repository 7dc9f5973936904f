from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.nn.attention import Attention
from tests.conftest import on_device
from tests.gradcheck import central_difference
from tests.reference import relative_error, softmax

SCORES = ["dot", "general", "additive"]


def formula(layer, y, query, lengths):
    """The equations of the class's docstring, one sequence and head at a time."""
    parameters = {name: array.astype(np.float64) for name, array in layer.parameters.to_host().items()}
    outputs = []
    weights = np.zeros((len(y), layer.heads, y.shape[1]))
    for b, length in enumerate(lengths):
        steps = y[b, :length].astype(np.float64)
        contexts = []
        for head, part in enumerate(np.split(np.arange(layer.size), layer.heads)):
            if layer.score == "dot":
                scores = steps[:, part] @ query[b, part]
            elif layer.score == "general":
                scores = steps[:, part] @ (parameters["query.weight"] @ query[b])[part]
            else:
                hidden = np.tanh(parameters["query.weight"] @ query[b] + steps @ parameters["key.weight"].T)
                units = np.split(np.arange(hidden.shape[1]), layer.heads)[head]
                scores = hidden[:, units] @ parameters["score.weight"][units]
            weights[b, head, :length] = softmax(scores)
            contexts.append(weights[b, head, :length] @ steps[:, part])
        joined = np.concatenate([*contexts, query[b]])
        outputs.append(np.tanh(parameters["projection.weight"] @ joined + parameters["projection.bias"]))
    return np.stack(outputs), weights


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("score", SCORES)
def test_output_and_weights_are_those_of_the_equations(rng, score, heads, dtype, tolerance):
    layer = Attention(6, score, heads, attention_size=9, dtype=dtype, seed=1)
    y = rng.normal(size=(5, 7, 6)).astype(dtype)
    query = rng.normal(size=(5, 6)).astype(dtype)
    lengths = np.array([7, 1, 4, 2, 7])
    output = layer.forward(y, query, lengths)
    expected, weights = formula(layer, y, query, lengths)
    assert output.dtype == layer.weights.dtype == dtype
    assert relative_error(output, expected) <= tolerance
    assert relative_error(layer.weights, weights[:, 0] if heads == 1 else weights) <= tolerance
    assert layer.weights.shape == ((5, 7) if heads == 1 else (5, 3, 7))
    np.testing.assert_allclose(layer.weights.sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("score", SCORES)
def test_gradients_agree_with_central_differences(rng, score, heads):
    layer = Attention(4, score, heads, attention_size=6, dtype="float64", seed=2)
    y = rng.normal(size=(3, 5, 4))
    query = rng.normal(size=(3, 4))
    d_output = rng.normal(size=(3, 4))
    lengths = np.array([5, 1, 3])

    def loss():
        layer.parameters.changed()
        return float((layer.forward(y, query, lengths) * d_output).sum())

    layer.parameters.gradients[:] = 99  # written, not added to
    layer.forward(y, query, lengths)
    dy, d_query = layer.backward(d_output)
    gradients = layer.parameters.gradients.copy()
    assert not dy[np.arange(5) >= lengths[:, None]].any()
    for gradient, array in ((dy, y), (d_query, query), (gradients, layer.parameters.values)):
        assert relative_error(gradient, central_difference(loss, array)) <= 1e-8


@pytest.mark.parametrize("score", SCORES)
def test_both_backends_agree(rng, score):
    y = rng.normal(size=(2, 3, 4))
    query = rng.normal(size=(2, 4))
    d_output = rng.normal(size=(2, 4))
    results = []
    for backend in ("cpu", "cuda"):
        layer = Attention(4, score, 2, dtype="float64", backend=backend)
        layer.forward(y, query, np.array([3, 2]))
        results.append([*layer.backward(d_output), layer.parameters.gradients, layer.weights])
    for ours, theirs in zip(*results, strict=True):
        assert relative_error(np.asarray(ours), np.asarray(theirs)) <= 1e-12


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
@pytest.mark.parametrize("score", SCORES)
def test_a_gradient_in_place_is_the_same_to_the_bit(rng, score, backend):
    layer = Attention(6, score, 2, backend=backend, seed=1)
    y, query, d_output = (rng.normal(size=shape).astype("float32") for shape in ((3, 5, 6), (3, 6), (3, 6)))
    lengths = np.array([5, 1, 3])
    results = []
    for in_place in (False, True):
        steps = on_device(layer._ops, y.copy())
        layer.forward(steps, query, lengths)
        dy, d_query = layer.backward(d_output, in_place=in_place)
        assert (dy is steps) is in_place
        results.append([layer._ops.to_host(array) for array in (dy, d_query, layer.parameters.gradients)])
    assert all(np.array_equal(apart, in_place) for apart, in_place in zip(*results, strict=True))


def test_what_stands_beyond_a_length_changes_no_bit(rng):
    layer = Attention(4, "additive", seed=1)
    y = rng.normal(size=(3, 5, 4)).astype("float32")
    query = rng.normal(size=(3, 4)).astype("float32")
    lengths = np.array([2, 5, 1])
    results = []
    for noise in (0, 1e6):
        y[np.arange(5) >= lengths[:, None]] = noise
        output = layer.forward(y, query, lengths)
        results.append([output, layer.weights, *layer.backward(np.ones((3, 4), "float32"))])
    assert all(np.array_equal(first, again) for first, again in zip(*results, strict=True))


def test_a_step_like_the_query_is_looked_at_most():
    y = np.eye(4, dtype="float32")[None] * 5
    layer = Attention(4, "dot")
    layer.forward(y, np.eye(4, dtype="float32")[2:3] * 5)
    assert layer.weights.argmax() == 2
    assert layer.weights[0, 2] > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "cosine"}, "choose dot, general or additive"),
        ({"heads": 3}, "heads is 3 and size 4; heads must divide it"),
        ({"heads": 0}, "heads is 0"),
        ({"heads": 2, "score": "additive", "attention_size": 5}, "heads is 2 and attention_size 5"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Attention(4, **options)


def test_wrong_arrays_are_refused():
    layer = Attention(4)
    y = np.zeros((2, 3, 4), "float32")
    query = np.zeros((2, 4), "float32")
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(query)
    with pytest.raises(RuntimeError, match="forward"):
        layer.weights  # noqa: B018
    for wrong in ((y, query[:1]), (y[..., :3], query), (y[0], query), (y[:, :0], query)):
        with pytest.raises(ValueError, match=r"\(batch, seq, 4\)"):
            layer.forward(*wrong)
    for lengths in ([1, 4], [0, 1], [1], [1.0, 2.0]):
        with pytest.raises(ValueError, match="lengths"):
            layer.forward(y, query, lengths)
    layer.forward(y, query)
    with pytest.raises(ValueError, match=r"must be \(2, 4\)"):
        layer.backward(query[:, :3])

from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.sampling import sample
from tests.conftest import on_device
from tests.reference import lstm_forward

VOCABULARY = 7
EMBEDDING = 3
HIDDEN = 5


def draw_network(ops, rng, layers, dtype, embedding_size=EMBEDDING):
    """Weights of a small network, in NumPy and for `ops`."""
    embedding = rng.normal(size=(VOCABULARY, embedding_size)).astype(dtype)
    inputs = [embedding_size] + [HIDDEN] * (layers - 1)
    stack = [
        tuple(
            rng.normal(size=shape).astype(dtype) for shape in ((4 * HIDDEN, size), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,))
        )
        for size in inputs
    ]
    head = rng.normal(size=(VOCABULARY, HIDDEN)).astype(dtype), rng.normal(size=VOCABULARY).astype(dtype)
    workspace = ops.generation_workspace(
        on_device(ops, embedding),
        [ops.LSTMWeights(*(on_device(ops, array) for array in arrays)) for arrays in stack],
        ops.LinearWeights(*(on_device(ops, array) for array in head)),
    )
    return embedding, stack, head, workspace


def by_hand(embedding, stack, head, token, draws, temperature, top_k, top_p):
    """Write tokens by running the reference over one step at a time."""
    state = [(np.zeros((1, HIDDEN)), np.zeros((1, HIDDEN))) for _ in stack]
    tokens = []
    for draw in draws:
        x = embedding[[token]].astype(np.float64)[None]
        for layer, arrays in enumerate(stack):
            x, h, c, _ = lstm_forward(*arrays, x, *state[layer])
            state[layer] = h, c
        logits = x[0, 0] @ head[0].astype(np.float64).T + head[1]
        token = sample(logits, temperature, top_k, top_p, draw)
        tokens.append(token)
    return tokens, state


def write(ops, workspace, layers, token, draws, dtype, *options, pieces=(None,)):
    h, c = (ops.zeros((layers, HIDDEN), dtype) for _ in range(2))
    written = []
    for piece in np.split(draws, [place for place in pieces if place]):
        tokens = ops.zeros((len(piece),), "int64")
        ops.generate_tokens(workspace, token, h, c, on_device(ops, piece.astype(dtype)), *options, tokens)
        written += ops.to_host(tokens).tolist()
        token = written[-1]
    return written, ops.to_host(h), ops.to_host(c)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("options", [(1.0, 100, 1.0), (0.7, 3, 1.0), (1.3, 100, 0.8), (0.0, 1, 1.0)])
def test_text_is_what_the_steps_one_by_one_write(ops, rng, layers, options):
    embedding, stack, head, workspace = draw_network(ops, rng, layers, "float64")
    draws = rng.random(6 if ops.name == "cuda" else 40)
    tokens, h, c = write(ops, workspace, layers, 2, draws, "float64", *options)
    expected, state = by_hand(embedding, stack, head, 2, draws, *options)
    assert tokens == expected
    for layer, (h_layer, c_layer) in enumerate(state):
        np.testing.assert_allclose(h[layer], h_layer[0], atol=1e-12)
        np.testing.assert_allclose(c[layer], c_layer[0], atol=1e-12)


def test_an_embedding_wider_than_the_layers(ops, rng):
    embedding, stack, head, workspace = draw_network(ops, rng, 2, "float64", embedding_size=11)
    draws = rng.random(6)
    tokens, *_ = write(ops, workspace, 2, 0, draws, "float64", 1.0, 100, 1.0)
    assert tokens == by_hand(embedding, stack, head, 0, draws, 1.0, 100, 1.0)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_text_in_pieces_is_the_text_at_once(ops, rng, dtype):
    *_, workspace = draw_network(ops, rng, 2, dtype)
    draws = rng.random(8)
    once = write(ops, workspace, 2, 1, draws, dtype, 1.0, 100, 1.0)
    pieces = write(ops, workspace, 2, 1, draws, dtype, 1.0, 100, 1.0, pieces=(1, 5))
    assert once[0] == pieces[0]
    np.testing.assert_array_equal(once[1], pieces[1])


def test_the_workspace_keeps_the_weights_it_was_made_from(rng):
    from gatecast.kernels import cpu

    embedding, _, head, workspace = draw_network(cpu, rng, 1, "float64")
    draws = rng.random(20)
    before, *_ = write(cpu, workspace, 1, 0, draws, "float64", 1.0, 100, 1.0)
    embedding[:] = 0
    head[0][:] = 0
    assert write(cpu, workspace, 1, 0, draws, "float64", 1.0, 100, 1.0)[0] == before

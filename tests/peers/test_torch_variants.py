"""Attention and layer normalisation compared with torch, with all gradients, in random configurations."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast import Attention, LayerNorm, Stack
from tests.reference import relative_error

torch = pytest.importorskip("torch", reason="make test-peers installs torch in an environment of its own")

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


def tensors(layer):
    """The layer's parameters as torch leaves."""
    return {name: torch.tensor(array, requires_grad=True) for name, array in layer.parameters.to_host().items()}


def require_agreement(pairs, dtype):
    for name, (ours, theirs) in pairs.items():
        assert relative_error(ours, theirs.detach().numpy()) < TOLERANCE[dtype], name


@pytest.mark.parametrize("number", range(60))
def test_attention_agrees_with_torch(number):
    rng = np.random.default_rng(number)
    dtype = ("float32", "float64")[number % 2]
    score = ("dot", "general", "additive")[number % 3]
    heads = int(rng.integers(1, 5))
    batch = int(rng.integers(1, 20))
    seq = int(rng.integers(1, 15))
    size = heads * int(rng.integers(1, 9))
    layer = Attention(size, score, heads, attention_size=heads * int(rng.integers(1, 6)), dtype=dtype, seed=number)
    y, query, d_output = (rng.normal(size=shape).astype(dtype) for shape in ((batch, seq, size), *[(batch, size)] * 2))
    lengths = rng.integers(1, seq + 1, batch)
    output = layer.forward(y, query, lengths)
    dy, d_query = layer.backward(d_output)

    p = tensors(layer)
    y_t = torch.tensor(y, requires_grad=True)
    q_t = torch.tensor(query, requires_grad=True)
    values = y_t.reshape(batch, seq, heads, -1)
    if score == "additive":
        hidden = torch.tanh((q_t @ p["query.weight"].T)[:, None] + y_t @ p["key.weight"].T)
        scores = (hidden * p["score.weight"]).reshape(batch, seq, heads, -1).sum(dim=3)
    else:
        looked_for = q_t if score == "dot" else q_t @ p["query.weight"].T
        scores = torch.einsum("bths,bhs->bth", values, looked_for.reshape(batch, heads, -1))
    beyond = torch.arange(seq)[None] >= torch.tensor(lengths)[:, None]
    weights = torch.softmax(scores.masked_fill(beyond[:, :, None], -torch.inf), dim=1)
    context = torch.einsum("bth,bths->bhs", weights, values).reshape(batch, size)
    joined = torch.cat([context, q_t], dim=1)
    expected = torch.tanh(joined @ p["projection.weight"].T + p["projection.bias"])
    expected.backward(torch.tensor(d_output))
    pairs = {"output": (output, expected), "dy": (dy, y_t.grad), "d_query": (d_query, q_t.grad)}
    pairs["weights"] = (layer.weights.reshape(batch, heads, seq), weights.transpose(1, 2))
    pairs |= {name: (layer.parameters.gradient(name), tensor.grad) for name, tensor in p.items()}
    require_agreement(pairs, dtype)


@pytest.mark.parametrize("number", range(20))
def test_layer_norm_agrees_with_torch(number):
    rng = np.random.default_rng(number)
    dtype = ("float32", "float64")[number % 2]
    rows = int(rng.integers(1, 700))
    size = int(rng.integers(2, 70))
    layer = LayerNorm(size, dtype=dtype)
    layer.parameters.set_flat(rng.normal(size=2 * size).astype(dtype))
    x = rng.normal(size=(rows, size)).astype(dtype)
    dy = rng.normal(size=(rows, size)).astype(dtype)
    p = tensors(layer)
    x_t = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.layer_norm(x_t, (size,), p["weight"], p["bias"], layer.epsilon)
    expected.backward(torch.tensor(dy))
    pairs = {"y": (layer.forward(x), expected), "dx": (layer.backward(dy), x_t.grad)}
    pairs |= {name: (layer.parameters.gradient(name), tensor.grad) for name, tensor in p.items()}
    require_agreement(pairs, dtype)


@pytest.mark.parametrize("number", range(24))
def test_a_stack_agrees_with_torch(number):
    rng = np.random.default_rng(number)
    dtype = ("float32", "float64")[number % 2]
    residual = number // 2 % 3 != 0
    norm = number // 2 % 3 != 1
    bidirectional = number // 6 % 2 == 1
    batch, seq, inputs, hidden, layers = (int(rng.integers(low, 10)) for low in (1, 1, 1, 1, 2))
    layers = min(layers, 5)
    stack = Stack(inputs, hidden, layers, bidirectional, residual=residual, layer_norm=norm, dtype=dtype, seed=number)
    x = rng.normal(size=(batch, seq, inputs)).astype(dtype)
    dy = rng.normal(size=(batch, seq, hidden * (1 + bidirectional))).astype(dtype)
    y, (h_n, _) = stack.forward(x, training=True)
    dx, _ = stack.backward(dy)

    # Torch in float64: in float32, the rounding of both sides adds up to the tolerance on some processors.
    x_t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    peers = []
    output = x_t
    finals = []
    for layer in stack.layers:
        peer = torch.nn.LSTM(
            layer.input_size, hidden, batch_first=True, bidirectional=bidirectional, dtype=torch.float64
        )
        peer.load_state_dict({name: torch.tensor(array) for name, array in layer.state_dict().items()})
        read = torch.nn.functional.layer_norm(output, output.shape[2:]) if norm and peers else output
        added, (h, _) = peer(read)
        output = output + added if residual and peers else added
        peers.append(peer)
        finals.append(h)
    output.backward(torch.tensor(dy, dtype=torch.float64))
    pairs = {"y": (y, output), "dx": (dx, x_t.grad), "h_n": (h_n, torch.cat(finals))}
    for k, (layer, peer) in enumerate(zip(stack.layers, peers, strict=True)):
        pairs |= {f"{k}.{name}": (layer.grads[name], value.grad) for name, value in peer.named_parameters()}
    require_agreement(pairs, dtype)

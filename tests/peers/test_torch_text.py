"""The network of `CharLM` compared with the same in torch."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.data.language.text import TextStreams
from gatecast.lstm.language.network import TextNetwork
from tests.reference import relative_error

torch = pytest.importorskip("torch", reason="make test-peers installs torch in an environment of its own")


@pytest.mark.parametrize("seq_len", [9, 31])  # too few steps for a table of the gates, and enough
@pytest.mark.parametrize("tie_weights", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-9)])
def test_loss_gradients_and_state_are_those_of_torch(rng, dtype, tolerance, tie_weights, seq_len):
    vocabulary = 37
    hidden = 24
    layers = 2
    embedding = hidden if tie_weights else 10
    network = TextNetwork(vocabulary, embedding, hidden, layers, tie_weights=tie_weights, dtype=dtype, seed=1)
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(vocabulary, embedding),
            "lstm": torch.nn.LSTM(embedding, hidden, layers, batch_first=True),
            "head": torch.nn.Linear(hidden, vocabulary),
        }
    ).to(getattr(torch, dtype))
    if tie_weights:
        model["head"].weight = model["embedding"].weight
    zeros = {name: torch.zeros_like(value) for name, value in model.state_dict().items() if "bias_hh" in name}
    ours = {name: torch.from_numpy(array.copy()) for name, array in network.parameters.to_host().items()}
    if tie_weights:
        ours["head.weight"] = ours["embedding.weight"]
    model.load_state_dict(ours | zeros)

    pieces = list(TextStreams(rng.integers(0, vocabulary, 500), 5, seq_len, 0).epoch(1))[:2]
    state = None
    peer_state = None
    for piece in pieces:  # the second goes on from the state of the first
        loss, state = network.backpropagate(piece, state, 0)
        model.zero_grad()
        y, peer_state = model["lstm"](model["embedding"](torch.from_numpy(piece.inputs)), peer_state)
        peer_state = tuple(array.detach() for array in peer_state)
        logits = model["head"](y).flatten(0, 1)
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(piece.targets).flatten())
        expected.backward()
    assert loss == pytest.approx(expected.item(), rel=tolerance)
    for name, gradient in network.parameters.gradients_to_host().items():
        assert relative_error(gradient, model.get_parameter(name).grad.numpy()) < tolerance
    for array, peer in zip(state, peer_state, strict=True):
        assert relative_error(array, peer.numpy()) < tolerance
    losses, predictions, _ = network.score(pieces[0], None)
    with torch.no_grad():
        logits = model["head"](model["lstm"](model["embedding"](torch.from_numpy(pieces[0].inputs)))[0])
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(pieces[0].targets).flatten(), reduction="none"
        )
    assert relative_error(losses.ravel(), each.numpy()) < tolerance
    np.testing.assert_array_equal(predictions, logits.argmax(dim=2).numpy())

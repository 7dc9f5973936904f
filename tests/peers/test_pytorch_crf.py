"""The CRF compared with pytorch-crf, on random batches of sentences of different lengths."""

from __future__ import annotations

import numpy as np
import pytest

torchcrf = pytest.importorskip("torchcrf", reason="make test-peers installs pytorch-crf")
torch = pytest.importorskip("torch")

from gatecast import CRF  # noqa: E402


@pytest.fixture(params=[(1, 1, 2), (4, 7, 5), (32, 30, 20)], ids=str)
def batch(request, rng):
    batch_size, seq_len, num_tags = request.param
    emissions = rng.normal(size=(batch_size, seq_len, num_tags))
    tags = rng.integers(0, num_tags, (batch_size, seq_len))
    return emissions, tags, rng.integers(1, seq_len + 1, batch_size)


def peers(num_tags: int, rng) -> tuple[CRF, torch.nn.Module]:
    theirs = torchcrf.CRF(num_tags, batch_first=True).double()
    state = {name: rng.normal(size=tuple(value.shape)) for name, value in theirs.state_dict().items()}
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    ours = CRF(num_tags, dtype="float64")
    ours.load_state_dict(state)
    return ours, theirs


def test_loss_and_gradients_are_those_of_pytorch_crf(batch, rng):
    emissions, tags, lengths = batch
    ours, theirs = peers(emissions.shape[2], rng)
    loss, d_emissions = ours.loss(emissions, tags, lengths)
    inputs = torch.from_numpy(emissions).requires_grad_()
    mask = torch.from_numpy(np.arange(emissions.shape[1]) < lengths[:, None])
    expected = -theirs(inputs, torch.from_numpy(tags), mask=mask, reduction="mean")
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    np.testing.assert_allclose(d_emissions, inputs.grad.numpy(), atol=1e-10)
    for name, gradient in ours.grads.items():
        exact = theirs.get_parameter(name).grad
        if exact is None:  # sentences of one word have no transitions
            exact = torch.zeros(gradient.shape)
        np.testing.assert_allclose(gradient, exact.numpy(), atol=1e-10)


def test_best_sequences_are_those_of_pytorch_crf(batch, rng):
    emissions, _, lengths = batch
    ours, theirs = peers(emissions.shape[2], rng)
    mask = torch.from_numpy(np.arange(emissions.shape[1]) < lengths[:, None])
    expected = theirs.decode(torch.from_numpy(emissions), mask=mask)
    tags, _ = ours.decode(emissions, lengths)
    assert [row[:length].tolist() for row, length in zip(tags, lengths, strict=True)] == expected

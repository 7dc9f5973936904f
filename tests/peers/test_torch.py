from __future__ import annotations

import numpy as np
import pytest

from gatecast import LSTM, Linear
from tests.reference import relative_error

torch = pytest.importorskip("torch", reason="make test-peers installs torch in an environment of its own")

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


@pytest.mark.parametrize("number", range(240))
def test_lstm_agrees_with_torch_forward_and_backward(number):
    rng = np.random.default_rng(number)
    dtype = ("float32", "float64")[number % 2]
    bidirectional = number // 2 % 2 == 1
    ragged = number // 4 % 2 == 1
    batch, seq, input_size, hidden_size, layers = (int(rng.integers(1, limit)) for limit in (40, 12, 20, 48, 4))
    torch.manual_seed(number)
    peer = torch.nn.LSTM(
        input_size, hidden_size, layers, batch_first=True, bidirectional=bidirectional, dtype=getattr(torch, dtype)
    )
    ours = LSTM(input_size, hidden_size, layers, bidirectional, dtype=dtype)
    ours.load_state_dict({name: value.detach().numpy() for name, value in peer.named_parameters()})

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    states = layers * (1 + bidirectional), batch, hidden_size
    x = draw(batch, seq, input_size)
    h_0 = draw(*states)
    c_0 = draw(*states)
    lengths = rng.integers(1, seq + 1, batch) if ragged else None
    if number % 3 == 0:
        h_0[:] = 0
        c_0[:] = 0
    x_t, h_t, c_t = (torch.tensor(array, requires_grad=True) for array in (x, h_0, c_0))
    y_t, (hn_t, cn_t) = _torch_forward(peer, x_t, (h_t, c_t), lengths)
    y, (h_n, c_n) = ours.forward(x, (h_0, c_0), lengths, training=True)
    dy = draw(*y.shape)
    dh_n = draw(*h_n.shape)
    dc_n = draw(*c_n.shape)
    torch.autograd.backward([y_t, hn_t, cn_t], [torch.tensor(array) for array in (dy, dh_n, dc_n)])
    dx, (dh_0, dc_0) = ours.backward(dy, (dh_n, dc_n))

    pairs = {"y": (y, y_t), "h_n": (h_n, hn_t), "c_n": (c_n, cn_t)}
    pairs |= {"dx": (dx, x_t.grad), "dh_0": (dh_0, h_t.grad), "dc_0": (dc_0, c_t.grad)}
    pairs |= {name: (ours.grads[name], value.grad) for name, value in peer.named_parameters()}
    for name, (array, tensor) in pairs.items():
        assert relative_error(array, tensor.detach().numpy()) < TOLERANCE[dtype], name


def _torch_forward(peer, x, state, lengths):
    if lengths is None:
        return peer(x, state)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
    )
    y, state = peer(packed, state)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return y, state


def test_adam_agrees_with_torch():
    from gatecast.kernels import get_backend
    from gatecast.lstm.nn.parameters import Parameters
    from gatecast.lstm.training.optim import Adam

    rng = np.random.default_rng(0)
    start = rng.normal(size=50)
    ours = Parameters({"w": start}, get_backend("cpu"))
    optimizer = Adam(ours, get_backend("cpu"), weight_decay=0.02, gradient_clip=1.0)
    peer = torch.nn.Parameter(torch.tensor(start))
    peer_optimizer = torch.optim.AdamW([peer], lr=0.01, weight_decay=0.02)
    for _ in range(10):
        gradient = rng.normal(size=50)
        ours.gradient("w")[:] = gradient
        peer.grad = torch.tensor(gradient)
        norm = torch.nn.utils.clip_grad_norm_([peer], 1.0)
        assert optimizer.step(0.01) == pytest.approx(float(norm), rel=1e-12)
        peer_optimizer.step()
    np.testing.assert_allclose(ours["w"], peer.detach().numpy(), rtol=1e-6)


def test_linear_agrees_with_torch():
    rng = np.random.default_rng(1)
    ours = Linear(7, 3, dtype="float64")
    peer = torch.nn.Linear(7, 3, dtype=torch.float64)
    ours.parameters.load({name: value.detach().numpy() for name, value in peer.named_parameters()})
    x = rng.normal(size=(11, 7))
    np.testing.assert_allclose(ours.forward(x), peer(torch.tensor(x)).detach().numpy(), atol=1e-12)

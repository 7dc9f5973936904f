"""What dropout costs: variational masks on inputs and recurrent connections, one pass forward and one back.

Compared with the same layer without dropout, and with torch as its users do it: an `LSTMCell` at each step with masks
drawn once per sequence, since torch.nn.LSTM has no recurrent dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "variational dropout"
_SIZES = Sizes(64, 60, 8, 64)
_RATE = 0.2
_MOST_EXTRA = 0.08
_FLOOR_TORCH = 10.0


def cases(plan: Plan) -> list[Case]:
    """Return the case of both comparisons, none in the quick form."""
    return [] if plan.quick else [Case(f"{GROUP} {_SIZES}", partial(_compare, plan))]


def _compare(plan: Plan) -> list[Comparison]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(_SIZES.batch_size, _SIZES.seq_len, _SIZES.input_size)).astype("float32")
    dy = generator.normal(size=(_SIZES.batch_size, _SIZES.seq_len, _SIZES.hidden_size)).astype("float32")
    sides: dict[str, Callable[[], Any]] = {
        "gatecast": _gatecast_side(x, dy, _RATE),
        "without dropout": _gatecast_side(x, dy, 0.0),
    }
    notes = {"without dropout": "", "torch LSTMCell": "torch is not installed"}
    if installed("torch"):
        sides["torch LSTMCell"] = _torch_side(x, dy, _RATE)
        error = require_agreement(_gatecast_side(x, dy, 0.0)().ravel(), _torch_side(x, dy, 0.0)().ravel())
        notes["torch LSTMCell"] = f"dx agrees to {error:.0e} at rate 0"
    timings = take_turns(sides, plan)
    floors = {"without dropout": 1 / (1 + _MOST_EXTRA), "torch LSTMCell": _FLOOR_TORCH}
    return [
        Comparison(
            group=GROUP, name=str(_SIZES), peer=peer, gatecast=timings["gatecast"], other=timings.get(peer),
            flop=3 * _SIZES.forward_flop(), floor=floors[peer], note=notes[peer],
        )
        for peer in floors
    ]  # fmt: skip


def _gatecast_side(x: np.ndarray, dy: np.ndarray, rate: float) -> Callable[[], np.ndarray]:
    from gatecast import LSTM

    layer = LSTM(_SIZES.input_size, _SIZES.hidden_size, recurrent_dropout=rate, input_dropout=rate)

    def step() -> np.ndarray:
        layer.forward(x, training=True)
        return layer.backward(dy)[0]

    return step


def _torch_side(x: np.ndarray, dy: np.ndarray, rate: float) -> Callable[[], np.ndarray]:
    import torch

    from gatecast import LSTM

    cell = torch.nn.LSTMCell(_SIZES.input_size, _SIZES.hidden_size)
    state = LSTM(_SIZES.input_size, _SIZES.hidden_size).state_dict()
    cell.load_state_dict({name.removesuffix("_l0"): torch.from_numpy(array) for name, array in state.items()})
    inputs = torch.from_numpy(x).requires_grad_()
    gradient = torch.from_numpy(dy)
    zeros = torch.zeros(_SIZES.batch_size, _SIZES.hidden_size)

    def step() -> np.ndarray:
        """Run forward and backward, a cell at a time under one mask; return the gradient of the inputs."""
        cell.zero_grad()
        inputs.grad = None
        input_mask = torch.nn.functional.dropout(torch.ones(_SIZES.batch_size, _SIZES.input_size), rate)
        hidden_mask = torch.nn.functional.dropout(torch.ones_like(zeros), rate)
        h = zeros
        c = zeros
        outputs = []
        for t in range(_SIZES.seq_len):
            h, c = cell(inputs[:, t] * input_mask, (h * hidden_mask, c))
            outputs.append(h)
        torch.stack(outputs, dim=1).backward(gradient)
        assert inputs.grad is not None
        return inputs.grad.numpy()

    return step

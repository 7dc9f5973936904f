"""Variants of the layer, compared with torch: both directions, and sequences of different lengths.

One pass forward and one back through time from a gradient of every output, with the gradient of the input, on both
sides; torch packs the sequences within the time that is measured, since a training loop does that for every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "forward and backward"
_FLOOR = 2.0


class _Variant(NamedTuple):
    name: str
    sizes: Sizes
    bidirectional: bool = False
    is_ragged: bool = False

    def flop(self) -> float | None:
        """Three forward passes' worth: forward, gradients of the weights, gradients of what came in.

        None with lengths, where it depends on what is counted.
        """
        return None if self.is_ragged else 3 * self.sizes.forward_flop() * (2 if self.bidirectional else 1)


_VARIANTS = (
    _Variant("both directions", Sizes(64, 60, 8, 64), bidirectional=True),
    _Variant("lengths 1 to 60", Sizes(64, 60, 8, 64), is_ragged=True),
    _Variant("both directions, lengths 1 to 60", Sizes(64, 60, 8, 64), bidirectional=True, is_ragged=True),
)


def cases(plan: Plan) -> list[Case]:
    """Return one case for each variant, none in the quick form."""
    return [] if plan.quick else [Case(f"{GROUP} {v.name}", partial(_compare, v, plan)) for v in _VARIANTS]


def _compare(variant: _Variant, plan: Plan) -> list[Comparison]:
    from gatecast import LSTM

    batch_size, seq_len, input_size, hidden_size, num_layers = variant.sizes
    generator = np.random.default_rng(0)
    width = hidden_size * (2 if variant.bidirectional else 1)
    x = generator.normal(size=(batch_size, seq_len, input_size)).astype("float32")
    dy = generator.normal(size=(batch_size, seq_len, width)).astype("float32")
    lengths = generator.integers(1, seq_len + 1, batch_size) if variant.is_ragged else None
    layer = LSTM(input_size, hidden_size, num_layers, variant.bidirectional)

    def step() -> np.ndarray:
        layer.forward(x, lengths=lengths, training=True)
        return layer.backward(dy)[0]

    sides: dict[str, Callable[[], Any]] = {"gatecast": step}
    note = "torch is not installed"
    if installed("torch"):
        sides["torch"] = _torch_side(variant, layer.state_dict(), x, dy, lengths)
        error = require_agreement(step().ravel(), sides["torch"]().ravel())
        note = f"dx agrees to {error:.0e}"
    timings = take_turns(sides, plan)
    row = Comparison(
        group=GROUP, name=f"{variant.sizes} {variant.name}", peer="torch", gatecast=timings["gatecast"],
        other=timings.get("torch"), flop=variant.flop(), floor=_FLOOR, note=note,
    )  # fmt: skip
    return [row]


def _torch_side(
    variant: _Variant, state: dict[str, np.ndarray], x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None
) -> Callable[[], np.ndarray]:
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    _, seq_len, input_size, hidden_size, num_layers = variant.sizes
    peer = torch.nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, bidirectional=variant.bidirectional)
    peer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    inputs = torch.from_numpy(x).requires_grad_()
    gradient = torch.from_numpy(dy)
    ends = None if lengths is None else torch.from_numpy(lengths)

    def step() -> np.ndarray:
        """Run forward and backward; return the gradient of the inputs."""
        peer.zero_grad()
        inputs.grad = None
        if ends is None:
            y, _ = peer(inputs)
        else:
            y, _ = peer(pack_padded_sequence(inputs, ends, batch_first=True, enforce_sorted=False))
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=seq_len)
        y.backward(gradient)
        assert inputs.grad is not None
        return inputs.grad.numpy()

    return step

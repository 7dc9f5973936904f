"""A conditional random field compared with pytorch-crf: a training step and decoding.

A step is the negative log-likelihood of a batch with the gradients of emissions and transitions, and then the best tags
of the same batch, which is what a tagger does with each batch of training and of validation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison

__all__ = ["cases"]

GROUP = "conditional random field"
_FLOOR = 5.0


class _Sizes(NamedTuple):
    batch_size: int
    seq_len: int
    num_tags: int
    is_ragged: bool = False

    def __str__(self) -> str:
        lengths = f", lengths 1 to {self.seq_len}" if self.is_ragged else ""
        return f"{self.batch_size} sentences of {self.seq_len}, {self.num_tags} tags{lengths}"


_SIZES = (_Sizes(32, 30, 20), _Sizes(32, 30, 20, is_ragged=True))


def cases(plan: Plan) -> list[Case]:
    """Return one case for each size; only the first in the quick form."""
    sizes = _SIZES[:1] if plan.quick else _SIZES
    return [Case(f"{GROUP} {size}", partial(_compare, size, plan)) for size in sizes]


def _compare(sizes: _Sizes, plan: Plan) -> list[Comparison]:
    from gatecast import CRF

    generator = np.random.default_rng(0)
    batch_size, seq_len, num_tags, is_ragged = sizes
    emissions = generator.normal(size=(batch_size, seq_len, num_tags)).astype("float32")
    tags = generator.integers(0, num_tags, (batch_size, seq_len))
    lengths = generator.integers(1, seq_len + 1, batch_size) if is_ragged else np.full(batch_size, seq_len)
    crf = CRF(num_tags)
    crf.load_state_dict(
        {name: generator.normal(size=value.shape).astype("float32") for name, value in crf.state_dict().items()}
    )

    def step() -> tuple[np.ndarray, list[list[int]]]:
        _, gradient = crf.loss(emissions, tags, lengths)
        best, _ = crf.decode(emissions, lengths)
        return gradient, [row[:length].tolist() for row, length in zip(best, lengths, strict=True)]

    sides: dict[str, Callable[[], Any]] = {"gatecast": step}
    note = "pytorch-crf is not installed"
    if installed("torchcrf"):
        sides["pytorch-crf"] = _peer(crf.state_dict(), emissions, tags, lengths)
        (gradient, best), (expected, their_best) = step(), sides["pytorch-crf"]()
        error = require_agreement(gradient.ravel(), expected.ravel())
        require_agreement(np.concatenate(best), np.concatenate(their_best), 0.0)
        note = f"gradient agrees to {error:.0e}, tags exactly"
    timings = take_turns(sides, plan)
    row = Comparison(
        group=GROUP, name=str(sizes), peer="pytorch-crf", gatecast=timings["gatecast"],
        other=timings.get("pytorch-crf"), floor=_FLOOR, note=note,
    )  # fmt: skip
    return [row]


def _peer(
    state: dict[str, np.ndarray], emissions: np.ndarray, tags: np.ndarray, lengths: np.ndarray
) -> Callable[[], tuple[np.ndarray, list[list[int]]]]:
    import torch
    import torchcrf

    peer = torchcrf.CRF(emissions.shape[2], batch_first=True)
    peer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    inputs = torch.from_numpy(emissions).requires_grad_()
    targets = torch.from_numpy(tags)
    mask = torch.from_numpy(np.arange(emissions.shape[1]) < lengths[:, None])

    def step() -> tuple[np.ndarray, list[list[int]]]:
        """Return the gradient of the emissions and the best tags."""
        peer.zero_grad()
        inputs.grad = None
        (-peer(inputs, targets, mask=mask, reduction="mean")).backward()
        with torch.no_grad():
            best = peer.decode(inputs, mask=mask)
        assert inputs.grad is not None
        return inputs.grad.numpy(), best

    return step

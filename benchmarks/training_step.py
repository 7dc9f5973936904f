"""A training step, beside torch: forward, backward, clipping, Adam."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, TorchTrainer, draw_weights

__all__ = ["cases"]

GROUP = "training step"
_STEPS_TO_AGREE = 3


class _Entry(NamedTuple):
    sizes: Sizes
    floor: float | None
    aim: float | None
    quick: bool = True
    """Whether the quick form has the time for it"""


_ENTRIES = (
    _Entry(Sizes(32, 30, 3, 32), 6, 8),
    _Entry(Sizes(32, 60, 3, 64), 3.5, 4.5),
    _Entry(Sizes(64, 60, 8, 64), 2.2, 3),
    _Entry(Sizes(64, 60, 8, 64, num_layers=2), None, None),
    _Entry(Sizes(64, 100, 8, 128), 2, 2.6),
    _Entry(Sizes(256, 60, 8, 128), 2, 2.6),
    _Entry(Sizes(64, 100, 64, 256), 1.4, 1.7, quick=False),
    _Entry(Sizes(128, 100, 128, 512), 1.2, 1.5, quick=False),
)


def cases(plan: Plan) -> list[Case]:
    """Return one case for each size; its name is batch/seq/input/hidden."""
    return [
        Case(f"{GROUP} {entry.sizes}", partial(_compare, entry, plan))
        for entry in _ENTRIES
        if entry.quick or not plan.quick
    ]


def _compare(entry: _Entry, plan: Plan) -> list[Comparison]:
    sizes = entry.sizes
    generator = np.random.default_rng(0)
    x = generator.normal(size=(sizes.batch_size, sizes.seq_len, sizes.input_size)).astype("float32")
    y = generator.normal(size=(sizes.batch_size, 1)).astype("float32")
    weights = draw_weights(sizes, seed=0)
    ours = GatecastTrainer(sizes, weights)
    sides = {"gatecast": lambda: ours.step(x, y)}
    note = "torch is not installed"
    if installed("torch"):
        import torch

        peer, x_peer, y_peer = TorchTrainer(sizes, weights), torch.from_numpy(x), torch.from_numpy(y)
        sides["torch"] = lambda: peer.step(x_peer, y_peer)
        losses = {name: [step() for _ in range(_STEPS_TO_AGREE)] for name, step in sides.items()}
        error = require_agreement(losses["gatecast"], losses["torch"])
        note = f"losses agree to {error:.0e}"
    timings = take_turns(sides, plan)
    row = Comparison(
        group=GROUP,
        name=str(sizes),
        peer="torch",
        gatecast=timings["gatecast"],
        other=timings.get("torch"),
        flop=sizes.training_flop(),
        floor=entry.floor,
        aim=entry.aim,
        note=note,
    )
    return [row]

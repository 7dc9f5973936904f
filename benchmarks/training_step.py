"""A training step, compared with torch: forward, backward, clipping, Adam; Gatecast also gathers its windows."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastWindowTrainer, TorchTrainer, draw_weights

__all__ = ["cases"]

GROUP = "training step"
_CALLS_TO_AGREE = 3
# Steps that each side takes between two looks at the clock; as many as Gatecast takes in one call, if they are fewer.
_MOST_STEPS = 8


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
    from gatecast.lstm.forecasting.window_steps import steps_per_call

    sizes = entry.sizes
    generator = np.random.default_rng(0)
    # Windows one after another, each with the row that follows it.
    rows = generator.normal(size=(sizes.batch_size, sizes.seq_len + 1, sizes.input_size)).astype("float32")
    x, y = np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1, :1])
    weights = draw_weights(sizes, seed=0)
    values = rows.reshape(-1, sizes.input_size)
    ours = GatecastWindowTrainer(sizes, weights, values)
    times = min(_MOST_STEPS, steps_per_call(sum(array.size for array in weights.values()) * x.shape[0] * x.shape[1]))
    places = ours.places(np.tile(np.arange(sizes.batch_size) * (sizes.seq_len + 1), (times, 1)))
    sides = {"gatecast": lambda: ours.steps(places)}
    note = "torch is not installed"
    if installed("torch"):
        import torch

        peer = TorchTrainer(sizes, weights)
        x_peer = torch.from_numpy(x)
        y_peer = torch.from_numpy(y)
        sides["torch"] = lambda: [peer.step(x_peer, y_peer) for _ in range(times)]
        losses = {name: np.concatenate([step() for _ in range(_CALLS_TO_AGREE)]) for name, step in sides.items()}
        error = require_agreement(losses["gatecast"], losses["torch"])
        note = f"losses agree to {error:.0e}"
    timings = take_turns(sides, plan, times)
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

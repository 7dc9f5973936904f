"""Odd sizes compared with the next round one: time for each floating-point operation of a training step.

Units are padded to whole vectors and rows to whole tiles, so an odd size costs more for each operation; the project
allows twice as much. The peer's time is that of the round size, scaled to the odd size's operations.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.measure import Case, Plan, take_turns
from benchmarks.results import Comparison, Spread, Timing
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, draw_weights

__all__ = ["cases"]

GROUP = "odd size"
_FLOOR = 0.5
_PAIRS = (
    (Sizes(32, 60, 8, 1), Sizes(32, 60, 8, 2)),
    (Sizes(32, 60, 8, 7), Sizes(32, 60, 8, 8)),
    (Sizes(32, 60, 8, 50), Sizes(32, 60, 8, 64)),
    (Sizes(32, 60, 8, 100), Sizes(32, 60, 8, 128)),
    (Sizes(1, 60, 8, 64), Sizes(2, 60, 8, 64)),
    (Sizes(3, 60, 8, 64), Sizes(4, 60, 8, 64)),
    (Sizes(17, 60, 8, 64), Sizes(32, 60, 8, 64)),
)


def cases(plan: Plan) -> list[Case]:
    """Return one case for each odd size, none in the quick form."""
    return [] if plan.quick else [Case(f"{GROUP} {odd}", partial(_compare, odd, even, plan)) for odd, even in _PAIRS]


def _compare(odd: Sizes, even: Sizes, plan: Plan) -> list[Comparison]:
    timings = take_turns({"odd": _step(odd), "even": _step(even)}, plan)
    row = Comparison(
        group=GROUP, name=str(odd), peer=f"its own {even}, per operation", gatecast=timings["odd"],
        other=_scaled(timings["even"], odd.training_flop() / even.training_flop()), flop=odd.training_flop(),
        floor=_FLOOR,
    )  # fmt: skip
    return [row]


def _step(sizes: Sizes):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(sizes.batch_size, sizes.seq_len, sizes.input_size)).astype("float32")
    y = generator.normal(size=(sizes.batch_size, 1)).astype("float32")
    trainer = GatecastTrainer(sizes, draw_weights(sizes, seed=0))
    return lambda: trainer.step(x, y)


def _scaled(timing: Timing, factor: float) -> Timing:
    seconds = Spread(*(factor * value for value in timing.seconds))
    return Timing(seconds=seconds, rounds=tuple(factor * value for value in timing.rounds), calls=timing.calls)

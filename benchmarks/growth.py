"""How time and memory grow: one size doubles five times, the others stay.

Batch, sequence and hidden size are varied in a training step, the number of series in a whole fit of one epoch. The
fitted exponents of time and memory are shown next to that of the arithmetic itself, which neither should exceed; the
fixed cost of a call, which shows at small sizes, makes an exponent smaller, not greater. Memory is the most that NumPy
held in arrays at one time.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.measure import Case, Plan, take_turns
from benchmarks.results import Growth
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, draw_weights

__all__ = ["cases"]

GROUP = "growth"
_BASE = Sizes(32, 60, 8, 32)
_DOUBLINGS = 5
_QUICK_DOUBLINGS = 3
_FIRST = {"seq_len": 16, "batch_size": 16, "hidden_size": 16}
_FIRST_SERIES = 8
_SERIES_ROWS = 240
_SERIES_SIZES = Sizes(32, 24, 1, 16)


class _Point(NamedTuple):
    """One value of the size that varies."""

    work: Callable[[], object]
    memory: int
    arithmetic: float


def cases(plan: Plan) -> list[Case]:
    """Return one case for each size that varies."""
    steps = [Case(f"{GROUP} in {size}", partial(_training_steps, size, plan)) for size in _FIRST]
    return [*steps, Case(f"{GROUP} in number of series", partial(_fits, plan))]


def _training_steps(variable: str, plan: Plan) -> list[Growth]:
    values = _doubled(_FIRST[variable], plan)
    points = {value: _step(_BASE._replace(**{variable: value})) for value in values}
    fixed = ", ".join(f"{name} {size}" for name, size in _BASE._asdict().items() if name != variable)
    return _growth(variable, f"training step, {fixed}", points, plan)


def _step(sizes: Sizes) -> _Point:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(sizes.batch_size, sizes.seq_len, sizes.input_size)).astype("float32")
    y = generator.normal(size=(sizes.batch_size, 1)).astype("float32")
    weights = draw_weights(sizes, seed=0)
    memory = _most_memory(lambda: GatecastTrainer(sizes, weights).step(x, y))
    trainer = GatecastTrainer(sizes, weights)
    return _Point(lambda: trainer.step(x, y), memory, sizes.training_flop())


def _fits(plan: Plan) -> list[Growth]:
    points = {count: _fit(count) for count in _doubled(_FIRST_SERIES, plan)}
    sizes = f"lookback {_SERIES_SIZES.seq_len}, hidden_size {_SERIES_SIZES.hidden_size}"
    return _growth("series", f"fit of one epoch, {_SERIES_ROWS} rows a series, {sizes}", points, plan)


def _fit(count: int) -> _Point:
    from gatecast import Forecaster

    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"series-{number:04d}" for number in range(count)], _SERIES_ROWS),
            "ds": np.tile(pd.date_range("2020-01-01", periods=_SERIES_ROWS, freq="D"), count),
            "y": np.random.default_rng(0).normal(size=count * _SERIES_ROWS),
        }
    )
    settings = {"lookback": _SERIES_SIZES.seq_len, "hidden_size": _SERIES_SIZES.hidden_size, "max_epochs": 1}

    def fit() -> object:
        return Forecaster(**settings, batch_size=_SERIES_SIZES.batch_size).fit(frame)

    return _Point(fit, _most_memory(fit), float(count))


def _doubled(first: int, plan: Plan) -> list[int]:
    return [first * 2**power for power in range((_QUICK_DOUBLINGS if plan.quick else _DOUBLINGS) + 1)]


def _most_memory(work: Callable[[], object]) -> int:
    """Return the most bytes that a call holds at one time, beyond those that were there before."""
    work()  # what is imported and compiled the first time does not count
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _growth(variable: str, fixed: str, points: dict[int, _Point], plan: Plan) -> list[Growth]:
    timings = take_turns({str(value): point.work for value, point in points.items()}, plan)
    row = Growth(
        variable=variable,
        fixed=fixed,
        values=tuple(points),
        seconds=tuple(timing.seconds.median for timing in timings.values()),
        memory=tuple(point.memory for point in points.values()),
        work=tuple(point.arithmetic for point in points.values()),
    )
    return [row]

"""A fleet of small models, beside torch: every core trains one model at a time, on one thread.

Both sides use a pool of processes of the same size, started and warm before the clock runs; each model draws its own
first weights and has its own series, whose windows are gathered step by step.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, set_threads
from benchmarks.processes import ProgramError
from benchmarks.results import Comparison, Timing
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, TorchTrainer, draw_weights

__all__ = ["cases"]

GROUP = "fleet"
_SIZES = Sizes(32, 60, 1, 32)
_ROWS = 600
_STEPS, _QUICK_STEPS, _STEPS_TO_AGREE = 200, 40, 20
_MODELS, _QUICK_MODELS = 200, 8
_START_SECONDS = 120


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"{GROUP} of small models", lambda: [_compare(plan)])]


def _compare(plan: Plan) -> Comparison:
    models, steps = (_QUICK_MODELS, _QUICK_STEPS) if plan.quick else (_MODELS, _STEPS)
    rounds = 2 if plan.quick else 10
    trains: dict[str, Callable[[tuple[int, int]], float]] = {"gatecast": _train_gatecast}
    note = "torch is not installed"
    if installed("torch"):
        trains["torch"] = _train_torch
    turns: dict[str, list[list[float]]] = {name: [] for name in trains}
    with ExitStack() as stack:
        pools = {name: stack.enter_context(_warm_pool(train, plan.threads)) for name, train in trains.items()}
        if "torch" in pools:
            losses = {name: pool.submit(trains[name], (0, _STEPS_TO_AGREE)).result() for name, pool in pools.items()}
            note = f"losses agree to {require_agreement(losses['gatecast'], losses['torch']):.0e}"
        for round_number in range(rounds):
            seeds = np.arange(models // rounds) + round_number * (models // rounds)
            for name, pool in pools.items():
                plan.remaining()
                begun = time.perf_counter()
                list(pool.map(trains[name], [(int(seed), steps) for seed in seeds]))
                turns[name].append([(time.perf_counter() - begun) / len(seeds)])
    timings = {name: Timing.of_turns(turn) for name, turn in turns.items()}
    rates = ", ".join(f"{name} {1 / timing.seconds.median:.1f}" for name, timing in timings.items())
    return Comparison(
        group=GROUP,
        name=f"{models} models of {steps} steps, {_SIZES}",
        peer="torch",
        gatecast=timings["gatecast"],
        other=timings.get("torch"),
        flop=steps * _SIZES.training_flop(),
        floor=5,
        aim=8,
        note=f"models/s: {rates}; {note}",
    )


def _warm_pool(train: Callable[[tuple[int, int]], float], processes: int) -> ProcessPoolExecutor:
    """Start processes, each of which has trained a few steps when this returns."""
    # Forking after a parallel region would hang; a spawned process starts anew.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _warm_up, (train, context.Barrier(processes)))
    try:
        list(pool.map(train, [(0, 1)] * processes))
    except BrokenProcessPool as error:
        raise ProgramError(f"a process of the fleet ended while it got ready: {train.__name__}") from error
    return pool


def _warm_up(train: Callable[[tuple[int, int]], float], ready: Barrier) -> None:
    set_threads(1, "numba" if train is _train_gatecast else "torch")
    train((0, 2))
    ready.wait(_START_SECONDS)


def _train_gatecast(seed_and_steps: tuple[int, int]) -> float:
    """Train one model; return the mean loss of its steps."""
    seed, steps = seed_and_steps
    values, starts = _series(seed, steps)
    trainer = GatecastTrainer(_SIZES, draw_weights(_SIZES, seed))
    ops = trainer.network.ops
    x = np.empty((_SIZES.batch_size, _SIZES.seq_len, 1), "float32")
    losses = []
    for first in starts:
        ops.gather_windows(values, first, x)
        losses.append(trainer.step(x, values[first + _SIZES.seq_len]))
    return float(np.mean(losses))


def _train_torch(seed_and_steps: tuple[int, int]) -> float:
    """The same in torch."""
    import torch

    seed, steps = seed_and_steps
    values, starts = (torch.from_numpy(array) for array in _series(seed, steps))
    windows = values[:, 0].unfold(0, _SIZES.seq_len, 1)[..., None]
    trainer = TorchTrainer(_SIZES, draw_weights(_SIZES, seed))
    losses = [trainer.step(windows[first], values[first + _SIZES.seq_len]) for first in starts]
    return float(np.mean(losses))


def _series(seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a model's series, float32 (rows, 1), and where the windows of each step start, int64 (steps, batch)."""
    generator = np.random.default_rng(seed)
    t: Any = np.arange(_ROWS)
    values = np.sin(t / generator.uniform(3, 10)) + generator.normal(scale=0.3, size=_ROWS)
    starts = generator.integers(_ROWS - _SIZES.seq_len, size=(steps, _SIZES.batch_size))
    return values.astype("float32")[:, None], starts

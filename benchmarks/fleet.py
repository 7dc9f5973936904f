"""A fleet of small models, compared with torch: every core trains one model at a time, on one thread.

Both sides use a pool of processes of the same size, started and warm before the clock runs; each model draws its own
first weights and has its own series, whose windows are gathered step by step. A second row shows torch without a pool:
one model after another, on all threads.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, set_threads
from benchmarks.processes import ProgramError
from benchmarks.results import Comparison, Timing
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastWindowTrainer, TorchTrainer, draw_weights

__all__ = ["cases"]

GROUP = "fleet"
_ONE_BY_ONE = "torch, one by one"
_SIZES = Sizes(32, 60, 1, 32)
_ROWS = 600
_STEPS = 200
_QUICK_STEPS = 100
_STEPS_TO_AGREE = 20
_MODELS = 200
_QUICK_MODELS = 8
_START_SECONDS = 120


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"{GROUP} of small models", lambda: _compare(plan))]


def _compare(plan: Plan) -> list[Comparison]:
    models, steps = (_QUICK_MODELS, _QUICK_STEPS) if plan.quick else (_MODELS, _STEPS)
    rounds = 2 if plan.quick else 10
    sides = {"gatecast": _Side(_train_gatecast, processes=plan.threads, threads=1)}
    note = "torch is not installed"
    if installed("torch"):
        sides["torch"] = _Side(_train_torch, processes=plan.threads, threads=1)
        sides[_ONE_BY_ONE] = _Side(_train_torch, processes=1, threads=plan.threads)
    turns: dict[str, list[list[float]]] = {name: [] for name in sides}
    with ExitStack() as stack:
        pools = {name: stack.enter_context(_warm_pool(side)) for name, side in sides.items()}
        if "torch" in pools:
            losses = {
                name: pool.submit(sides[name].train, (0, _STEPS_TO_AGREE)).result() for name, pool in pools.items()
            }
            note = f"losses agree to {require_agreement(losses['gatecast'], losses['torch']):.0e}"
        for round_number in range(rounds):
            seeds = np.arange(models // rounds) + round_number * (models // rounds)
            for name, pool in pools.items():
                plan.remaining()
                begun = time.perf_counter()
                list(pool.map(sides[name].train, [(int(seed), steps) for seed in seeds]))
                turns[name].append([(time.perf_counter() - begun) / len(seeds)])
    timings = {name: Timing.of_turns(turn) for name, turn in turns.items()}
    rates = ", ".join(f"{name} {1 / timing.seconds.median:.1f}" for name, timing in timings.items())
    return [
        Comparison(
            group=GROUP,
            name=f"{models} models of {steps} steps, {_SIZES}",
            peer=peer,
            gatecast=timings["gatecast"],
            other=timings.get(peer),
            flop=steps * _SIZES.training_flop(),
            floor=5,
            aim=8,
            note=f"models/s: {rates}; {note}",
        )
        for peer in ("torch", *(name for name in timings if name == _ONE_BY_ONE))
    ]


class _Side(NamedTuple):
    train: Callable[[tuple[int, int]], float]
    processes: int
    threads: int
    """Of each process"""


def _warm_pool(side: _Side) -> ProcessPoolExecutor:
    """Start processes; when this returns, each has trained a few steps."""
    # Forking after a parallel region would hang; a spawned process starts afresh.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(side.processes, context, _warm_up, (side, context.Barrier(side.processes)))
    try:
        list(pool.map(side.train, [(0, 1)] * side.processes))
    except BrokenProcessPool as error:
        raise ProgramError(f"a process of the fleet ended while it got ready: {side.train.__name__}") from error
    return pool


def _warm_up(side: _Side, ready: Barrier) -> None:
    set_threads(side.threads, "numba" if side.train is _train_gatecast else "torch")
    side.train((0, 2))
    ready.wait(_START_SECONDS)


def _train_gatecast(seed_and_steps: tuple[int, int]) -> float:
    """Train one model; return the mean loss of its steps."""
    seed, steps = seed_and_steps
    values, starts = _series(seed, steps)
    return float(np.mean(GatecastWindowTrainer(_SIZES, draw_weights(_SIZES, seed), values).steps(starts)))


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

"""What the layer learns: two tasks of Hochreiter & Schmidhuber (1997), each from ten seeds.

The adding problem (§5.4): remember two numbers over a hundred steps, and add them. A sequence has 100 to 110 pairs; the
first of a pair is a number between -1 and 1, the second a marker. Two pairs are marked, one of the first ten and one of
the first half; the target after the last step is 0.5 + (X1 + X2) / 4, and an answer is wrong when it is off by more
than 0.04. The published figure for T = 100 is at most 1 wrong of 2,560 after 74,000 training sequences.

Temporal order, task 6a (§5.6): remember the order of two symbols. A sequence has 100 to 110 symbols, one unit each: it
begins with E, ends with B, and is noise of a, b, c and d otherwise, but for an X or Y at one of the places 10 to 20 and
another at 50 to 60. Four outputs stand for XX, XY, YX and YY; an answer is wrong when one of them is off by more than
0.3. The published figure is 1 wrong of 2,560 after 31,390 training sequences.

What makes both learnable here is chrono initialisation, which gives units time constants of up to T steps, with Adam
under a rate that rises and falls once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan
from benchmarks.results import Learning

__all__ = ["ADDING", "ORDER", "Task", "cases", "draw_order", "draw_sums", "wrong_answers"]

GROUP = "learning"
_TESTED = 2_560
_SEEDS = 10
_SHORTEST = 100
_LONGEST = 110
_HIDDEN_SIZE = 48
_BATCH_SIZE = 8

Sequences = tuple[np.ndarray, np.ndarray, np.ndarray]


class Task(NamedTuple):
    """What is to be learnt, and from how many sequences."""

    name: str
    draw: Callable[[int, np.random.Generator], Sequences]
    sequences: int
    """For training"""
    tolerance: float
    """Greatest error of any output of a right answer"""
    allowed: int
    """Most wrong answers of 2,560 with which the task counts as learnt"""
    peak_rate: float


def draw_sums(count: int, generator: np.random.Generator) -> Sequences:
    """Draw the adding problem: x (count, 110, 2), padded with zeros, lengths (count,) and targets (count, 1)."""
    lengths = generator.integers(_SHORTEST, _LONGEST + 1, count)
    rows = np.arange(count)
    numbers = generator.uniform(-1, 1, (count, _LONGEST))
    markers = np.zeros((count, _LONGEST))
    first = generator.integers(0, 10, count)
    second = generator.integers(0, _SHORTEST // 2 - 2, count)
    second += second >= first  # one of those not marked yet
    markers[rows, 0] = -1
    markers[rows, lengths - 1] = -1
    markers[rows, first] = 1
    markers[rows, second] = 1
    # The first pair, if it is the marked one, counts as 0.
    one, other = (np.where(place == 0, 0, numbers[rows, place]) for place in (first, second))
    x = np.stack([numbers, markers], axis=2)
    x[np.arange(_LONGEST) >= lengths[:, None]] = 0
    return x.astype("float32"), lengths, (0.5 + (one + other) / 4)[:, None].astype("float32")


def draw_order(count: int, generator: np.random.Generator) -> Sequences:
    """Draw sequences of temporal order: x (count, 110, 8) padded with zeros, lengths (count,), targets (count, 4).

    The units of x are a, b, c, d, E, B, X and Y.
    """
    lengths = generator.integers(_SHORTEST, _LONGEST + 1, count)
    rows = np.arange(count)
    symbols = generator.integers(0, 4, (count, _LONGEST))
    one = generator.integers(0, 2, count)
    other = generator.integers(0, 2, count)
    symbols[rows, 0] = 4
    symbols[rows, lengths - 1] = 5
    symbols[rows, generator.integers(10, 21, count)] = 6 + one
    symbols[rows, generator.integers(50, 61, count)] = 6 + other
    x = np.eye(8, dtype="float32")[symbols]
    x[np.arange(_LONGEST) >= lengths[:, None]] = 0
    return x, lengths, np.eye(4, dtype="float32")[2 * one + other]


ADDING = Task("adding problem, T = 100", draw_sums, 74_000, 0.04, 3, 2e-2)
ORDER = Task("temporal order 6a", draw_order, 31_390, 0.3, 3, 1e-2)


def cases(plan: Plan) -> list[Case]:
    """Return one case for each task and seed, none in the quick form."""
    seeds = range(0 if plan.quick else _SEEDS)
    return [
        Case(f"{GROUP} {task.name}, seed {seed}", partial(_learn, task, seed))
        for task in (ADDING, ORDER)
        for seed in seeds
    ]


def _learn(task: Task, seed: int) -> list[Learning]:
    begun = time.perf_counter()
    wrong = wrong_answers(task, seed)
    seconds = time.perf_counter() - begun
    name = f"{task.name}, seed {seed}"
    return [Learning(name=name, wrong=wrong, of=_TESTED, allowed=task.allowed, seconds=seconds)]


def wrong_answers(task: Task, seed: int, sequences: int | None = None) -> int:
    """Train a network on fresh sequences, the task's number or another, and count its wrong answers to 2,560 others."""
    from gatecast import LSTM, Initialisation, Linear
    from gatecast.kernels import get_backend
    from gatecast.lstm.nn.parameters import Parameters
    from gatecast.lstm.training.optim import Adam

    ops = get_backend("cpu")
    generator = np.random.default_rng(seed)
    x, _, target = task.draw(1, np.random.default_rng(0))
    layer = LSTM(x.shape[2], _HIDDEN_SIZE, initialisation=Initialisation(max_lag=_SHORTEST), seed=generator)
    head = Linear(_HIDDEN_SIZE, target.shape[1], seed=generator)
    optimizer = Adam(Parameters.join({"lstm": layer.parameters, "head": head.parameters}, ops), ops, gradient_clip=1.0)
    row_weights = np.ones(_BATCH_SIZE, "float32")
    gradient = np.zeros((_BATCH_SIZE, target.shape[1]), "float32")
    steps = (task.sequences if sequences is None else sequences) // _BATCH_SIZE
    for step in range(steps):
        x, lengths, target = task.draw(_BATCH_SIZE, generator)
        _, (h_n, _) = layer.forward(x, lengths=lengths, training=True, every_step=False)
        ops.mse_loss(head.forward(h_n[0]), target, row_weights, gradient)
        d_hidden = head.backward(gradient)
        layer.backward(None, (d_hidden[None], np.zeros_like(d_hidden[None])), input_grad=False)
        optimizer.step(task.peak_rate * _one_cycle(step / steps))
    x, lengths, target = task.draw(_TESTED, generator)
    _, (h_n, _) = layer.forward(x, lengths=lengths, every_step=False)
    return int((np.abs(head.forward(h_n[0]) - target) > task.tolerance).any(axis=1).sum())


def _one_cycle(progress: float) -> float:
    """Rise from a 25th of the peak over the first tenth, then fall to nothing by a half cosine (Smith 2018)."""
    warm_up = 0.1
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))

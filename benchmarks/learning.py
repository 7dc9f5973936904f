"""What the layer learns: the adding problem (Hochreiter & Schmidhuber 1997, §5.4).

Remember two numbers over a hundred steps, and add them. A sequence has 100 to 110 pairs; the first of a pair is a
number between -1 and 1, the second a marker. Two pairs are marked, one of the first ten and one of the first half; the
target after the last step is 0.5 + (X1 + X2) / 4, and an answer is wrong when it is off by more than 0.04. The
published figure for T = 100 is at most 1 wrong of 2,560 after 74,000 training sequences.

What makes it learnable here is chrono initialisation, which gives units time constants of up to T steps, with Adam
under a rate that rises and falls once.
"""

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np

from benchmarks.measure import Case, Plan
from benchmarks.results import Learning

__all__ = ["cases", "draw_sequences", "wrong_answers"]

GROUP = "learning"
_SEQUENCES, _TESTED, _SEEDS = 74_000, 2_560, 10
_ALLOWED = 3
_SHORTEST = 100
_HIDDEN_SIZE, _BATCH_SIZE, _PEAK_RATE = 48, 8, 2e-2
_TOLERANCE = 0.04


def cases(plan: Plan) -> list[Case]:
    """Return one case for each seed, none in the quick form."""
    seeds = range(0 if plan.quick else _SEEDS)
    return [Case(f"{GROUP} adding problem, seed {seed}", partial(_learn, seed)) for seed in seeds]


def _learn(seed: int) -> list[Learning]:
    begun = time.perf_counter()
    wrong = wrong_answers(seed)
    name = f"adding problem, T = {_SHORTEST}, seed {seed}"
    return [Learning(name=name, wrong=wrong, of=_TESTED, allowed=_ALLOWED, seconds=time.perf_counter() - begun)]


def draw_sequences(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw sequences of 100 to 110 steps: x (count, 110, 2) padded with zeros, lengths (count,), targets (count, 1)."""
    longest = _SHORTEST + _SHORTEST // 10
    lengths = generator.integers(_SHORTEST, longest + 1, count)
    rows = np.arange(count)
    numbers, markers = generator.uniform(-1, 1, (count, longest)), np.zeros((count, longest))
    first = generator.integers(0, 10, count)
    second = generator.integers(0, _SHORTEST // 2 - 2, count)
    second += second >= first  # one of those not marked yet
    markers[rows, 0], markers[rows, lengths - 1] = -1, -1
    markers[rows, first], markers[rows, second] = 1, 1
    # The first pair, if it is the marked one, counts as 0.
    one, other = (np.where(place == 0, 0, numbers[rows, place]) for place in (first, second))
    x = np.stack([numbers, markers], axis=2)
    x[np.arange(longest) >= lengths[:, None]] = 0
    return x.astype("float32"), lengths, (0.5 + (one + other) / 4)[:, None].astype("float32")


def wrong_answers(seed: int, sequences: int = _SEQUENCES) -> int:
    """Train a network on fresh sequences and count its wrong answers to 2,560 others."""
    from kernels import get_backend
    from lstm import LSTM, Initialisation, Linear
    from lstm.optim import Adam
    from lstm.parameters import Parameters

    ops, generator = get_backend("cpu"), np.random.default_rng(seed)
    layer = LSTM(2, _HIDDEN_SIZE, initialisation=Initialisation(max_lag=_SHORTEST), seed=generator)
    head = Linear(_HIDDEN_SIZE, 1, seed=generator)
    optimizer = Adam(Parameters.join({"lstm": layer.parameters, "head": head.parameters}, ops), ops, gradient_clip=1.0)
    row_weights, gradient = np.ones(_BATCH_SIZE, "float32"), np.zeros((_BATCH_SIZE, 1), "float32")
    steps = sequences // _BATCH_SIZE
    for step in range(steps):
        x, lengths, target = draw_sequences(_BATCH_SIZE, generator)
        _, (h_n, _) = layer.forward(x, lengths=lengths, training=True, every_step=False)
        ops.mse_loss(head.forward(h_n[0]), target, row_weights, gradient)
        d_hidden = head.backward(gradient)
        layer.backward(None, (d_hidden[None], np.zeros_like(d_hidden[None])), input_grad=False)
        optimizer.step(_one_cycle(step / steps))
    x, lengths, target = draw_sequences(_TESTED, generator)
    _, (h_n, _) = layer.forward(x, lengths=lengths, every_step=False)
    return int((np.abs(head.forward(h_n[0]) - target) > _TOLERANCE).sum())


def _one_cycle(progress: float) -> float:
    """Rise from a 25th of the peak over the first tenth, then fall to nothing by a half cosine (Smith 2018)."""
    warm_up = 0.1
    if progress < warm_up:
        return _PEAK_RATE * (0.04 + 0.96 * progress / warm_up)
    return _PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))

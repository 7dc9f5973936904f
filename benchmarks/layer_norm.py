"""Layer normalisation compared with torch: forward and backward over the hidden states of a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison

__all__ = ["cases"]

GROUP = "layer normalisation"
_SHAPES = ((64 * 60, 64), (64 * 100, 128), (64 * 60, 512))


def cases(plan: Plan) -> list[Case]:
    """Return one case for each number of rows and features, none in the quick form."""
    if plan.quick:
        return []
    return [Case(f"{GROUP} {rows}/{features}", partial(_compare, rows, features, plan)) for rows, features in _SHAPES]


def _compare(rows: int, features: int, plan: Plan) -> list[Comparison]:
    from gatecast.lstm.nn.layer_norm import LayerNorm

    generator = np.random.default_rng(0)
    x, dy = (generator.normal(size=(rows, features)).astype("float32") for _ in range(2))
    layer = LayerNorm(features)

    def step() -> np.ndarray:
        layer.forward(x)
        return layer.backward(dy)

    sides: dict[str, Callable[[], Any]] = {"gatecast": step}
    note = "torch is not installed"
    if installed("torch"):
        sides["torch"] = _torch_side(x, dy)
        note = f"dx agrees to {require_agreement(step().ravel(), sides['torch']().ravel()):.0e}"
    timings = take_turns(sides, plan)
    row = Comparison(
        group=GROUP, name=f"{rows} rows of {features}", peer="torch", gatecast=timings["gatecast"],
        other=timings.get("torch"), note=note,
    )  # fmt: skip
    return [row]


def _torch_side(x: np.ndarray, dy: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    layer = torch.nn.LayerNorm(x.shape[1])
    inputs = torch.from_numpy(x).requires_grad_()
    gradient = torch.from_numpy(dy)

    def step() -> np.ndarray:
        layer.zero_grad()
        inputs.grad = None
        layer(inputs).backward(gradient)
        assert inputs.grad is not None
        return inputs.grad.numpy()

    return step

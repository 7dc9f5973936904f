"""What a training step costs with all that the recipe adds: dropout, scaled windows, absolute error, the linear skip.

Compared with the plain step of the same network. Both are taken many in a call, from the series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.measure import Case, Plan, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "training step of a method"
_SIZES = Sizes(32, 60, 3, 64)
_ROWS = 2000
_STEPS = 8
_MOST = 1.2
_PLAIN: Mapping[str, Any] = MappingProxyType(
    {"window_scaling": "none", "season": "none", "residual": "none", "linear_skip": "none", "loss": "mse"}
)
_DROPOUT: Mapping[str, Any] = MappingProxyType({"dropout": 0.2, "recurrent_dropout": 0.2})
_METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "dropout": _DROPOUT,
        "dropout, scaled windows, MAE": {**_DROPOUT, "window_scaling": "standard", "loss": "mae"},
        "the same and the linear skip": {
            **_DROPOUT, "window_scaling": "standard", "residual": "last", "linear_skip": "window", "loss": "mae",
        },
    }
)  # fmt: skip


def cases(plan: Plan) -> list[Case]:
    """Return a case for each method, none in the quick form."""
    return [] if plan.quick else [Case(f"{GROUP} {name}", partial(_compare, name, plan)) for name in _METHODS]


def _compare(name: str, plan: Plan) -> list[Comparison]:
    timings = take_turns({"gatecast": _step(_METHODS[name]), "plain": _step({})}, plan, _STEPS)
    return [
        Comparison(
            group=GROUP, name=f"{_SIZES}, {name}", peer="the plain step", gatecast=timings["gatecast"],
            other=timings["plain"], flop=_SIZES.training_flop(), floor=1 / _MOST,
        )
    ]  # fmt: skip


def _step(method: Mapping[str, Any]) -> Callable[[], Any]:
    """Return what takes `_STEPS` steps of a network."""
    from gatecast.lstm.config import ForecasterSettings
    from gatecast.lstm.forecasting.batches import WindowBatches
    from gatecast.lstm.forecasting.network import Network
    from gatecast.lstm.forecasting.scaled_windows import scaling_of
    from gatecast.lstm.forecasting.window_steps import WindowSteps
    from gatecast.lstm.training.optim import Adam

    batch_size, lookback, columns, hidden_size, _ = _SIZES
    settings = ForecasterSettings(**{**_PLAIN, **method, "hidden_size": hidden_size, "lookback": lookback})
    skip_size = lookback if settings.linear_skip == "window" else 0
    network = Network(columns, 1, settings, skip_size, settings.loss)
    generator = np.random.default_rng(0)
    values = generator.normal(size=(_ROWS, columns)).astype("float32")
    starts = generator.integers(0, _ROWS - lookback, (_STEPS, batch_size))
    places = np.stack([starts, starts + lookback, np.zeros_like(starts)], axis=1)
    ends = np.empty(0, np.int64)
    batches = WindowBatches(
        values, ends, lookback, 1, batch_size, seed=0, ops=network.ops, firsts=ends, scaling=scaling_of(settings)
    )
    steps = WindowSteps(network, batches, Adam(network.parameters, network.ops, gradient_clip=1.0))
    return lambda: list(steps.take(places, lambda step: 1e-3))

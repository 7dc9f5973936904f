"""How much of an epoch is spent in compiled code, where steps are shortest: the loop against its kernels alone."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.measure import Case, Plan
from benchmarks.results import Comparison, Timing
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "training loop"
_SIZES = Sizes(32, 30, 3, 32)
_WINDOWS = 4000
_EPOCHS = 45
_FLOOR = 0.95


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module, none in the quick form: it has no peer but itself."""
    return [] if plan.quick else [Case(f"{GROUP} {_SIZES}", lambda: [_compare(plan)])]


def _compare(plan: Plan) -> Comparison:
    from gatecast.lstm.config import NetworkSettings
    from gatecast.lstm.forecasting.batches import WindowBatches
    from gatecast.lstm.forecasting.network import Network
    from gatecast.lstm.forecasting.window_steps import WindowSteps
    from gatecast.lstm.training.optim import Adam

    network = Network(_SIZES.input_size, 1, NetworkSettings(hidden_size=_SIZES.hidden_size))
    values = np.random.default_rng(0).normal(size=(_WINDOWS + _SIZES.seq_len + 1, _SIZES.input_size)).astype("float32")
    ends = np.arange(_WINDOWS) + _SIZES.seq_len
    batches = WindowBatches(values, ends, _SIZES.seq_len, 1, _SIZES.batch_size, seed=0, ops=network.ops)
    steps = WindowSteps(network, batches, Adam(network.parameters, network.ops, gradient_clip=1.0))
    compiled: list[float] = []
    network.ops = _timed(network.ops, compiled)
    whole = []
    inside = []
    for epoch in range(1, _EPOCHS + 1):
        plan.remaining()
        compiled.clear()
        begun = time.perf_counter()
        count = sum(1 for _ in steps.epoch(epoch, lambda step: 1e-3, total_steps=1 << 60))
        whole.append([(time.perf_counter() - begun) / count])
        inside.append([sum(compiled) / count])
    # The first epoch loads the kernels.
    return Comparison(
        group=GROUP,
        name=f"{_SIZES}, a step",
        peer="its calls of compiled code alone",
        gatecast=Timing.of_turns(whole[1:]),
        other=Timing.of_turns(inside[1:]),
        flop=_SIZES.training_flop(),
        floor=_FLOOR,
    )


def _timed(ops: Any, seconds: list[float]) -> Any:
    """Return the backend with a clock around the steps, which adds the seconds of each call to a list."""

    def window_training(*arguments: Any) -> Any:
        """Prepare the steps, with the clock around each call that takes some of them."""
        training = ops.window_training(*arguments)

        def take(*arguments: Any) -> Any:
            begun = time.perf_counter()
            results = training(*arguments)
            seconds.append(time.perf_counter() - begun)
            return results

        return take

    return SimpleNamespace(**{**vars(ops), "window_training": window_training})

"""What attention costs: a training step of the forecaster's network, with each score and without attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.measure import Case, Plan, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "attention"
_SIZES = Sizes(64, 60, 8, 64)
_SCORES = ("dot", "general", "additive")
_PEER = "without attention"
_MOST_EXTRA = 0.10


def cases(plan: Plan) -> list[Case]:
    """Return one case of a row for each score, none in the quick form."""
    return [] if plan.quick else [Case(f"{GROUP} {_SIZES}", partial(_compare, plan))]


def _compare(plan: Plan) -> list[Comparison]:
    timings = take_turns({score: _training_step(score) for score in ("none", *_SCORES)}, plan)
    return [
        Comparison(
            group=GROUP, name=f"{_SIZES} {score}", peer=_PEER, gatecast=timings[score], other=timings["none"],
            floor=1 / (1 + _MOST_EXTRA), note=f"at most {_MOST_EXTRA:.0%} more",
        )
        for score in _SCORES
    ]  # fmt: skip


def _training_step(score: str) -> Callable[[], float]:
    """Forward, loss, backward, clipping and Adam on one batch."""
    from gatecast.lstm.config import NetworkSettings
    from gatecast.lstm.forecasting.network import Network
    from gatecast.lstm.training.optim import Adam

    settings = {"hidden_size": _SIZES.hidden_size, "num_layers": _SIZES.num_layers, "attention": score}
    network = Network(_SIZES.input_size, 1, NetworkSettings.model_validate(settings))
    optimizer = Adam(network.parameters, network.ops, gradient_clip=1.0)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(_SIZES.batch_size, _SIZES.seq_len, _SIZES.input_size)).astype("float32")
    y = generator.normal(size=(_SIZES.batch_size, 1)).astype("float32")
    weights = np.ones(_SIZES.batch_size, "float32")

    def step() -> float:
        y_hat, _ = network.forward(x, training=True)
        gradient = network.ops.zeros(y_hat.shape, network.dtype)
        loss = network.ops.mse_loss(y_hat, y, weights, gradient)
        network.backward(gradient)
        optimizer.step(1e-3)
        return loss

    return step

"""`Line`: y = slope * x + intercept, trained by the loop that all models share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from gatecast.data.settings import Settings
from gatecast.kernels import get_backend
from gatecast.lstm.nn.layers import Linear
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import TrainedModel


class LineSettings(Settings):
    learning_rate: float = Field(default=0.1, gt=0, description="Step of the optimiser")
    schedule: str = Field(default="constant", description="Course of the learning rate")
    weight_decay: float = Field(default=0.0, ge=0, description="Shrinkage of the weights")
    gradient_clip: float = Field(default=1.0, gt=0, description="Greatest norm of a gradient")
    max_epochs: int = Field(default=4, gt=0, description="Epochs at most")
    max_minutes: float | None = Field(default=None, gt=0, description="Time at most")
    patience: int = Field(default=4, gt=0, description="Epochs without a better one")
    backend: str = Field(default="cpu", description="Where the arithmetic runs")
    seed: int = Field(default=0, ge=0, description="Seed of everything random")


class LineNetwork:
    def __init__(self, settings: LineSettings) -> None:
        self.ops = get_backend(settings.backend)
        self.head = Linear(1, 1, dtype="float64", backend=settings.backend, seed=settings.seed)
        self.parameters = self.head.parameters

    def backpropagate(self, batch: tuple[np.ndarray, np.ndarray], state: None, step: int) -> tuple[float, None]:
        x, y = batch
        error = self.head.forward(x) - y
        self.head.backward(2 * error / len(y))
        return float((error**2).mean()), None


class Rows:
    """Batches of eight rows, in an order that the seed and the epoch's number decide."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int) -> None:
        self.x = x
        self.y = y
        self.seed = seed
        self.steps_per_epoch = len(x) // 8

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.random.default_rng((self.seed, number)).permutation(len(self.x))
        for step in range(self.steps_per_epoch):
            chosen = order[8 * step : 8 * (step + 1)]
            yield self.x[chosen], self.y[chosen]


class Line(TrainedModel[LineNetwork]):
    kind = "Line"
    settings: LineSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = LineSettings(**settings)

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        checkpoints: Path | None = None,
        resume: bool = False,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> Line:
        self.data_hash = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
        network = self._network = self._new_network()
        stopped = self._stopped(checkpoints, resume, self.data_hash)
        self._train(
            network, Rows(x, y, self.settings.seed), lambda: self._loss(network, x, y),
            stopped=stopped, checkpoints=checkpoints, keep=3, on_epoch=on_epoch,
        )  # fmt: skip
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.network.head.forward(x))

    @staticmethod
    def _loss(network: LineNetwork, x: np.ndarray, y: np.ndarray) -> float:
        return float(((network.head.forward(x) - y) ** 2).mean())

    def _make_network(self) -> LineNetwork:
        return LineNetwork(self.settings)

    def _least_weights(self) -> int:
        return 2

    def _to_checkpoint(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def _restore(self, document: Any, arrays: Any) -> None:
        pass

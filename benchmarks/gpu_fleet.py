"""Many small models trained at once on the GPU, the work of `benchmarks.fleet`: every launch works on all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.sizes import Sizes

__all__ = ["FLEET_STEPS", "FleetTrainer"]

FLEET_STEPS = 200
_ROWS = 600
_LEARNING_RATE = 1e-3
_GRADIENT_CLIP = 1.0


class FleetTrainer:
    """Models of one size, each with its own first weights, series and batches.

    Parameters
    ----------
    sizes : Sizes
        Of each model.
    models, seed : int
    """

    def __init__(self, sizes: Sizes, models: int, seed: int):
        from benchmarks.trainers import draw_weights
        from gatecast.kernels import get_backend
        from gatecast.kernels.cuda.fleet import FleetWeights, fleet_workspace

        self._ops = get_backend("cuda")
        generator = np.random.default_rng(seed)
        drawn = [list(draw_weights(sizes, seed + model).values()) for model in range(models)]
        stacked = [np.stack(arrays) for arrays in zip(*drawn, strict=True)]
        flat = np.concatenate([array.ravel() for array in stacked])
        self._values = self._ops.as_array(flat, "float32")
        self._gradients = self._ops.zeros(flat.shape, "float32")
        self._moments = [self._ops.zeros(flat.shape, "float32") for _ in range(2)]
        self.weights, self._gradient_views = (
            FleetWeights(*_views(vector, [array.shape for array in stacked]))
            for vector in (self._values, self._gradients)
        )
        series, starts, y = _data(sizes, models, generator)
        self._series = self._ops.as_array(series, "float32")
        self._starts = self._ops.as_array(starts, "int64")
        self._y = self._ops.as_array(y, "float32")
        self.losses = self._ops.zeros((models,), "float64")
        self._workspace = fleet_workspace(models, *sizes[:4], 1, "float32")
        self.steps = 0

    def step(self) -> None:
        """Train every model on its next batch; its loss stays on the GPU, in `losses`."""
        from gatecast.kernels.cuda.fleet import clip_fleet, fleet_gradients

        batch = self.steps % self._starts.shape[0]
        fleet_gradients(
            self.weights, self._series, self._starts[batch], self._y[batch], self._workspace, self._gradient_views,
            self.losses,
        )  # fmt: skip
        clip_fleet(self._gradient_views, _GRADIENT_CLIP)
        self.steps += 1
        self._ops.adam_step(
            self._values, self._gradients, *self._moments, self.steps, _LEARNING_RATE, (0.9, 0.999), 1e-8, 0.0
        )


def _views(vector: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    views = []
    start = 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        views.append(vector[start:stop].reshape(shape))
        start = stop
    return views


def _data(sizes: Sizes, models: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all series (rows, 1), and of ten batches the windows' first rows (10, M, B) and targets (10, M, B, 1)."""
    t = np.arange(_ROWS)
    phases = generator.uniform(3, 10, (models, 1))
    series = (np.sin(t / phases) + generator.normal(scale=0.3, size=(models, _ROWS))).astype("float32")
    starts = generator.integers(0, _ROWS - sizes.seq_len, (10, models, sizes.batch_size))
    starts += _ROWS * np.arange(models)[:, None]
    flat = series.reshape(-1, 1)
    return flat, starts, flat[starts + sizes.seq_len]

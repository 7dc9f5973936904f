"""Training batches, gathered from the series as they are needed.

`WindowBatches` draws windows in random order; each starts from a zero state. `RowBatches` does so with rows that are
there already. `StreamBatches` walks along the series side by side, so that the state at the end of one batch is the
state at the beginning of the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.forecasting.scaled_windows import scaled_windows
from gatecast.lstm.forecasting.target_weights import TargetWeights

__all__ = ["Batch", "PlacedBatches", "RowBatches", "StreamBatches", "WindowBatches"]


class Batch(NamedTuple):
    """Inputs and targets of one step."""

    x: Any
    """(batch, seq, columns)"""
    y: Any
    """(rows, horizon); rows are windows, or steps of windows if the model learns from every step"""
    weights: Any
    """(rows,): 0 for a row that does not count; (rows, horizon) where windows are scaled"""
    every_step: bool
    """Whether rows are steps, and the state is carried from batch to batch"""
    past: Any = None
    """(rows, seq): column 0 of `x`, for the linear skip; None where windows are not scaled, as the next two"""
    base: Any = None
    """(rows, horizon): what forecasts are added to"""
    spread: Any = None
    """(rows,): what they are multiplied by before"""
    series: Any = None
    """(rows,) int64: the number of each window's series; None where the network has learnt nothing of the series"""


class PlacedBatches(ABC):
    """Batches whose arrays are gathered from larger ones by their places, so that compiled code can repeat their steps.

    Attributes
    ----------
    batch_size : int
    lookback : int
        Steps of the inputs.
    steps_per_epoch : int
    """

    batch_size: int
    lookback: int
    steps_per_epoch: int
    _ops: ModuleType

    @abstractmethod
    def places(self, number: int) -> np.ndarray:
        """Return where the rows of an epoch are, in its order, int64 (kinds, n)."""

    @abstractmethod
    def gather(self, *places: Any) -> Batch:
        """Gather the rows at some `places`, each kind (batch,) int64 where the backend computes."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the batches of an epoch in its own order."""
        # The places go to the backend once an epoch; a batch then copies nothing.
        places = [self._ops.as_array(rows, "int64") for rows in self.places(number)]
        count = places[0].shape[0]
        for first in range(0, count, self.batch_size):
            batch = slice(first, min(first + self.batch_size, count))
            yield self.gather(*(rows[batch] for rows in places))


class WindowBatches(PlacedBatches):
    """Windows in random order, the same for the same seed and epoch.

    Parameters
    ----------
    values : (rows, columns) array
        All series, one after another; the target is column 0.
    ends : (n,) int64 array
        Row after each window's last input row.
    lookback, horizon, batch_size, seed : int
    ops : module
        The backend to gather on.
    firsts : (n,) int64 array, optional
        First row of each window's series; with `scaling`.
    scaling : WindowScaling, optional
        Each window is scaled by its own rows; by default it is taken as it is.
    steps_per_epoch : int, optional
        Batches of an epoch. The next epoch takes the windows that follow, so that all are seen before one comes twice.
        By default, and at most, an epoch has all windows.
    target_weights : TargetWeights, optional
        With `scaling`; by default all targets weigh the same.
    series : (n,) array, optional
        Number of the series of each window, for a network that has learnt vectors of `embedding_size` of them; with
        `scaling`.
    embedding_size : int
    """

    def __init__(
        self,
        values: np.ndarray,
        ends: np.ndarray,
        lookback: int,
        horizon: int,
        batch_size: int,
        seed: int,
        ops: ModuleType,
        firsts: np.ndarray | None = None,
        scaling: WindowScaling | None = None,
        steps_per_epoch: int | None = None,
        target_weights: TargetWeights | None = None,
        series: np.ndarray | None = None,
        embedding_size: int = 0,
    ):
        self.scaling = scaling
        self._firsts = firsts
        self._target_weights = target_weights
        self._series = series
        self._embedding_size = embedding_size
        self.dtype = values.dtype.name
        self.values = ops.as_array(values, self.dtype)
        self._ends = ends
        self._ops = ops
        self._seed = seed
        self.lookback = lookback
        self.horizon = horizon
        self.batch_size = batch_size
        whole = -(-len(ends) // batch_size)
        self.steps_per_epoch = min(whole, steps_per_epoch or whole)
        self._windows_per_epoch = min(len(ends), self.steps_per_epoch * batch_size)
        self._kept: tuple[int, np.ndarray] | None = None

    def order(self, number: int) -> np.ndarray:
        """Return the windows of an epoch in its order, int64 (n,)."""
        # Epochs are the pieces of one long list: a pass over all windows in random order, and then the next pass.
        first = (number - 1) * self._windows_per_epoch
        last = first + self._windows_per_epoch
        count = len(self._ends)
        passes = range(first // count, -(-last // count))
        return np.concatenate([self._pass(k)[max(0, first - k * count) : last - k * count] for k in passes])

    def _pass(self, k: int) -> np.ndarray:
        """Return the order of a pass, 0 for the first; it is kept, since it may serve many epochs."""
        if self._kept is None or self._kept[0] != k:
            self._kept = k, np.random.default_rng((self._seed, k + 1)).permutation(len(self._ends))
        return self._kept[1]

    def places(self, number: int) -> np.ndarray:
        """Return where the windows of an epoch are, in its order, int64 (3 or 4, n).

        That is the first row of each window, the row after its last input row, the first row of its series and, where
        `series` was given, the number of the series.
        """
        order = self.order(number)
        ends = self._ends[order]
        firsts = np.zeros_like(ends) if self._firsts is None else self._firsts[order]
        numbers = [] if self._series is None else [self._series[order]]
        return np.stack([ends - self.lookback, ends, firsts, *numbers]).astype(np.int64, copy=False)

    def gather(self, *places: Any) -> Batch:
        """Gather the windows at some `places`, each kind (batch,) int64 where the backend computes."""
        starts, ends, firsts, *series = places
        ops = self._ops
        count = ends.shape[0]
        if self.scaling is not None:
            sizes = self.lookback, self.horizon
            windows = scaled_windows(
                ops, self.values, self.dtype, starts, firsts, self.scaling, sizes, more_columns=self._embedding_size
            )
            weights = ops.ones((count, self.horizon), self.dtype)
            if self._target_weights is not None:
                ops.weigh_targets(self._target_weights.of_rows, ends, self._target_weights.of_steps, weights)
            x, past, targets, base, spread = windows
            return Batch(x, targets, weights, False, past, base, spread, *series)
        x = ops.zeros((count, self.lookback, self.values.shape[1]), self.dtype)
        y = ops.zeros((count, self.horizon, 1), self.dtype)
        ops.gather_windows(self.values, starts, x)
        ops.gather_windows(self.values, ends, y)
        return Batch(x, y.reshape(count, self.horizon), ops.ones((count,), self.dtype), every_step=False)


class RowBatches(PlacedBatches):
    """Rows in random order, the same for the same seed and epoch.

    Parameters
    ----------
    x : (n, steps, variables) float32 array
    y : (n, outputs) float32 array
    weights : (n,) float32 array
    loss : str
        One of `kernels.losses.LOSSES`, by which they are learnt.
    batch_size, seed : int
    ops : module
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        loss: str,
        batch_size: int,
        seed: int,
        ops: ModuleType,
    ):
        count, self.lookback, variables = x.shape
        self._ops = ops
        self._seed = seed
        self._count = count
        self._is_squared = loss == "mse"
        self._x = ops.as_array(x.reshape(count * self.lookback, variables), "float32")
        self._y = ops.as_array(y, "float32")
        columns = 1 if self._is_squared else y.shape[1]  # the other losses have weights for each target
        self._weights = ops.as_array(np.repeat(weights[:, None], columns, axis=1), "float32")
        self.batch_size = batch_size
        self.steps_per_epoch = -(-count // batch_size)

    def places(self, number: int) -> np.ndarray:
        """Return where the rows of an epoch are, int64 (2, n): the first step of each, and its number."""
        order = np.random.default_rng((self._seed, number)).permutation(self._count)
        return np.stack([order * self.lookback, order]).astype(np.int64, copy=False)

    def gather(self, *places: Any) -> Batch:
        """Gather the rows at some `places`, each kind (batch,) int64 where the backend computes."""
        starts, numbers = places
        ops = self._ops
        count = numbers.shape[0]
        outputs = self._y.shape[1]
        x = ops.zeros((count, self.lookback, self._x.shape[1]), "float32")
        y = ops.zeros((count, 1, outputs), "float32")
        weights = ops.zeros((count, 1, self._weights.shape[1]), "float32")
        ops.gather_windows(self._x, starts, x)
        ops.gather_windows(self._y, numbers, y)
        ops.gather_windows(self._weights, numbers, weights)
        y = y.reshape(count, outputs)
        if self._is_squared:
            return Batch(x, y, weights.reshape(count), every_step=False)
        base, spread = ops.zeros((count, outputs), "float32"), ops.ones((count,), "float32")
        return Batch(x, y, weights.reshape(count, outputs), every_step=False, base=base, spread=spread)


class StreamBatches:
    """Contiguous pieces of the series side by side, for training with the state carried from batch to batch.

    The training rows are cut into about `batch_size` streams of equal length, each within one series; batch k holds the
    k-th `lookback` rows of every stream. Each epoch begins at its own offset, so that the places where the gradient is
    cut move.

    Parameters
    ----------
    values : (rows, columns) array
        All series, one after another; the target is column 0.
    series, ends : (n,) arrays
        Series and row after the last input row of every training window; those rows are the targets that count.
    lookback, horizon, batch_size, seed : int
    ops : module
        The backend to gather on.
    """

    def __init__(
        self,
        values: np.ndarray,
        series: np.ndarray,
        ends: np.ndarray,
        lookback: int,
        horizon: int,
        batch_size: int,
        seed: int,
        ops: ModuleType,
    ):
        self._ops = ops
        self._seed = seed
        self._lookback = lookback
        self._horizon = horizon
        self._dtype = values.dtype.name
        self._starts, self._stops = _streams(series, ends, lookback, batch_size)
        self.steps_per_epoch = -(-int((self._stops - self._starts).max()) // lookback)
        rows = len(values)
        # A batch reads past the end of a stream that is over; those rows have weight 0 but must exist.
        reach = self._starts.max() + (self.steps_per_epoch + 1) * lookback + horizon
        padded = np.concatenate([values, np.zeros((max(0, reach - rows), values.shape[1]), values.dtype)])
        self._values = ops.as_array(padded, self._dtype)
        self._counts = np.zeros(len(padded), bool)
        self._counts[ends - 1] = True

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the streams' pieces in order."""
        shift = int(np.random.default_rng((self._seed, number)).integers(self._lookback))
        for piece in range(self.steps_per_epoch):
            starts = self._starts + shift + piece * self._lookback
            rows = starts[:, None] + np.arange(self._lookback)
            weights = self._counts[rows] & (rows < self._stops[:, None])
            if weights.any():
                yield self._gather(starts, rows, weights)

    def _gather(self, starts: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> Batch:
        ops = self._ops
        streams = len(starts)
        x = ops.zeros((streams, self._lookback, self._values.shape[1]), self._dtype)
        ops.gather_windows(self._values, ops.as_array(starts, "int64"), x)
        y = ops.zeros((rows.size, self._horizon, 1), self._dtype)
        ops.gather_windows(self._values, ops.as_array(rows.ravel() + 1, "int64"), y)
        weights = ops.as_array(weights.ravel(), self._dtype)
        return Batch(x, y.reshape(rows.size, self._horizon), weights, every_step=True)


def _streams(series: np.ndarray, ends: np.ndarray, lookback: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut every series' training rows into pieces, about `count` in all and each at least `lookback` long."""
    spans = [(ends[series == k].min() - lookback, ends[series == k].max()) for k in np.unique(series)]
    length = max(lookback, -(-sum(stop - start for start, stop in spans) // count))
    starts = []
    stops = []
    for start, stop in spans:
        pieces = max(1, min(round((stop - start) / length), (stop - start) // lookback))
        edges = np.linspace(start, stop, pieces + 1).astype(np.int64)
        starts.append(edges[:-1])
        stops.append(edges[1:])
    return np.concatenate(starts), np.concatenate(stops)

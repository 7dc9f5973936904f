"""What a forecaster trains on: batches, the validation, the linear beginning, and the training on all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatecast.data.dates.timestamps import format_date
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.splits import TRAIN, VALIDATION
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import StreamBatches, WindowBatches
from gatecast.lstm.forecasting.linear_start import start_linear
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.prediction import predict_windows
from gatecast.lstm.forecasting.reader import WindowReader
from gatecast.lstm.forecasting.target_weights import TargetWeights
from gatecast.lstm.forecasting.validation import Validation
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.training.loop import Batches, Snapshot, fit

__all__ = ["Fitting", "has_gaps", "last_rows"]


@dataclass(frozen=True, eq=False)
class Fitting:
    """The sequences as one forecaster trains on them.

    Attributes
    ----------
    settings : ForecasterSettings
        Chosen.
    sequences : Sequences
    scaling : WindowScaling or None
        Of each window; None where it is taken as it is.
    """

    settings: ForecasterSettings
    sequences: Sequences
    scaling: WindowScaling | None

    def begin(self, network: Network, last: int) -> None:
        """Let a network with a linear skip begin as ridge regression over the windows of the splits up to `last`."""
        if network.skip is not None and self.scaling is not None:
            windows = self._until(last)
            start_linear(self._reader(network), windows.series, windows.end, self.sequences.weights)

    def batches(self, network: Network, last: int) -> Batches:
        """Return the batches of the splits up to `last`."""
        settings = self.settings
        windows = self._until(last)
        values = self.sequences.values.astype(settings.dtype, copy=False)
        sizes = (settings.window, settings.horizon)
        ops = network.ops
        if settings.stateful:
            return StreamBatches(values, windows.series, windows.end, *sizes, settings.batch_size, settings.seed, ops)
        return WindowBatches(
            values, windows.end, *sizes, settings.batch_size, settings.seed, ops,
            firsts=self.sequences.offsets[windows.series],
            scaling=self.scaling,
            steps_per_epoch=settings.epoch_steps,
            target_weights=TargetWeights.of(settings, self.sequences, ops),
            series=windows.series if settings.series_embedding else None,
            embedding_size=settings.series_embedding,
        )  # fmt: skip

    def validation(self, network: Network) -> Validation:
        """Return what computes the validation loss of a network as it is, and its errors on the validation rows."""
        return Validation(self.settings, self.sequences, self.scaling, self._reader(network))

    def step_variance(self, network: Network) -> np.ndarray | None:
        """Return the variance of the errors on the validation windows, scaled, for each step ahead, float64 (horizon,).

        Each error counts as much as its row weighs. None where no forecast is corrected with it: y is not transformed,
        or forecasts are medians by their loss.
        """
        settings, sequences = self.settings, self.sequences
        if settings.of_y == "none" or settings.loss != "mse":
            return None
        windows = sequences.windows_of(VALIDATION)
        y_hat = predict_windows(self._reader(network), windows.series, windows.end).y_hat.astype(np.float64)
        rows = windows.end[:, None] + np.arange(settings.horizon)
        errors = y_hat - sequences.values[rows, 0]
        weights = np.ones(errors.shape) if sequences.weights is None else sequences.weights[rows]
        return np.array([_variance(*of_step) for of_step in zip(errors.T, weights.T, strict=True)])

    @property
    def is_refitted(self) -> bool:
        """Whether the validation rows are learnt too, once they have said for how long to train."""
        return self.settings.fit_until == "validation"

    def train_until(self, last: int, network: Network, trained: Snapshot) -> Snapshot:
        """Train a new network on the rows of the splits up to `last`, for as many steps as were best before.

        Parameters
        ----------
        last : int
            VALIDATION or TEST.
        network : Network
        trained : Snapshot
            Of the training that was validated.

        Returns
        -------
        Snapshot
            Its weights, with the history of the training that was validated.
        """
        steps = next(record.step for record in trained.history if record.epoch == trained.best_epoch)
        self.begin(network, last)
        if not steps:
            values = network.ops.to_host(network.parameters.values)
            return replace(trained, values=values, best_values=values, optimizer=_without_average(trained.optimizer))
        batches = self.batches(network, last)
        epochs = -(-steps // batches.steps_per_epoch)
        settings: Any = self.settings.model_copy(update={"max_epochs": epochs, "patience": epochs})
        # Every epoch is better than the one before, so that the last is kept.
        losses = iter(range(0, -epochs - 1, -1))
        snapshot = fit(
            network, batches, lambda: float(next(losses)), settings,
            total_steps=steps, make_steps=make_steps, average_decay=settings.average_decay,
        )  # fmt: skip
        return replace(snapshot, history=trained.history)

    def _until(self, last: int) -> Windows:
        windows = self.sequences.windows
        chosen = windows.split <= last
        return Windows(windows.series[chosen], windows.start[chosen], windows.end[chosen], windows.split[chosen])

    def _reader(self, network: Network) -> WindowReader:
        numbers = np.arange(len(self.sequences.unique_ids)) if self.settings.series_embedding else None
        return WindowReader(network, self.settings, self.scaling, self.sequences, numbers)


def _variance(errors: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted variance of the errors that are known, 0 if nothing weighs anything."""
    counts = ~np.isnan(errors) & (weights > 0)
    if not counts.any():
        return 0.0
    errors, weights = errors[counts], weights[counts].astype(np.float64)
    return float(np.average((errors - np.average(errors, weights=weights)) ** 2, weights=weights))


def _without_average(optimizer: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in optimizer.items() if name != "average"}


def has_gaps(sequences: Sequences) -> bool:
    """Tell whether a window to train on lacks a value of y, within it or before the first row of its series."""
    training = sequences.windows_of(TRAIN)
    firsts = sequences.offsets[training.series]
    missing = np.concatenate([[0], np.cumsum(np.isnan(sequences.values[:, 0]))])
    starts = np.maximum(training.start, firsts)
    return bool((training.start < firsts).any() or (missing[training.end] > missing[starts]).any())


def last_rows(sequences: Sequences) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the boundaries, and those of single series, of a model that has learnt all rows."""
    ends = [format_date(date) for date in sequences.dates(sequences.offsets[1:] - 1)]
    latest = format_date(sequences.dates(sequences.offsets[1:] - 1).max())
    own = {name: end for name, end in zip(sequences.unique_ids, ends, strict=True) if end != latest}
    return _at(latest), {name: _at(end) for name, end in own.items()}


def _at(end: str) -> dict[str, str]:
    return {"train_end": end, "validation_end": end}

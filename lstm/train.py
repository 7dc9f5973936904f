"""The training loop: batches, epochs, early stopping, and the snapshot from which training goes on bit for bit.

Nothing random is carried along: the batches of an epoch are a function of the seed and the epoch's number, so weights,
optimiser, best weights and history are the whole state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lstm.batches import Batch, Batches
from lstm.config import ForecasterSettings
from lstm.network import Network
from lstm.optim import Adam, learning_rate_at

__all__ = ["EpochRecord", "Snapshot", "TrainingError", "fit"]


class TrainingError(RuntimeError):
    """Training cannot go on."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to."""

    epoch: int
    """1 for the first"""
    step: int
    """Optimiser steps since the beginning"""
    train_loss: float
    """Mean over the epoch's batches, in scaled units squared"""
    validation_loss: float
    """Mean squared error over the validation windows, in scaled units squared"""
    learning_rate: float
    """Of the epoch's last step"""
    gradient_norm: float
    """Mean over the epoch's batches, before clipping"""
    best: bool
    """Whether no earlier epoch had a smaller validation loss"""
    seconds: float = field(default=math.nan, compare=False)
    """Wall-clock time; not part of what a checkpoint stores, since it differs from run to run"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the time."""
        return {name: value for name, value in asdict(self).items() if name != "seconds"}


@dataclass(frozen=True)
class Snapshot:
    """Training after a whole number of epochs."""

    values: np.ndarray
    optimizer: dict[str, np.ndarray]
    optimizer_steps: int
    best_values: np.ndarray
    history: tuple[EpochRecord, ...]

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the smallest validation loss."""
        return max(record.epoch for record in self.history if record.best)


def fit(
    network: Network,
    batches: Batches,
    validate: Callable[[], float],
    settings: ForecasterSettings,
    *,
    start: Snapshot | None = None,
    on_epoch: Callable[[EpochRecord, Snapshot], None] | None = None,
) -> Snapshot:
    """Train until the validation loss stops falling; the network ends with its best weights.

    Parameters
    ----------
    network : Network
        Its parameters are changed.
    batches : Batches
    validate : callable
        Returns the validation loss of the network as it is.
    settings : ForecasterSettings
    start : Snapshot, optional
        Go on from here; the end is the same, bit for bit, as without the interruption.
    on_epoch : callable, optional
        Called after each epoch.

    Raises
    ------
    TrainingError
        When a loss is not finite; the network has the best weights before it then.
    """
    optimizer = Adam(
        network.parameters, network.ops, weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip
    )
    history: tuple[EpochRecord, ...] = ()
    best_values = network.ops.to_host(network.parameters.values)
    if start is not None:
        network.parameters.set_flat(start.values)
        optimizer.load_state_dict(start.optimizer, start.optimizer_steps)
        history, best_values = start.history, start.best_values
    snapshot = start
    while not _finished(history, settings):
        begun = time.perf_counter()
        epoch = len(history) + 1
        train_loss, gradient_norm, learning_rate = _train_epoch(network, batches, optimizer, settings, epoch)
        validation_loss = validate()
        if not math.isfinite(train_loss + validation_loss):
            network.parameters.set_flat(best_values)
            raise TrainingError(
                f"Training diverged in epoch {epoch} (training loss {train_loss}, validation loss {validation_loss}); "
                "choose a smaller learning_rate or gradient_clip."
            )
        best = validation_loss < min((record.validation_loss for record in history), default=math.inf)
        record = EpochRecord(
            epoch, optimizer.steps, train_loss, validation_loss, learning_rate, gradient_norm, best,
            time.perf_counter() - begun,
        )  # fmt: skip
        history = (*history, record)
        values = network.ops.to_host(network.parameters.values)
        best_values = values if best else best_values
        snapshot = Snapshot(values, optimizer.state_dict(), optimizer.steps, best_values, history)
        if on_epoch is not None:
            on_epoch(record, snapshot)
    if snapshot is None:
        raise TrainingError("Training has no epoch to run; choose max_epochs of at least 1.")
    network.parameters.set_flat(snapshot.best_values)
    return snapshot


def _finished(history: Iterable[EpochRecord], settings: ForecasterSettings) -> bool:
    epochs = list(history)
    if not epochs:
        return False
    best_epoch = max(record.epoch for record in epochs if record.best)
    return len(epochs) >= settings.max_epochs or len(epochs) - best_epoch >= settings.patience


def _train_epoch(
    network: Network, batches: Batches, optimizer: Adam, settings: ForecasterSettings, epoch: int
) -> tuple[float, float, float]:
    total_steps = settings.max_epochs * batches.steps_per_epoch
    losses, norms, learning_rate, state = [], [], 0.0, None
    for batch in batches.epoch(epoch):
        learning_rate = learning_rate_at(optimizer.steps, total_steps, settings.learning_rate, settings.schedule)
        loss, state = _backpropagate(network, batch, state, batches.stateful, optimizer.steps)
        losses.append(loss)
        norms.append(optimizer.step(learning_rate))
    return float(np.mean(losses)), float(np.mean(norms)), learning_rate


def _backpropagate(network: Network, batch: Batch, state: Any, stateful: bool, step: int) -> tuple[float, Any]:
    """Write the gradients of one batch; return its loss and the state to carry on."""
    y_hat, state = network.forward(batch.x, state if stateful else None, training=True, step=step, every_step=stateful)
    gradient = network.ops.zeros(y_hat.shape, network.dtype)
    loss = network.ops.mse_loss(y_hat, batch.y, batch.weights, gradient)
    network.backward(gradient)
    return loss, state

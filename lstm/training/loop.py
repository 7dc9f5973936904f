"""The training loop: batches, epochs, early stopping, and the snapshot from which training goes on bit for bit.

Nothing random is carried along: the batches of an epoch are a function of the seed and the epoch's number, so weights,
optimiser, best weights and history are the whole state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.training.optim import Adam, learning_rate_at

__all__ = [
    "Batches",
    "EpochRecord",
    "MakeSteps",
    "SingleSteps",
    "Snapshot",
    "StepRecord",
    "Steps",
    "Trainable",
    "TrainingError",
    "TrainingSettings",
    "fit",
]


class Trainable(Protocol):
    """A network that `fit` can train."""

    ops: ModuleType
    parameters: Parameters

    def backpropagate(self, batch: Any, state: Any, step: int) -> tuple[float, Any]:
        """Write the gradients of a batch; return its loss and the state that the next batch of the epoch goes on from.

        The loss may stay on the GPU: `float` of it, or ``ops.to_floats`` of many, waits for it and brings it here.
        `state` is None for the first batch of an epoch, `step` counts the optimiser's steps before this one.
        """
        ...


class Batches(Protocol):
    """Where training takes its batches from."""

    steps_per_epoch: int
    """At most; a batch in which nothing counts is left out"""

    def epoch(self, number: int) -> Iterator[Any]:
        """Give the batches of an epoch; the same number gives the same batches."""
        ...


class Steps(Protocol):
    """How the optimiser's steps of an epoch are taken."""

    def epoch(self, number: int, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of an epoch, and report each; none after `total_steps` in all.

        `learning_rate` returns the rate of a step, which is 0 for the first of the training.
        """
        ...


MakeSteps = Callable[[Any, Any, Adam], Steps]
"""Returns what takes the steps with a network, its batches and an optimiser"""


class StepRecord(NamedTuple):
    """The result of one step."""

    learning_rate: float
    loss: float
    gradient_norm: float
    """Before clipping"""


class TrainingSettings(Protocol):
    """What `fit` reads of a model's settings."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def schedule(self) -> str: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def gradient_clip(self) -> float: ...  # noqa: D102
    @property
    def max_epochs(self) -> int: ...  # noqa: D102
    @property
    def patience(self) -> int: ...  # noqa: D102


class TrainingError(RuntimeError):
    """Training cannot go on."""


@dataclass(frozen=True)
class EpochRecord:
    """The result of one epoch."""

    epoch: int
    """1 for the first; 0 is the network before its first step, which has no training loss and no gradient: NaN"""
    step: int
    """Optimiser steps since the beginning"""
    train_loss: float
    """Mean over the epoch's batches: mean squared error in scaled units, or cross-entropy in nats"""
    validation_loss: float
    """The same over the validation data; of a tagger, 1 less its score on the dev sentences"""
    learning_rate: float
    """Of the epoch's last step"""
    gradient_norm: float
    """Mean over the epoch's batches, before clipping"""
    best: bool
    """Whether no earlier epoch had a smaller validation loss"""
    seconds: float = field(default=math.nan, compare=False)
    """Wall-clock time; not part of what a checkpoint stores, since it differs from run to run"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the time; what is NaN as None, since JSON has no NaN."""
        values = {name: value for name, value in asdict(self).items() if name != "seconds"}
        return {name: None if value != value else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochRecord:
        """Undo `to_dict`."""
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
        return cls(**known)


@dataclass(frozen=True)
class Snapshot:
    """Training after a whole number of epochs."""

    values: np.ndarray
    """With which training goes on"""
    optimizer: dict[str, np.ndarray]
    optimizer_steps: int
    best_values: np.ndarray
    history: tuple[EpochRecord, ...]
    fold_losses: tuple[float, ...] = ()
    """Least loss of each fold of the validation data; none where it has no folds"""
    fold_values: tuple[np.ndarray, ...] = ()
    """The weights of the epochs with these losses"""

    @property
    def validated_values(self) -> np.ndarray:
        """The weights that were validated after the last epoch: `values`, or their average where there is one."""
        return self.optimizer.get("average", self.values)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the smallest validation loss; 0 if that is what training began with."""
        return _best_epoch(self.history)

    def to_document(self) -> dict[str, Any]:
        """Return what a checkpoint's ``model.json`` keeps of the training."""
        folds = {"fold_losses": list(self.fold_losses)} if self.fold_losses else {}
        return {
            "history": [record.to_dict() for record in self.history],
            "optimizer_steps": self.optimizer_steps,
            **folds,
        }

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint keeps in addition to the model's own values."""
        own = {"values": self.values} if "average" in self.optimizer else {}
        folds = {f"fold_values-{number}": values for number, values in enumerate(self.fold_values)}
        return {**self.optimizer, "best_values": self.best_values, **own, **folds}

    @property
    def without_folds(self) -> Snapshot:
        """The same without what is kept of the folds of the validation data, once the training is over."""
        return replace(self, fold_losses=(), fold_values=())

    @classmethod
    def restore(cls, values: np.ndarray, arrays: Mapping[str, np.ndarray], document: Mapping[str, Any]) -> Snapshot:
        """Undo `to_arrays` and `to_document`; `values` are the model's own, unless `to_arrays` gave others."""
        optimizer = dict(arrays)
        best_values = optimizer.pop("best_values")
        values = optimizer.pop("values", values)
        fold_losses = tuple(float(loss) for loss in document.get("fold_losses", ()))
        fold_values = tuple(optimizer.pop(f"fold_values-{number}") for number in range(len(fold_losses)))
        history = tuple(map(EpochRecord.from_dict, document["history"]))
        if not any(record.best for record in history):
            raise ValueError("no epoch of its training is the best")
        folds = {f"the weights of fold {number}": array for number, array in enumerate(fold_values)}
        for name, array in {**optimizer, "best_values": best_values, **folds}.items():
            if array.shape != values.shape:
                raise ValueError(f"{name} has shape {array.shape}, but the weights {values.shape}")
        return cls(values, optimizer, document["optimizer_steps"], best_values, history, fold_losses, fold_values)


def fit(
    network: Trainable,
    batches: Batches,
    validate: Callable[[], float],
    settings: TrainingSettings,
    *,
    total_steps: int | Callable[[], int] | None = None,
    is_over: Callable[[], bool] | None = None,
    start: Snapshot | None = None,
    average_decay: float | None = None,
    validate_first: bool = False,
    fold_losses: Callable[[], Sequence[float]] | None = None,
    on_epoch: Callable[[EpochRecord, Snapshot], None] | None = None,
    on_step: Callable[[int, float], None] | None = None,
    make_steps: MakeSteps | None = None,
) -> Snapshot:
    """Train until the validation loss stops falling; the network ends with its best weights.

    Parameters
    ----------
    network : Trainable
        Its parameters are changed.
    batches : Batches
    validate : callable
        Returns the validation loss of the network as it is.
    settings : TrainingSettings
    total_steps : int or callable, optional
        Steps of the whole training, over which the schedule runs; it may end within an epoch. A callable is asked
        before each epoch. By default ``max_epochs`` whole epochs.
    is_over : callable, optional
        Asked after each step whether the training has to end now, with the validation of what it has become.
    start : Snapshot, optional
        Go on from here; the end is the same, bit for bit, as without the interruption.
    average_decay : float, optional
        Validate and keep an exponential moving average of the weights, of this decay; training goes on with the weights
        themselves. See `kernels.cpu.optim.average_into`.
    validate_first : bool
        Validate the network before its first step too, as epoch 0, and end with those weights if no epoch is better.
    fold_losses : callable, optional
        Called after each `validate`: returns the loss of each fold of the validation data. The weights of the best
        epoch of each are kept in the snapshot; they change nothing else.
    on_epoch : callable, optional
        Called after each epoch, when the network has the weights that were validated.
    on_step : callable, optional
        Called after each optimiser step with their number and the batch's loss, which `float` brings from the GPU.
    make_steps : MakeSteps, optional
        By default `SingleSteps`.

    Raises
    ------
    TrainingError
        When a loss is not finite; the network then has the best weights from before.
    """
    optimizer = Adam(
        network.parameters, network.ops,
        weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip, average_decay=average_decay,
    )  # fmt: skip
    course = _Course(network, optimizer, validate, fold_losses, on_epoch, start)
    steps = (make_steps or SingleSteps)(network, batches, optimizer)
    fixed = settings.max_epochs * batches.steps_per_epoch if total_steps is None else total_steps
    planned = fixed if callable(fixed) else partial(int, fixed)
    ends = is_over or _never
    if validate_first and start is None:
        course.conclude(_Means(math.nan, math.nan, 0.0), time.perf_counter())
    while not _finished(course.history, settings, planned()):
        begun = time.perf_counter()
        means = _train_epoch(steps, settings, course.history, planned(), ends, on_step, network.ops.to_floats)
        course.conclude(means, begun)
        if ends():
            break
    if course.snapshot is None:
        raise TrainingError("Training has no epoch to run; choose max_epochs of at least 1.")
    network.parameters.set_flat(course.snapshot.best_values)
    return course.snapshot


class _Means(NamedTuple):
    """What an epoch's steps were like."""

    train_loss: float
    gradient_norm: float
    learning_rate: float
    """Of the last step"""


class _Course:
    """What is kept of a training from epoch to epoch."""

    def __init__(
        self,
        network: Trainable,
        optimizer: Adam,
        validate: Callable[[], float],
        fold_losses: Callable[[], Sequence[float]] | None,
        on_epoch: Callable[[EpochRecord, Snapshot], None] | None,
        start: Snapshot | None,
    ):
        self._network = network
        self._optimizer = optimizer
        self._validate = validate
        self._fold_losses = fold_losses
        self._on_epoch = on_epoch
        self._best_values = network.ops.to_host(network.parameters.values)
        self.history: tuple[EpochRecord, ...] = ()
        self.snapshot = start
        if start is not None:
            network.parameters.set_flat(start.values)
            optimizer.load_state_dict(start.optimizer, start.optimizer_steps)
            self.history = start.history
            self._best_values = start.best_values

    def conclude(self, means: _Means, begun: float) -> None:
        """Validate the network after an epoch, and record the epoch."""
        network = self._network
        own_values = None
        if self._optimizer.averages:  # the average is what is validated, and takes the place of the weights meanwhile
            own_values = network.ops.to_host(network.parameters.values)
            network.parameters.set_flat(self._optimizer.state_dict()["average"])
        validation_loss = self._validate()
        epoch = _epochs(self.history) + 1 if self._optimizer.steps else 0
        if not math.isfinite(validation_loss + (means.train_loss if epoch else 0.0)):
            network.parameters.set_flat(self._best_values)
            raise TrainingError(_divergence(epoch, means.train_loss, validation_loss))
        best = validation_loss < min((record.validation_loss for record in self.history), default=math.inf)
        record = EpochRecord(
            epoch, self._optimizer.steps, means.train_loss, validation_loss, means.learning_rate, means.gradient_norm,
            best, time.perf_counter() - begun,
        )  # fmt: skip
        self.history = (*self.history, record)
        validated = network.ops.to_host(network.parameters.values)
        values = validated if own_values is None else own_values
        state = self._optimizer.state_dict()
        self._best_values = validated if best else self._best_values
        folds = self._best_of_folds(validated)
        self.snapshot = Snapshot(values, state, self._optimizer.steps, self._best_values, self.history, *folds)
        if self._on_epoch is not None:
            self._on_epoch(record, self.snapshot)
        if own_values is not None:
            network.parameters.set_flat(own_values)

    def _best_of_folds(self, validated: np.ndarray) -> tuple[tuple[float, ...], tuple[np.ndarray, ...]]:
        """Return the least loss of each fold so far, and the weights that had it."""
        losses = tuple(self._fold_losses()) if self._fold_losses is not None else ()
        former = self.snapshot
        if former is None or len(former.fold_losses) != len(losses):
            return losses, (validated,) * len(losses)
        is_better = [loss < least for loss, least in zip(losses, former.fold_losses, strict=True)]
        return (
            tuple(map(min, former.fold_losses, losses)),
            tuple(validated if better else kept for better, kept in zip(is_better, former.fold_values, strict=True)),
        )


def _divergence(epoch: int, train_loss: float, validation_loss: float) -> str:
    if epoch == 0:
        return f"The validation loss is {validation_loss} before the first step; check the weights to start from."
    return (
        f"Training diverged in epoch {epoch} (training loss {train_loss}, validation loss {validation_loss}); "
        "choose a smaller learning_rate or gradient_clip."
    )


def _never() -> bool:
    return False


def _epochs(history: Sequence[EpochRecord]) -> int:
    """Return how many epochs have been trained."""
    return history[-1].epoch if history else 0


def _best_epoch(history: Iterable[EpochRecord]) -> int:
    return max(record.epoch for record in history if record.best)


def _finished(history: Sequence[EpochRecord], settings: TrainingSettings, total_steps: int) -> bool:
    if not history:
        return False
    last = history[-1]
    if last.epoch >= settings.max_epochs or last.step >= total_steps:
        return True
    return last.epoch - _best_epoch(history) >= settings.patience


def _train_epoch(
    steps: Steps,
    settings: TrainingSettings,
    history: tuple[EpochRecord, ...],
    total_steps: int,
    is_over: Callable[[], bool],
    on_step: Callable[[int, float], None] | None,
    to_floats: Callable[[Sequence[float]], list[float]],
) -> _Means:
    """Take the steps of the next epoch."""
    worse_epochs = sum(not record.best for record in history)
    done = history[-1].step if history else 0
    records = []

    def learning_rate(step: int) -> float:
        return learning_rate_at(step, total_steps, settings.learning_rate, settings.schedule, worse_epochs)

    for record in steps.epoch(_epochs(history) + 1, learning_rate, total_steps):
        records.append(record)
        if on_step is not None:
            on_step(done + len(records), record.loss)
        if is_over():
            break
    rates, losses, norms = zip(*records, strict=True)
    return _Means(float(np.mean(to_floats(losses))), float(np.mean(to_floats(norms))), rates[-1])


class SingleSteps:
    """One batch after another through the network's own forward and backward passes.

    Parameters
    ----------
    network : Trainable
    batches : Batches
    optimizer : Adam
    """

    def __init__(self, network: Trainable, batches: Batches, optimizer: Adam):
        self._network = network
        self._batches = batches
        self._optimizer = optimizer

    def epoch(self, number: int, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of an epoch: a `Steps`."""
        optimizer = self._optimizer
        state = None
        for batch in self._batches.epoch(number):
            if optimizer.steps >= total_steps:
                return
            rate = learning_rate(optimizer.steps)
            loss, state = self._network.backpropagate(batch, state, optimizer.steps)
            yield StepRecord(rate, loss, optimizer.step(rate))

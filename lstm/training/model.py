"""What the models have in common: settings, a training that can be interrupted, and a checkpoint."""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from gatecast.data.errors import FormatError, InputError, KindError
from gatecast.lstm.nn.biases import with_both_biases, with_one_bias
from gatecast.lstm.training import checkpoint, epochs
from gatecast.lstm.training.budget import TimeLimit, steps_within
from gatecast.lstm.training.loop import Batches, EpochRecord, MakeSteps, SingleSteps, Snapshot, Trainable, fit
from gatecast.lstm.training.signature import changed_settings

__all__ = ["Arrays", "TrainedModel", "require_checkpoint_options"]

NetworkT = TypeVar("NetworkT", bound=Trainable)
Arrays = dict[str, dict[str, np.ndarray]]
MOST_WEIGHTS = 2**31
"""Of a network; with gradients and the optimiser's moments, that is 32 GiB in float32"""


class TrainedModel(ABC, Generic[NetworkT]):
    """A network with the settings it is made from and a snapshot of its training.

    A model defines how its network is made and what else belongs in its checkpoint; see `_make_network`,
    `_to_checkpoint` and `_restore`.
    """

    kind: ClassVar[str]
    """What checkpoints call the model: the name of its class"""
    settings: Any
    """Frozen and validated; see `lstm.config`"""

    def __init__(self) -> None:
        self.data_hash = ""
        """Content hash of the data it was fitted on"""
        self.total_steps = 0
        self._limit: TimeLimit | None = None
        """Optimiser steps of the whole training; early stopping may leave out the last ones"""
        self.time_share = 1.0
        """Of `max_minutes`: less than 1 for one of several models that follow each other in that time"""
        self._network: NetworkT | None = None
        self._snapshot: Snapshot | None = None

    def __repr__(self) -> str:
        """Show the settings that are not at their defaults, as scikit-learn does."""
        chosen = ", ".join(f"{name}={value!r}" for name, value in changed_settings(self.settings).items())
        return f"{type(self).__name__}({chosen})"

    @classmethod
    def from_settings(cls, settings: Any) -> Self:
        """Make a model from its settings."""
        model = cls()
        model.settings = settings
        return model

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """The record of each epoch."""
        return self._snapshot.history if self._snapshot else ()

    @property
    def best_epoch(self) -> int:
        """Number of the epoch whose weights the model has after `fit`."""
        return self._require_snapshot().best_epoch

    @property
    def epochs(self) -> int:
        """How many epochs it was trained for; `history` may begin with epoch 0, the network before its first step."""
        return self.history[-1].epoch if self.history else 0

    @property
    def seconds_per_epoch(self) -> float:
        """Median wall-clock time of an epoch, validation included; NaN for a model that was loaded.

        The mean would include what the very first epoch compiles.
        """
        timed = [record.seconds for record in self.history if record.epoch and not math.isnan(record.seconds)]
        return statistics.median(timed) if timed else math.nan

    @property
    def seconds_per_step(self) -> float:
        """Wall-clock time of one optimiser step in the median epoch, validation included; NaN for a loaded model."""
        return self.seconds_per_epoch * self.epochs / self.history[-1].step if self.epochs else math.nan

    @property
    def network(self) -> NetworkT:
        """The fitted network.

        Raises
        ------
        InputError
            If training has not completed an epoch yet.
        """
        if self._network is None or self._snapshot is None:
            raise InputError("The model has not been fitted; call fit first.")
        return self._network

    def save(self, path: str | Path, overwrite: bool = False, extra_files: Mapping[str, bytes] | None = None) -> Path:
        """Write the model to a directory that `gatecast.load` reads; see `lstm.training.checkpoint`.

        Parameters
        ----------
        path : path
        overwrite : bool
            False refuses a path that exists.
        extra_files : mapping of name to bytes, optional
            Files to keep with the model, covered by its hash.
        """
        return checkpoint.write(self.contents(extra_files), path, overwrite)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle a fitted model as what `save` writes, since its network belongs to this process."""
        if self._snapshot is None:
            return self.from_settings, (self.settings,)
        return self.from_checkpoint, (self.contents(), f"the copy of a {self.kind}")

    def contents(self, extra_files: Mapping[str, bytes] | None = None) -> checkpoint.Checkpoint:
        """Return what `save` writes."""
        snapshot = self._require_snapshot()
        document, more = self._to_checkpoint()
        # The batches of an epoch are a function of these two; nothing else random is carried along.
        batches = {"seed": self.settings.seed, "next_epoch": self.epochs + 1}
        document = {
            "settings": self.settings.model_dump(mode="json"),
            "data_hash": self.data_hash,
            "total_steps": self.total_steps,
            "training": {**snapshot.to_document(), "batches": batches},
            **document,
        }
        arrays = {
            "model": with_both_biases(self.network.parameters.to_host(), np.zeros_like),
            "optimizer": snapshot.to_arrays(),
            **more,
        }
        return checkpoint.Checkpoint(self.kind, document, arrays, extra_files or {})

    @classmethod
    def from_checkpoint(cls, contents: checkpoint.Checkpoint, path: str | Path, backend: str | None = None) -> Self:
        """Build the model that `save` wrote; `path` is named in errors.

        `backend` is where it computes from now on, by default where it was trained.

        Raises
        ------
        KindError
            It is a model of another class.
        FormatError
            What it holds is not what this class writes; every byte is as it was written, so another Gatecast did.
        """
        if contents.kind != cls.kind:
            raise KindError(f"{path} holds a {contents.kind}, not a {cls.kind}; load it as what it is.")
        document = contents.document
        arrays = contents.arrays
        try:
            settings = document["settings"]
            model = cls(**(settings if backend is None else {**settings, "backend": backend}))
            model.data_hash = document["data_hash"]
            model.total_steps = document.get("total_steps", 0)  # which earlier versions kept of a CharLM alone
            model._restore(document, arrays)
            stored = with_one_bias(arrays["model"])
            _require_weights(model._least_weights(), sum(array.size for array in stored.values()))
            network = model._network = model._make_network()
            network.parameters.load(stored)
            values = network.ops.to_host(network.parameters.values)
            model._snapshot = Snapshot.restore(values, arrays["optimizer"], document["training"])
            model._restore_rest(contents, path, backend)
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            problem = " ".join(str(error).split())  # pydantic's has several lines
            raise FormatError(
                f"{path} was written by an older or newer Gatecast, and this one cannot read its {cls.kind}"
                f" ({problem}); use that Gatecast, or train the model again."
            ) from error
        return model

    def _new_network(self) -> NetworkT:
        """Return `_make_network`, unless it would be too large for any machine.

        Raises
        ------
        InputError
            When it would have more than `MOST_WEIGHTS` weights.
        """
        weights = self._least_weights()
        if weights > MOST_WEIGHTS:
            raise InputError(
                f"These settings make a {self.kind} of {weights:,} weights, and {MOST_WEIGHTS:,} are the most; choose"
                " smaller sizes or fewer layers."
            )
        return self._make_network()

    @abstractmethod
    def _make_network(self) -> NetworkT:
        """Return a network of the model's settings and sizes, its parameters drawn from the seed."""

    @abstractmethod
    def _least_weights(self) -> int:
        """Return roughly how many weights that network has: those of its large parts, counted before it is made."""

    @abstractmethod
    def _to_checkpoint(self) -> tuple[dict[str, Any], Arrays]:
        """Return what `_restore` needs: JSON values, and arrays by file."""

    @abstractmethod
    def _restore(self, document: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Take over what `_to_checkpoint` gave; the network is made afterwards."""

    def _restore_rest(self, contents: checkpoint.Checkpoint, path: str | Path, backend: str | None) -> None:
        """Take over what needs the network."""

    def _plan(self, network: NetworkT, batches: Batches, validate: Callable[[], float], make_steps: MakeSteps) -> int:
        """Return the number of steps to train for: all epochs, or what the time budget has room for."""
        most: int = self._training_settings.max_epochs * batches.steps_per_epoch
        minutes: float | None = self.settings.max_minutes
        if minutes is None:
            return most
        share = minutes * self.time_share
        return min(most, steps_within(share, network, batches, validate, make_steps, self._limit))

    def _train(
        self,
        network: NetworkT,
        batches: Batches,
        validate: Callable[[], float],
        *,
        stopped: Self | None,
        checkpoints: Path | None,
        keep: int,
        on_epoch: Callable[[EpochRecord], None] | None,
        make_steps: MakeSteps = SingleSteps,
        **options: Any,
    ) -> None:
        """Run `lstm.training.loop.fit` and leave a checkpoint in the folder `checkpoints` after each epoch.

        `stopped` is the model to go on from, and `on_epoch` is called with its epochs too; `options` go to `fit`.
        """
        start = self._snapshot = stopped._snapshot if stopped else None
        minutes: float | None = self.settings.max_minutes
        limit = self._limit = None if minutes is None else TimeLimit(60 * minutes * self.time_share)
        validate = validate if limit is None else limit.timed(validate)
        known = stopped.total_steps if stopped else 0
        self.total_steps = known or self._plan(network, batches, validate, make_steps)
        if start is not None and on_epoch is not None:
            network.parameters.set_flat(start.validated_values)
            for record in start.history:
                on_epoch(record)

        def after_epoch(record: EpochRecord, snapshot: Snapshot) -> None:
            self._snapshot = snapshot
            if limit is not None:
                self.total_steps = limit.shortened(self.total_steps, record.step)
            if checkpoints is not None:
                self.save(epochs.epoch_path(checkpoints, record.epoch), overwrite=True)
                epochs.keep_last(checkpoints, keep)
            if on_epoch is not None:
                on_epoch(record)

        if limit is not None:
            limit.note(start.optimizer_steps if start else 0)
        self._snapshot = fit(
            network, batches, validate, self._training_settings,
            total_steps=lambda: self.total_steps, is_over=limit.is_over if limit else None,
            start=start, on_epoch=after_epoch, make_steps=make_steps, **options,
        )  # fmt: skip
        if limit is not None and limit.is_over():
            self.total_steps = min(self.total_steps, self._snapshot.optimizer_steps)

    def _stopped(self, checkpoints: Path | None, resume: bool, data_hash: str) -> Self | None:
        """Return the model that an interrupted training left, or None; without `resume`, clear the folder."""
        if checkpoints is None:
            return None
        if not resume:
            epochs.clear(checkpoints)
            return None
        # An interrupted training may go on with another backend, so the backend is not compared.
        backend = self.settings.backend
        found = epochs.newest(checkpoints, lambda path: self.from_checkpoint(checkpoint.read(path), path, backend))
        if found is None:
            return None
        path, stopped = found
        if stopped.settings != self.settings or stopped.data_hash != data_hash:
            raise checkpoint.CheckpointError(
                f"{path} was trained with other settings or data; train again without resume."
            )
        return stopped

    @property
    def _training_settings(self) -> Any:
        """What `fit` reads: the settings, with nothing left open."""
        return self.settings

    def _require_snapshot(self) -> Snapshot:
        if self._snapshot is None:
            raise InputError("The model has not been fitted; call fit first.")
        return self._snapshot


def _require_weights(needed: int, stored: int) -> None:
    """Raise ValueError if a document declares more weights than are stored, before memory is allocated for them."""
    if needed > stored:
        raise ValueError(f"its sizes make {needed:,} weights or more, but {stored:,} are stored")


def require_checkpoint_options(checkpoints: Path | None, keep: int, resume: bool) -> None:
    """Raise ValueError if `resume` is asked for without a folder, or fewer than one checkpoint is to be kept."""
    if keep < 1 or (resume and checkpoints is None):
        raise ValueError("resume needs the folder in checkpoints, and keep must be at least 1")

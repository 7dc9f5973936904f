"""The progress of a training: a bar in the terminal and a ring on Prefect's dashboard."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from flows.orchestration import artifact_key, create_progress_artifact, update_progress_artifact
from flows.terminal import console
from lstm.train import EpochRecord

UPDATE_SECONDS = 2.0


class TrainingProgress:
    """Shows each epoch as it ends; passed to `lstm.Forecaster.fit_sequences` as ``on_epoch``.

    Parameters
    ----------
    max_epochs : int
        Epochs at most; early stopping may end sooner.
    name : str
        What is trained; the artifact's key, which stays the same from run to run, starts with it.
    """

    def __init__(self, max_epochs: int, name: str = "") -> None:
        self.max_epochs = max_epochs
        self.epochs = 0
        self._begun = time.monotonic()
        self._trained = 0
        terminal = console()
        self._bar = Progress(
            TextColumn("  epoch {task.completed}/{task.total}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
        )
        self._row = self._bar.add_task("starting", total=max_epochs)
        # Typed as if it might be a coroutine; called from a plain function it is not.
        key = artifact_key(name, "training")
        self._artifact = cast(UUID, create_progress_artifact(0.0, key=key, description="Training starts"))
        self._updated = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __call__(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self.epochs = record.epoch
        self._trained += math.isfinite(record.seconds)  # not those that a resumed training reads back
        losses = f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"
        self._bar.update(self._row, completed=record.epoch, description=losses)
        if time.monotonic() - self._updated > UPDATE_SECONDS:
            text = f"Epoch {record.epoch} of {self.max_epochs}: {losses}, at most {self._seconds_left():.0f} s left"
            update_progress_artifact(self._artifact, progress=100 * record.epoch / self.max_epochs, description=text)
            self._updated = time.monotonic()

    def _seconds_left(self) -> float:
        """Return how long the rest takes at the speed so far; early stopping may end it sooner."""
        return (self.max_epochs - self.epochs) * (time.monotonic() - self._begun) / max(self._trained, 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            description = f"Training ended after {self.epochs} of at most {self.max_epochs} epochs"
            update_progress_artifact(self._artifact, progress=100.0, description=description)

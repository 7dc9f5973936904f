"""The progress of long work: a bar in the terminal and a ring on Prefect's dashboard."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from flows.orchestration import create_progress_artifact, update_progress_artifact
from flows.terminal import console
from lstm.train import EpochRecord

UPDATE_SECONDS = 0.5


class TrainingProgress:
    """Shows each epoch as it ends; passed to `lstm.Forecaster.fit_sequences` as ``on_epoch``.

    Parameters
    ----------
    max_epochs : int
        Epochs at most; early stopping may end sooner.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self.epochs = 0
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
        self._artifact = cast(UUID, create_progress_artifact(0.0, key="training", description="Training"))
        self._updated = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __call__(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self.epochs = record.epoch
        losses = f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"
        self._bar.update(self._row, completed=record.epoch, description=losses)
        if time.monotonic() - self._updated > UPDATE_SECONDS:
            update_progress_artifact(self._artifact, progress=100 * record.epoch / self.max_epochs, description=losses)
            self._updated = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            description = f"Training ended after {self.epochs} of at most {self.max_epochs} epochs"
            update_progress_artifact(self._artifact, progress=100.0, description=description)


class FetchProgress:
    """Shows how many symbols have been fetched.

    Parameters
    ----------
    symbols : int
        In all.
    """

    def __init__(self, symbols: int) -> None:
        self._symbols, self._done = symbols, 0
        terminal = console()
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
        )
        self._row = self._bar.add_task("fetching", total=symbols)
        self._artifact = cast(UUID, create_progress_artifact(0.0, key="fetch", description="Fetching"))
        self._updated = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __call__(self, description: str) -> None:
        """Show that one more symbol has been fetched."""
        self._done += 1
        self._bar.update(self._row, completed=self._done, description=description)
        if self._done == self._symbols or time.monotonic() - self._updated > UPDATE_SECONDS:
            update_progress_artifact(self._artifact, 100 * self._done / self._symbols, description)
            self._updated = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

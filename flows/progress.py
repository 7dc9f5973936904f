"""The progress of long work: a bar in the terminal and a ring on Prefect's dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from flows.orchestration import create_progress_artifact, update_progress_artifact
from flows.terminal import console
from lstm.train import EpochRecord

UPDATE_SECONDS = 0.5


class _Progress:
    """A bar in the terminal and a progress artifact, while the block lasts.

    Parameters
    ----------
    unit : str
        What is counted, such as "epoch".
    update_seconds : float
        Between two updates of the artifact, each of which the work waits for.
    work : str
        What it is; the artifact's key is the same in small letters.
    """

    def __init__(self, unit: str, update_seconds: float, work: str = "Training") -> None:
        self._update_seconds, self._work = update_seconds, work
        self.completed, self.total, self._unit = 0, 0, unit
        terminal = console()
        self._bar = Progress(
            TextColumn(f"  {unit} {{task.completed:,}}/{{task.total:,}}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
        )
        self._row = self._bar.add_task("starting", total=1)
        # Typed as if it might be a coroutine; called from a plain function it is not.
        self._artifact = cast(UUID, create_progress_artifact(0.0, key=work.lower(), description=work))
        self._updated = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def show(self, completed: int, total: int, description: str) -> None:
        """Show how far the work is."""
        self.completed, self.total = completed, total
        self._bar.update(self._row, completed=completed, total=total, description=description)
        if time.monotonic() - self._updated > self._update_seconds:
            update_progress_artifact(self._artifact, progress=100 * completed / total, description=description)
            self._updated = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            description = f"{self._work} ended after {self.completed:,} of at most {self.total:,} {self._unit}s"
            update_progress_artifact(self._artifact, progress=100.0, description=description)


def describe_losses(record: EpochRecord) -> str:
    """Return the losses of an epoch in a few words."""
    return f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"


class TrainingProgress(_Progress):
    """Shows each epoch as it ends; passed to `lstm.Forecaster.fit_sequences` as ``on_epoch``.

    Parameters
    ----------
    max_epochs : int
        Epochs at most; early stopping may end sooner.
    describe : callable
        Turns a record into a few words.
    """

    def __init__(self, max_epochs: int, describe: Callable[[EpochRecord], str] = describe_losses) -> None:
        super().__init__("epoch", UPDATE_SECONDS)
        self.total, self._describe = max_epochs, describe
        self._bar.update(self._row, total=max_epochs)

    def __call__(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self.show(record.epoch, self.total, self._describe(record))


class StepProgress(_Progress):
    """Shows the steps of a training whose epochs are long."""

    def __init__(self) -> None:
        super().__init__("step", 10 * UPDATE_SECONDS)
        self._validation = ""

    def after_step(self, step: int, total: int, loss: float) -> None:
        """Show a step."""
        self.show(step, total, f"loss {loss:.3f}{self._validation}")

    def after_epoch(self, record: EpochRecord) -> None:
        """Keep the validation loss in view."""
        self._validation = f"  validation {record.validation_loss:.3f}"


class FetchProgress(_Progress):
    """Shows how many symbols have been fetched.

    Parameters
    ----------
    symbols : int
        In all.
    """

    def __init__(self, symbols: int) -> None:
        super().__init__("symbol", UPDATE_SECONDS, "Fetching")
        self.total = symbols
        self._bar.update(self._row, total=symbols)

    def __call__(self, description: str) -> None:
        """Show that one more symbol has been fetched."""
        self.show(self.completed + 1, self.total, description)

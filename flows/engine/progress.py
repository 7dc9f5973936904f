"""The progress of long work: a bar in the terminal and a ring on Prefect's dashboard."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gatecast.flows.engine.artifacts import create_progress_artifact, update_progress_artifact
from gatecast.flows.engine.orchestration import artifact_key
from gatecast.flows.engine.terminal import console
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import TrainedModel

UPDATE_SECONDS = 2.0


class _Progress:
    """A bar in the terminal and a progress artifact, while the block lasts.

    Parameters
    ----------
    unit : str
        What is counted, such as "epoch".
    update_seconds : float
        Between two updates of the artifact; the work waits for each of them.
    key : str
        Of the artifact; it stays the same from run to run.
    work : str
        What it is.
    """

    def __init__(self, unit: str, update_seconds: float, key: str, work: str = "Training") -> None:
        self._update_seconds = update_seconds
        self._work = work
        self._unit = unit
        self.completed = 0
        self.total = 0
        self._latest = ""
        self._begun = time.monotonic()
        self._done_before = -1  # not known yet
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
        self._artifact = create_progress_artifact(key=key, description=f"{work} starts")
        self._updated = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def show(self, completed: int, total: int, description: str, counts: bool = True) -> None:
        """Show how far the work is; `counts` says that this run did it, and not an earlier run that it continues."""
        self.completed = completed
        self.total = total
        self._latest = description
        if not counts or self._done_before < 0:
            self._done_before = completed - counts
        self._bar.update(self._row, completed=completed, total=total, description=description)
        if time.monotonic() - self._updated > self._update_seconds:
            text = f"{self._unit.capitalize()} {completed:,} of {total:,}: {description}"
            text += f", at most {self._seconds_left():.0f} s left"
            update_progress_artifact(self._artifact, progress=100 * completed / total, description=text)
            self._updated = time.monotonic()

    def _seconds_left(self) -> float:
        """Return how long the rest takes at the average speed so far; early stopping may end it sooner."""
        done = self.completed - self._done_before
        return (self.total - self.completed) * (time.monotonic() - self._begun) / max(done, 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            description = f"{self._work} ended after {self.completed:,} of at most {self.total:,} {self._unit}s"
            description += f": {self._latest}" if self._latest else ""
            update_progress_artifact(self._artifact, progress=100.0, description=description)


def describe_losses(record: EpochRecord) -> str:
    """Return the losses of an epoch in a few words."""
    if record.epoch == 0:
        return f"at the beginning  validation {record.validation_loss:.4f}"
    return f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"


class TrainingProgress(_Progress):
    """Shows each epoch as it ends; passed to `gatecast.Forecaster.fit_sequences` as ``on_epoch``.

    Parameters
    ----------
    model : TrainedModel
        What is trained: for so many epochs at most as its settings and, once it knows them, its steps allow.
    name : str
        Of the model; the artifact's key starts with it.
    describe : callable
        Turns a record into a few words.
    """

    def __init__(
        self, model: TrainedModel[Any], name: str, describe: Callable[[EpochRecord], str] = describe_losses
    ) -> None:
        super().__init__("epoch", UPDATE_SECONDS, artifact_key(name, "training"))
        self._model = model
        self._members = getattr(model.settings, "n_models", 1)
        self._epochs = 0
        self.total = self._members * model.settings.max_epochs
        self._describe = describe
        self._bar.update(self._row, total=self.total)

    def __call__(self, record: EpochRecord) -> None:
        """Show an epoch."""
        if record.step:
            self._epochs += 1
            of_one = -(-self._model.total_steps * record.epoch // record.step)
            self.total = min(self.total, self._members * of_one)
        self.show(self._epochs, self.total, self._describe(record), counts=math.isfinite(record.seconds))


class StepProgress(_Progress):
    """Shows the steps of a training whose epochs are long.

    Parameters
    ----------
    name : str
        What is trained; the artifact's key starts with it.
    """

    def __init__(self, name: str) -> None:
        super().__init__("step", 2 * UPDATE_SECONDS, artifact_key(name, "training"))
        self._validation = ""

    def after_step(self, step: int, total: int, loss: float) -> None:
        """Show a step."""
        self.show(step, total, f"loss {loss:.3f}{self._validation}")

    def after_epoch(self, record: EpochRecord) -> None:
        """Show the validation loss from now on."""
        self._validation = f"  validation {record.validation_loss:.3f}"


class FetchProgress(_Progress):
    """Shows how many symbols have been fetched.

    Parameters
    ----------
    symbols : int
        In all.
    """

    def __init__(self, symbols: int) -> None:
        super().__init__("symbol", UPDATE_SECONDS, "fetch", "Fetching")
        self.total = symbols
        self._bar.update(self._row, total=symbols)

    def __call__(self, description: str) -> None:
        """Show that one more symbol has been fetched."""
        self.show(self.completed + 1, self.total, description)

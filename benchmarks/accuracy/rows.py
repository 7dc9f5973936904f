"""A row of the table: what a system came to on a task."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.naive2 import Naive2
from benchmarks.accuracy.systems import System
from benchmarks.accuracy.task import QUANTILES, Budget, Forecasts, Measure, Task
from benchmarks.machine import processor_name, versions
from benchmarks.measure import OutOfTimeError
from gatecast.data.errors import InputError
from gatecast.data.store import read_json, write_json
from gatecast.lstm.forecasting.metrics import owa
from gatecast.lstm.forecasting.probability import coverage, quantile_name, weighted_quantile_loss
from gatecast.lstm.forecasting.scores import score
from gatecast.lstm.forecasting.uncertainty import interval_names

__all__ = ["Row", "Table", "keep", "measure", "processor_limit", "read_table", "score_forecasts"]

_INTERVAL = 80
"""Percent between the first and the last of `QUANTILES`"""


class Row(BaseModel):
    """What a system came to on a task, from one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    task_title: str
    ranked_by: Measure
    """The measure that puts the systems of the task in order"""
    system: str
    title: str
    """The system, for people"""
    seed: int | None = None
    """None where the system needs none"""
    scores: dict[Measure, float] = {}
    """Those of the task's measures that there are"""
    seconds: float = 0.0
    """Of the processor, all threads and child processes together, to fit and to forecast the whole test"""
    not_run: str = ""
    """Why there are no scores"""
    processor: str
    threads: int
    versions: dict[str, str | None]
    note: str = ""
    bound: str = ""
    """What the training was cut short by"""

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What there is one row of."""
        return self.task, self.system, self.seed


class Table(BaseModel):
    """The rows of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[Row, ...] = ()

    def with_row(self, row: Row) -> Table:
        """Return the table with a row in the place of the older one of its key.

        A row that could not be run takes no other's place: the older one has been run somewhere else.
        """
        if row.not_run and any(old.key == row.key for old in self.rows):
            return self
        return Table(rows=(*(old for old in self.rows if old.key != row.key), row))


def read_table(path: Path) -> Table:
    """Read the rows of a file; none where it is not there."""
    return Table.model_validate(read_json(path)) if path.exists() else Table()


def keep(path: Path, row: Row) -> None:
    """Put a row into a file, as `Table.with_row` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, read_table(path).with_row(row).model_dump(mode="json"))


def measure(
    system: System, task: Task, budget: Budget, *, threads: int, seed: int = 0, minutes: float | None = None
) -> Row:
    """Let a system forecast the test of a task, and score it.

    Parameters
    ----------
    system, task, budget
    threads : int
        That have been set; it is written down alone.
    seed : int
        Of a system that needs one.
    minutes : float, optional
        Of the processor, after which the system is stopped.

    Returns
    -------
    Row
        Without scores where the system cannot be run here, or takes longer.
    """
    row = Row(
        task=task.name,
        task_title=task.title,
        ranked_by=task.measures[0],
        system=system.name,
        title=system.title,
        seed=seed if system.is_random else None,
        processor=processor_name(),
        threads=threads,
        versions=versions(),
    )
    begun = _processor_seconds()
    try:
        with processor_limit(minutes):
            forecasts = system.forecast(task, budget, seed)
    except (InputError, OutOfTimeError) as error:
        return row.model_copy(update={"not_run": str(error)})
    seconds = _processor_seconds() - begun
    return row.model_copy(
        update={
            "scores": score_forecasts(forecasts, task),
            "seconds": seconds,
            "note": forecasts.note,
            "bound": forecasts.bound,
        }
    )


def _processor_seconds() -> float:
    """Return what this process and its children that have ended have used of the processor."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + of_children.ru_utime + of_children.ru_stime


@contextmanager
def processor_limit(minutes: float | None) -> Iterator[None]:
    """Raise `OutOfTimeError` once the process has used so many minutes of the processor; None for no limit."""

    def stop(*_: object) -> None:
        raise OutOfTimeError(f"It takes more than {minutes:g} minutes of the processor.")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 60 * (minutes or 0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def score_forecasts(forecasts: Forecasts, task: Task) -> dict[Measure, float]:
    """Return those of the task's measures that the forecasts have.

    A point forecast is scored as though each of its quantiles were that point: its weighted quantile loss is the sum of
    absolute errors by that of absolute actuals. It has no coverage.
    """
    predictions = task.keys.assign(y_hat=forecasts.y_hat)
    found = _point_scores(predictions, task)
    if "OWA" in task.measures:
        naive2 = Naive2(task.seasons[0]).forecast(task.panel, task.origins, task.horizon).ravel()
        theirs = _point_scores(task.keys.assign(y_hat=naive2), task)
        found["OWA"] = owa(found["sMAPE"], found["MASE"], theirs["sMAPE"], theirs["MASE"])
    quantiles = forecasts.quantiles
    if quantiles is None:
        quantiles = np.repeat(forecasts.y_hat[:, None], len(QUANTILES), axis=1)
    for number, quantile in enumerate(QUANTILES):
        predictions[quantile_name("y_hat", quantile)] = quantiles[:, number]
    found["weighted quantile loss"] = weighted_quantile_loss(predictions, "y_hat", QUANTILES)
    if forecasts.quantiles is not None:
        low, high = interval_names("y_hat", _INTERVAL)
        predictions[low], predictions[high] = quantiles[:, 0], quantiles[:, -1]
        found["coverage"] = float(coverage(predictions, "y_hat", _INTERVAL).mean())
    return {name: found[name] for name in task.measures if name in found}


def _point_scores(predictions: pd.DataFrame, task: Task) -> dict[Measure, float]:
    overall = score(predictions, ["y_hat"], task.scales).overall.iloc[0]
    columns: tuple[Measure, ...] = ("MASE", "sMAPE", "MSE", "RMSE")
    return {name: float(overall[name.lower()]) for name in columns}

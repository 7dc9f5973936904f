"""What is to be forecast, and the rows that may be known for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.scores import Scales

__all__ = ["QUANTILES", "Budget", "Forecasts", "Measure", "Task"]

Measure = Literal["MASE", "sMAPE", "OWA", "MSE", "RMSE", "weighted quantile loss", "coverage"]

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Those of the weighted quantile loss; the first and the last bound the interval of which the coverage is measured"""


class Budget(NamedTuple):
    """How long a network may train at most."""

    epochs: int | None = None
    """Of Gatecast; as many as its settings say where None"""
    steps: int | None = None
    """Of neuralforecast, likewise"""


class Forecasts(NamedTuple):
    """What a system forecasts for the rows of `Task.keys`."""

    y_hat: np.ndarray
    """(n,)"""
    quantiles: np.ndarray | None = None
    """(n, len(QUANTILES)); None where the system has none"""
    note: str = ""
    bound: str = ""
    """What the training was cut short by, where the budget does so"""


@dataclass(frozen=True, eq=False)
class Task:
    """Forecasts to be made, and how they are scored.

    Attributes
    ----------
    name : str
        For the command line.
    title : str
        For people.
    frame : DataFrame
        ``unique_id``, ``ds``, ``y`` and any covariates, the test rows included.
    freq : str
        Step of ``ds``, as pandas writes it.
    horizon : int
        Steps ahead.
    seasons : tuple of int
        Rows of a season, the one that scales errors first; empty where there is none.
    window : int
        Rows that a system which has to be told looks back upon.
    train_end, validation_end : Timestamp
        Last rows of training and of validation; the test follows.
    fitted_until : Timestamp
        Last row that a system without a validation is fitted on, and from which errors are scaled.
    step_size : int
        Rows from one origin of the test to the next.
    measures : tuple of str
        What is reported, the one that ranks the systems first.
    """

    name: str
    title: str
    frame: pd.DataFrame
    freq: str
    horizon: int
    seasons: tuple[int, ...]
    window: int
    train_end: pd.Timestamp
    validation_end: pd.Timestamp
    fitted_until: pd.Timestamp
    measures: tuple[Measure, ...]
    step_size: int = 1

    @cached_property
    def panel(self) -> Panel:
        """The series, fitted on up to `fitted_until`."""
        return Panel.of_frame(self.frame, self.fitted_until)

    @cached_property
    def scales(self) -> Scales:
        """What errors are divided by."""
        return Scales.of_panel(self.panel, self.seasons[0] if self.seasons else 1)

    @cached_property
    def keys(self) -> pd.DataFrame:
        """``unique_id``, ``cutoff``, ``ds``, ``step`` and ``y`` of every row that is to be forecast."""
        panel, ahead = self.panel, np.arange(1, self.horizon + 1)
        origins = np.repeat(self.origins, self.horizon)
        rows = (self.origins[:, None] + ahead).ravel()
        return pd.DataFrame(
            {
                "unique_id": panel.unique_ids[panel.series[origins]],
                "cutoff": panel.ds[origins],
                "ds": panel.ds[rows],
                "step": np.tile(ahead, len(self.origins)),
                "y": panel.y[rows],
            }
        )

    @cached_property
    def origins(self) -> np.ndarray:
        """Rows of the panel that forecasts are made from, series by series."""
        panel, parts = self.panel, []
        for rows, _ in panel.each():
            first = rows.start + int(panel.ds[rows].searchsorted(self.validation_end, side="right")) - 1
            parts.append(np.arange(first, rows.stop - self.horizon, self.step_size))
        return np.concatenate(parts)

    def part(self, series: int) -> Task:
        """Return the task of its first series alone, for trying things."""
        some = self.frame["unique_id"].unique()[:series]
        return replace(self, frame=self.frame[self.frame["unique_id"].isin(some)].reset_index(drop=True))

"""Gatecast on a task: its default, and the setting that the validation rows choose."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.task import Budget, Forecasts, Task
from gatecast.data.sequences.sequences import Sequences, SequenceSettings, build_sequences
from gatecast.data.sequences.splits import TEST, VALIDATION, SplitSettings
from gatecast.lstm.forecasting.forecaster import Forecaster

__all__ = ["forecast_best", "forecast_default"]


def forecast_default(task: Task, budget: Budget) -> Forecasts:
    """Forecast with a `Forecaster` of which nothing but the horizon is chosen."""
    model, sequences = _train(task, {}, budget)
    return Forecasts(_forecast_test(model, sequences, task))


def forecast_best(task: Task, budget: Budget) -> Forecasts:
    """Forecast with the one of the task's candidates whose error on the validation rows is least.

    Series count alike, by the absolute scaled error; by the squared one where the task is scored by squared errors.
    """
    trained, begun = {}, time.perf_counter()
    for name, settings in task.candidates.items():
        model, sequences = _train(task, settings, budget)
        trained[name] = (_validation_error(model, sequences, task), model, sequences)
    seconds = time.perf_counter() - begun
    best = min(trained, key=lambda name: trained[name][0])
    _, model, sequences = trained[best]
    note = f"{best}; the best of {len(trained)} settings on the validation rows, found in {seconds:.0f} s"
    return Forecasts(_forecast_test(model, sequences, task), note=note)


def _train(task: Task, settings: Mapping[str, Any], budget: Budget) -> tuple[Forecaster, Sequences]:
    limit = {} if budget.epochs is None else {"max_epochs": budget.epochs}
    model = Forecaster(horizon=task.horizon, **{**settings, **limit})
    # Every row after a boundary is a target: that is how others score these tasks.
    split = SplitSettings(train_end=task.train_end.date(), validation_end=task.validation_end.date(), purge=0)
    chosen = SequenceSettings(lookback=model.settings.lookback, horizon=task.horizon, split=split)
    sequences = build_sequences(task.frame, chosen)
    return model.fit_sequences(sequences), sequences


def _validation_error(model: Forecaster, sequences: Sequences, task: Task) -> float:
    rows = model.predict_windows(sequences, VALIDATION)
    scale = rows["unique_id"].map(task.scales.absolute)
    error = (rows["y_hat"] - rows["y"]).abs() / scale
    if task.measures[0] in ("MSE", "RMSE"):
        error **= 2
    return float(error.groupby(rows["unique_id"]).mean().mean())


def _forecast_test(model: Forecaster, sequences: Sequences, task: Task) -> np.ndarray:
    """Return the forecasts in the order of `Task.keys`."""
    index = ["unique_id", "cutoff", "step"]
    y_hat = model.predict_windows(sequences, TEST).set_index(index)["y_hat"]
    return y_hat.reindex(pd.MultiIndex.from_frame(task.keys[index])).to_numpy()

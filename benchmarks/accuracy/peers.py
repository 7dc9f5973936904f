"""neuralforecast's LSTM on a task, in the environment that `make .venv-bench/installed` makes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.gatecast import chosen_settings
from benchmarks.accuracy.task import Budget, Forecasts, Task
from benchmarks.measure import installed
from gatecast.data.errors import InputError

__all__ = ["default_sizes", "forecast_neuralforecast", "gatecast_sizes"]


def default_sizes(task: Task) -> Mapping[str, Any]:
    """Return no settings: a window of three times the horizon, and whatever else the library chooses."""
    return {}


def gatecast_sizes(task: Task) -> Mapping[str, Any]:
    """Return the sizes that Gatecast's default has on a task; the library's own loss is the absolute error too."""
    ours = chosen_settings(task)
    return {
        "input_size": ours.window,
        "encoder_n_layers": ours.num_layers,
        "encoder_hidden_size": ours.hidden_size,
        "decoder_layers": 1,  # a linear head on the last hidden state
        "learning_rate": ours.learning_rate,
    }


def forecast_neuralforecast(
    sizes: Callable[[Task], Mapping[str, Any]], task: Task, budget: Budget, seed: int
) -> Forecasts:
    """Train the library's LSTM once, on the rows that Gatecast is trained on, and forecast from every origin.

    Without a scaler of whole series, which the library would fit on the test rows too; its windows are scaled each by
    itself, as it chooses.
    """
    if not installed("neuralforecast"):
        raise InputError("neuralforecast is not installed; run make .venv-bench/installed, and .venv-bench/bin/python.")
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    limit = {} if budget.steps is None else {"max_steps": budget.steps}
    model = LSTM(
        h=task.horizon, **limit, **sizes(task), random_seed=seed, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    origins = np.bincount(task.panel.series[task.origins])
    ds = task.panel.ds
    validation_rows = int(((ds > task.train_end) & (ds <= task.validation_end)).sum()) // len(task.panel)
    result = NeuralForecast([model], freq=task.freq).cross_validation(
        task.frame[["unique_id", "ds", "y"]],
        n_windows=None,
        step_size=task.step_size,
        val_size=validation_rows,
        test_size=task.horizon + int(origins.max() - 1) * task.step_size,
    )
    index = ["unique_id", "cutoff", "ds"]
    y_hat = result.set_index(index)["LSTM"].reindex(pd.MultiIndex.from_frame(task.keys[index]))
    return Forecasts(y_hat.to_numpy(np.float64), bound="" if budget.steps is None else f"{budget.steps} steps")

"""Gatecast on a task: its default, five of it, and the setting that the validation rows choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.task import QUANTILES, Budget, Forecasts, Task
from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import Sequences, build_sequences
from gatecast.data.sequences.splits import TEST, VALIDATION, SplitSettings
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.recipe import recipe_of, sequence_settings
from gatecast.lstm.forecasting.uncertainty import quantile_name

__all__ = ["candidates", "chosen_settings", "forecast_best", "forecast_default", "forecast_ensemble"]

_MODELS = 5
"""Of the ensemble"""


def chosen_settings(task: Task) -> ForecasterSettings:
    """Return what the default becomes by the training rows of a task."""
    return recipe_of(ForecasterSettings(horizon=task.horizon), task.frame, _split(task)).settings


def candidates(task: Task) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings that the best one is chosen from: one rule for all tasks, which knows no task's name.

    The default; twice its units; and the loss that the task is scored by or, where the default has that already, half
    its lookback in whole seasons.
    """
    default = chosen_settings(task)
    third: dict[str, Any] = {"loss": "mse"}
    if not _is_squared(task):
        season = task.seasons[0] if task.seasons else 1
        third = {"lookback": max(default.window // 2 // season, 1) * season}
    return {"default": {}} | {
        _written(settings): settings for settings in ({"hidden_size": 2 * default.hidden_size}, third)
    }


def forecast_default(task: Task, budget: Budget, seed: int) -> Forecasts:
    """Forecast with a `Forecaster` of which nothing but the horizon is chosen."""
    model, sequences = _train(task, {}, budget, seed)
    return Forecasts(*_forecast_test(model, sequences, task), bound=_bound(budget))


def forecast_ensemble(task: Task, budget: Budget, seed: int) -> Forecasts:
    """Forecast with the mean of networks of the default, of this seed and those after it."""
    model, sequences = _train(task, {"n_models": _MODELS}, budget, seed)
    return Forecasts(*_forecast_test(model, sequences, task), bound=_bound(budget))


def forecast_best(task: Task, budget: Budget, seed: int) -> Forecasts:
    """Forecast with the one of the `candidates` whose error on the validation rows is least.

    Series count alike, by the absolute scaled error; by the squared one where the task is scored by squared errors.
    None of the candidates learns the validation rows; the chosen one is trained again where the default would learn
    them. A candidate that the rows are too few for is left out.

    Raises
    ------
    InputError
        The rows are too few for every candidate.
    """
    trained, refused = {}, []
    tried = candidates(task)
    for name, settings in tried.items():
        try:
            model, sequences = _train(task, {**settings, "fit_until": "training"}, budget, seed)
        except InputError as error:
            refused.append(error)
        else:
            trained[name] = (_validation_error(model, sequences, task), model, sequences)
    if not trained:
        raise refused[-1]
    best = min(trained, key=lambda name: trained[name][0])
    _, model, sequences = trained[best]
    if _may_learn_validation(task):
        model, sequences = _train(task, tried[best], budget, seed)
    note = f"{best} (of {len(trained)})"
    return Forecasts(*_forecast_test(model, sequences, task), note=note, bound=_bound(budget))


def _written(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def _bound(budget: Budget) -> str:
    return "" if budget.epochs is None else f"at most {budget.epochs} epoch{'s' * (budget.epochs > 1)}"


def _train(task: Task, settings: Mapping[str, Any], budget: Budget, seed: int) -> tuple[Forecaster, Sequences]:
    limit = {} if budget.epochs is None else {"max_epochs": budget.epochs}
    # Where the protocol fits other systems on the training rows alone, so is this one.
    fit_until = "auto" if _may_learn_validation(task) else "training"
    model = Forecaster(horizon=task.horizon, seed=seed, **{"fit_until": fit_until, **settings, **limit})
    sequences = build_sequences(task.frame, sequence_settings(model.settings, task.frame, _split(task)))
    return model.fit_sequences(sequences), sequences


def _split(task: Task) -> SplitSettings:
    # Every row after a boundary is a target: that is how others score these tasks.
    return SplitSettings(train_end=task.train_end.date(), validation_end=task.validation_end.date(), purge=0)


def _may_learn_validation(task: Task) -> bool:
    return task.fitted_until > task.train_end


def _is_squared(task: Task) -> bool:
    return task.measures[0] in ("MSE", "RMSE")


def _validation_error(model: Forecaster, sequences: Sequences, task: Task) -> float:
    rows = model.predict_windows(sequences, VALIDATION)
    scale = rows["unique_id"].map(task.scales.absolute)
    error = (rows["y_hat"] - rows["y"]).abs() / scale
    if _is_squared(task):
        error **= 2
    return float(error.groupby(rows["unique_id"]).mean().mean())


def _forecast_test(model: Forecaster, sequences: Sequences, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return the forecasts and their quantiles in the order of `Task.keys`."""
    index = ["unique_id", "cutoff", "step"]
    rows = model.predict_windows(sequences, TEST, quantiles=QUANTILES).set_index(index)
    rows = rows.reindex(pd.MultiIndex.from_frame(task.keys[index]))
    names = [quantile_name("y_hat", quantile) for quantile in QUANTILES]
    return rows["y_hat"].to_numpy(), rows[names].to_numpy()

"""What is compared on a task: Gatecast, baselines, statistical models and neuralforecast's LSTM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.accuracy.gatecast import forecast_best, forecast_default, forecast_ensemble
from benchmarks.accuracy.naive2 import Naive2
from benchmarks.accuracy.peers import default_sizes, forecast_neuralforecast, gatecast_sizes
from benchmarks.accuracy.task import QUANTILES, Budget, Forecasts, Task
from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.baselines import HAR, Baseline, ExponentialMean, LastValue, SeasonalNaive
from gatecast.lstm.forecasting.ridge import Ridge
from gatecast.lstm.forecasting.statistical import Statistical

__all__ = ["EVERYWHERE", "System", "systems_for"]

EVERYWHERE: Mapping[str, str] = MappingProxyType(
    {
        "gatecast": "Gatecast, default",
        "gatecast_ensemble": "Gatecast, ensemble of 5",
        "gatecast_best": "Gatecast, best setting",
        "ridge": Ridge.label,
        "auto_ets": "AutoETS",
        "auto_theta": "AutoTheta",
        "neuralforecast": "neuralforecast LSTM, default",
        "neuralforecast_sizes": "neuralforecast LSTM, Gatecast's sizes",
    }
)
"""Name and title of the systems that every task has; a table without one of them says so"""

_MOST_STATISTICAL_ORIGINS = 3_000
"""Of all series together; a statistical model goes through a series again for each"""


class System(NamedTuple):
    """One system on a task.

    Attributes
    ----------
    name : str
        For the command line.
    title : str
        For people.
    forecast : callable
        ``forecast(task, budget, seed)``; `InputError` where it cannot be run here.
    is_random : bool
        Whether the seed makes a difference.
    """

    name: str
    title: str
    forecast: Callable[[Task, Budget, int], Forecasts]
    is_random: bool = False


def systems_for(task: Task) -> Iterator[System]:
    """Give the systems that make sense for a task."""
    season = task.seasons[0] if task.seasons else 1
    ours = {"gatecast": forecast_default, "gatecast_ensemble": forecast_ensemble, "gatecast_best": forecast_best}
    for name, forecast in ours.items():
        yield System(name, EVERYWHERE[name], forecast, is_random=True)
    for baseline in _baselines(task, season):
        yield System(baseline.name, baseline.label, partial(_forecast_baseline, baseline))
    for model in (Statistical("AutoETS", season), Statistical("AutoTheta", season)):
        yield System(model.name, model.label, partial(_forecast_statistical, model))
    for name, sizes in (("neuralforecast", default_sizes), ("neuralforecast_sizes", gatecast_sizes)):
        yield System(name, EVERYWHERE[name], partial(forecast_neuralforecast, sizes), is_random=True)


def _baselines(task: Task, season: int) -> Iterator[Baseline]:
    yield from map(SeasonalNaive, task.seasons)
    if not task.seasons:
        yield LastValue()
    if task.freq == "B":
        yield from (HAR(), ExponentialMean())
    yield Ridge(task.window)
    if "OWA" in task.measures:
        yield Naive2(season)


def _forecast_baseline(baseline: Baseline, task: Task, budget: Budget, seed: int) -> Forecasts:
    return Forecasts(baseline.forecast(task.panel, task.origins, task.horizon).ravel())


def _forecast_statistical(model: Statistical, task: Task, budget: Budget, seed: int) -> Forecasts:
    if len(task.origins) > _MOST_STATISTICAL_ORIGINS:
        raise InputError(f"{model.label} would take hours from {len(task.origins):,} origins.")
    quantiles = model.forecast_quantiles(task.panel, task.origins, task.horizon, QUANTILES)
    quantiles = quantiles.reshape(-1, len(QUANTILES))
    return Forecasts(quantiles[:, QUANTILES.index(0.5)], quantiles)

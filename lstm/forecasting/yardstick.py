"""What a model is held against, and how: where a caller begins.

>>> panel = Panel.of_frame(frame, train_end)                    # unique_id, ds, y, and the last row that is trained on
>>> seasons = find_seasons(panel)                               # or given_seasons((24, 168), panel)
>>> chosen = usual_baselines(seasons, window=model.settings.lookback)
>>> forecasts = forecast(chosen, frame, predictions, train_end) # the rows that the model has forecast
>>> predictions = predictions.join(forecasts.values)
>>> scores = score(predictions, ["lstm", *forecasts.values], Scales.of_panel(panel, seasons.main))
>>> judge(scores, "lstm", labels(chosen)).sentence
'The model loses to seasonal naive 24 (MASE 1.19 against 2.08), better on 12 % of 414 series and at 0 of 48 steps; ...'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gatecast.lstm.forecasting.baselines import (
    HAR,
    Baseline,
    Drift,
    ExponentialMean,
    LastValue,
    SeasonalNaive,
    WindowMean,
    Zero,
)
from gatecast.lstm.forecasting.ridge import Ridge
from gatecast.lstm.forecasting.seasons import Seasons
from gatecast.lstm.forecasting.statistical import Statistical

__all__ = ["labels", "usual_baselines"]


def usual_baselines(
    seasons: Seasons,
    window: int,
    *,
    naive: Literal["last", "zero"] = "last",
    is_volatility: bool = False,
    models: Iterable[Literal["AutoETS", "AutoTheta", "AutoARIMA"]] = (),
) -> tuple[Baseline, ...]:
    """Return the baselines of every evaluation.

    Parameters
    ----------
    seasons : Seasons
        Each period is a seasonal naive forecast.
    window : int
        Rows that the mean and the ridge regression look back upon: those of the model.
    naive : {"last", "zero"}
        The naive forecast: the last value, or zero for what is a change already.
    is_volatility : bool
        Add what volatilities are usually forecast by: HAR and the exponential mean.
    models : iterable of str
        Add models of statsforecast, which the extra ``gatecast[baselines]`` installs.
    """
    chosen: list[Baseline] = [LastValue() if naive == "last" else Zero()]
    chosen += [SeasonalNaive(period) for period in seasons.periods]
    chosen += [WindowMean(window), Drift(), Ridge(window)]
    if is_volatility:
        chosen += [HAR(), ExponentialMean()]
    return (*chosen, *(Statistical(model, seasons.main) for model in models))


def labels(baselines: Iterable[Baseline]) -> dict[str, str]:
    """Return what people call the columns of baselines."""
    return {baseline.name: baseline.label for baseline in baselines}

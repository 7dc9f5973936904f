"""What a model is held against on given data: seasons, baselines, and the scale of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.flows.judging.targets import target_of, told_frame
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.baselines import Baseline, BaselineForecasts, forecast
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.recipe import choose
from gatecast.lstm.forecasting.scores import Scales, Scores, score
from gatecast.lstm.forecasting.seasons import Seasons, find_seasons, given_seasons
from gatecast.lstm.forecasting.statistical import statsforecast_is_installed
from gatecast.lstm.forecasting.yardstick import labels, usual_baselines


def require_baselines(settings: RetrainSettings) -> None:
    """Raise InputError if settings ask for baselines that are not installed, before anything is trained."""
    if settings.baselines and not statsforecast_is_installed():
        raise InputError(
            f"{', '.join(settings.baselines)} need the package statsforecast; run: pip install 'gatecast[baselines]'."
        )


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Baselines that are fitted on the rows that a model was trained on, and forecast what it forecasts.

    Attributes
    ----------
    series : DataFrame
        ``unique_id``, ``ds`` and ``y``, in the unit that people read.
    train_end : Timestamp or Series of Timestamp by unique_id
        Last training row, of all series or of each.
    seasons : Seasons
        Set by the user, or found in the training rows.
    baselines : tuple of Baseline
    """

    series: pd.DataFrame
    train_end: pd.Timestamp | pd.Series
    seasons: Seasons
    baselines: tuple[Baseline, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, settings: RetrainSettings, train_end: pd.Timestamp | pd.Series) -> Yardstick:
        """Choose the baselines of a target and the seasons of its series.

        Parameters
        ----------
        frame : DataFrame
            Bars or series frame.
        settings : RetrainSettings
            Resolved.
        train_end : Timestamp or Series of Timestamp by unique_id
            Last training row, of all series or of each.
        """
        series = told_frame(frame, settings)
        panel = Panel.of_frame(series, train_end)
        given = settings.seasonality
        seasons = find_seasons(panel) if given is None else given_seasons(given, panel)
        target = target_of(settings)
        chosen = usual_baselines(
            seasons,
            choose(settings.model, panel).settings.window,
            # What is told as a level, such as a price, stays where it is if nothing changes.
            naive="last" if target.told else target.naive,
            is_volatility=settings.target == "range",
            models=settings.baselines,
        )
        return cls(series, train_end, seasons, chosen)

    def until(self, train_end: pd.Timestamp | pd.Series) -> Yardstick:
        """Return the same baselines, to be fitted on the rows up to another one."""
        return replace(self, train_end=train_end)

    @property
    def labels(self) -> Mapping[str, str]:
        """What people call each baseline, by its column."""
        return labels(self.baselines)

    def scales(self, unique_ids: pd.Series) -> Scales:
        """Return what errors of some series are divided by, from their training rows."""
        series = self.series[self.series["unique_id"].isin(unique_ids.unique())]
        return Scales.of_panel(Panel.of_frame(series, self.train_end), self.seasons.main)

    def forecast(self, keys: pd.DataFrame) -> BaselineForecasts:
        """Forecast the rows of `keys` (``unique_id``, ``cutoff``, ``step``) with every baseline."""
        return forecast(self.baselines, self.series, keys, self.train_end)

    def score(self, predictions: pd.DataFrame, forecasts: Sequence[str]) -> Scores:
        """Score columns of `predictions`; they hold forecasts of the same rows."""
        return score(predictions, forecasts, self.scales(predictions["unique_id"]))

"""A picture of what comes next: the last actual values, the forecast and, if there is one, its interval."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import with_steps
from gatecast.data.display import one_line
from gatecast.flows.judging.live import interval_levels
from gatecast.flows.judging.targets import DISPLAYS, Display, target_of, told_frame
from gatecast.flows.reporting.pictures import (
    ACTUAL,
    FORECAST,
    MARK,
    STYLE,
    finish_panels,
    largest_series,
    marker_of,
    time_axis,
)
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.uncertainty import interval_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMING = "The forecast, after the last actual values"
_LEAST_ROWS = 30
_ROWS_BEFORE = 3
"""Horizons of actual values that are drawn before a forecast"""


def plot_coming(forecasts: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings, path: Path) -> Path:
    """Draw the forecasts after the last rows, one panel per series: the largest.

    Parameters
    ----------
    forecasts : DataFrame
        As `flows.forecast.predict_next` returns them, in any unit that their ``value`` has.
    frame : DataFrame
        The bars or series frame that they were made from.
    settings : RetrainSettings
        Of the model that made them, resolved.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    display = DISPLAYS[settings.target or "y"]
    forecasts = with_interval(forecasts, settings)
    history = told_frame(frame, settings).dropna(subset=["y"])
    if settings.data.is_numbered:
        history = with_steps(history)
    drawn = largest_series(forecasts["unique_id"], forecasts["value"])
    count = forecasts["unique_id"].nunique()
    columns = 1 if len(drawn) < 3 else 2
    with rc_context(STYLE):  # type: ignore[arg-type]
        rows = math.ceil(len(drawn) / columns)
        figure = Figure(figsize=(9, 1.1 + 2.1 * rows), dpi=110, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, unique_id in zip(axes, drawn, strict=False):
            ahead = forecasts[forecasts["unique_id"] == unique_id]
            past = history[history["unique_id"] == unique_id].tail(max(_LEAST_ROWS, _ROWS_BEFORE * len(ahead)))
            _draw(axis, past, ahead, display)
        title = f"{display.label} ({display.unit})" if display.unit else display.label
        title += "" if count == len(drawn) else f"; the {len(drawn)} largest of {count:,} series"
        finish_panels(figure, axes, len(drawn), title, path)
    return path


def with_interval(forecasts: pd.DataFrame, settings: RetrainSettings) -> pd.DataFrame:
    """Add the bounds of ``value`` where they follow from those of ``y_hat``; otherwise they are there or unknown.

    Bounds of ``y_hat`` are in the unit of the model. A price is the sum of its returns, whose bounds do not add up.
    """
    if target_of(settings).told is not None:
        return forecasts
    display = DISPLAYS[settings.target or "y"]
    bounds: dict[str, np.ndarray] = {}
    for level in interval_levels(forecasts):
        names = zip(interval_names("value", int(level)), interval_names("y_hat", int(level)), strict=True)
        bounds |= {name: display.apply(forecasts[of_y].to_numpy()) for name, of_y in names if name not in forecasts}
    return forecasts.assign(**bounds)


def _draw(axis: Axes, past: pd.DataFrame, ahead: pd.DataFrame, display: Display) -> None:
    values = display.apply(past["y"].to_numpy())
    axis.plot(past["ds"], values, color=MARK, linewidth=1.0, label="actual", marker=marker_of(len(past)), markersize=2)
    for level in sorted(interval_levels(ahead), key=float, reverse=True):
        low, high = interval_names("value", int(level))
        if {low, high} <= set(ahead):
            label = f"{level} % interval"
            axis.fill_between(ahead["ds"], ahead[low], ahead[high], color=FORECAST, alpha=0.2, linewidth=0, label=label)
            if len(ahead) == 1:  # an area of no width would not be seen
                axis.vlines(ahead["ds"], ahead[low], ahead[high], color=FORECAST, alpha=0.35, linewidth=3)
    if len(past):
        joined = [*past["ds"].tail(1), *ahead["ds"].head(1)]
        axis.plot(joined, [values[-1], ahead["value"].iloc[0]], color=ACTUAL, linewidth=0.8, linestyle=":")
    marker = marker_of(len(ahead))
    axis.plot(ahead["ds"], ahead["value"], color=FORECAST, linewidth=1.3, label="forecast", marker=marker, markersize=3)
    axis.set_title(one_line(str(ahead["unique_id"].iloc[0])), loc="left", fontsize=9)
    time_axis(axis, pd.concat([past["ds"], ahead["ds"]]))

"""Pictures of errors: at each step ahead, over time, of the worst series, and of single forecasts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import day_in_words
from gatecast.data.display import one_line
from gatecast.flows.judging.evaluation import MODEL
from gatecast.flows.judging.tables import worst_series
from gatecast.flows.judging.targets import Display
from gatecast.flows.reporting.pictures import (
    ACTUAL,
    FORECAST,
    MARK,
    PANELS,
    STYLE,
    finish_panels,
    first_steps,
    marker_of,
    save_picture,
    time_axis,
)
from gatecast.lstm.forecasting.uncertainty import interval_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "origins": "Forecasts from single origins: good, median and bad ones",
        "steps": "Error at each step ahead",
        "worst": "The worst series",
        "residuals": "Residuals over time, and their autocorrelation",
    }
)
"""What people call the pictures"""
_KINDS = ("good", "median", "bad")
_STYLES = ("-", "--", "-.", ":")
_LAGS = 40
_POINTS = 20_000
"""Residuals that are drawn at most, evenly spaced"""
_ROWS_BEFORE = 3
"""Horizons of actuals that are drawn before a forecast"""


def draw_errors(
    predictions: pd.DataFrame, evaluation: Mapping[str, Any], history: pd.DataFrame, display: Display, folder: Path
) -> dict[str, Path]:
    """Draw what there is to be seen of the errors of one model, and return the files by their kind (see `TITLES`).

    Without two different residuals of a series, there is no picture of residuals.
    """
    drawn = {"origins": plot_origins(predictions, history, evaluation, display, folder / "origins.png")}
    if np.isfinite(scaled_residuals(predictions)["scaled"]).any():
        drawn["residuals"] = plot_residuals(predictions, folder / "residuals.png")
    if predictions["step"].max() > 1:
        drawn["steps"] = plot_steps(evaluation, folder / "steps.png")
    if predictions["unique_id"].nunique() > PANELS:
        worst = worst_series(evaluation)
        title = f"The {len(worst)} series with the greatest errors, one step ahead"
        drawn["worst"] = plot_series(predictions, worst, display, title, folder / "worst.png")
    return drawn


def plot_steps(evaluation: Mapping[str, Any], path: Path) -> Path:
    """Draw the error of the model and of each baseline at each step ahead.

    Parameters
    ----------
    evaluation : mapping
        As `flows.judging.evaluation.evaluate` returns it.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    labels = evaluation["labels"]
    judged = evaluation["judged"]
    rows = pd.DataFrame(evaluation["steps"])
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
        axis = figure.subplots()
        others = [name for name in labels if name not in (judged["model"], judged["best"])]
        for name, style in zip(others, cycle(_STYLES), strict=False):
            of = rows[rows["forecast"] == name]
            axis.plot(of["step"], of["score"], style, color=ACTUAL, linewidth=1.0, label=one_line(labels[name]))
        for name, colour in ((judged["best"], MARK), (judged["model"], FORECAST)):
            of = rows[rows["forecast"] == name]
            axis.plot(of["step"], of["score"], color=colour, marker="o", markersize=3, label=one_line(labels[name]))
        axis.set_xlabel("steps ahead")
        axis.set_ylabel(judged["measure"])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside right upper")
        save_picture(figure, path)
    return path


def plot_series(predictions: pd.DataFrame, series: Sequence[str], display: Display, title: str, path: Path) -> Path:
    """Draw the forecasts one step ahead of some series against what came, a panel for each.

    Parameters
    ----------
    predictions : DataFrame
        As `flows.judging.evaluation.predict_test` returns them.
    series : sequence of str
        Which of them.
    display : Display
        How people read the values.
    title : str
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    first = first_steps(predictions)
    names = first["unique_id"].astype(str)
    columns = 1 if len(series) < 3 else 2
    rows = math.ceil(len(series) / columns)
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 0.7 + 1.6 * rows), dpi=110, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, unique_id in zip(axes, series, strict=False):
            of = first[names == unique_id].sort_values("ds")
            for name, colour, width, label in (("y", ACTUAL, 0.8, "actual"), (MODEL, FORECAST, 1.0, "forecast")):
                values = display.apply(of[name].to_numpy())
                marker = marker_of(len(of))
                axis.plot(of["ds"], values, color=colour, linewidth=width, label=label, marker=marker, markersize=3)
            time_axis(axis, of["ds"])
            axis.set_title(one_line(unique_id), loc="left", fontsize=9)
        finish_panels(figure, axes, len(series), title, path)
    return path


def plot_residuals(predictions: pd.DataFrame, path: Path) -> Path:
    """Draw the errors one step ahead over time, and how they are correlated with earlier ones.

    Parameters
    ----------
    predictions : DataFrame
        As `flows.judging.evaluation.predict_test` returns them.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    first = scaled_residuals(predictions)
    scaled = first["scaled"].to_numpy()
    codes = pd.factorize(first["unique_id"])[0]
    shown = np.unique(np.linspace(0, len(first) - 1, min(len(first), _POINTS)).astype(int))
    r, bound = autocorrelation(scaled, codes)
    with rc_context(STYLE):  # type: ignore[arg-type]
        panels = 2 if len(r) else 1
        figure = Figure(figsize=(9, 2.3 * panels), dpi=110, layout="constrained")
        above, *others = figure.subplots(panels, 1, squeeze=False).ravel()
        above.plot(first["ds"].iloc[shown], scaled[shown], ".", color=MARK, markersize=2)
        mean = pd.Series(scaled).groupby(first["ds"].to_numpy()).mean()
        above.plot(mean.index, mean.rolling(max(1, len(mean) // 20), center=True).mean(), color=FORECAST, linewidth=1.2)
        above.axhline(0, color=ACTUAL, linewidth=0.8)
        above.set_ylabel("actual less forecast,\nin deviations of the series")
        above.set_title("one step ahead; the line is the moving mean over all series", loc="left", fontsize=9)
        time_axis(above, first["ds"])
        for below in others:
            below.bar(np.arange(1, len(r) + 1), r, color=MARK, width=0.6)
            below.axhspan(-bound, bound, color=ACTUAL, alpha=0.25, linewidth=0)
            below.set_xlabel("rows apart")
            below.set_ylabel("autocorrelation")
            below.set_title("within the band, it may be luck", loc="left", fontsize=9)
        save_picture(figure, path)
    return path


def scaled_residuals(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return ``unique_id``, ``ds`` and ``scaled``, the error one step ahead in deviations of its series."""
    first = first_steps(predictions).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    error = first["y"] - first[MODEL]
    deviation = error.groupby(first["unique_id"]).transform("std").replace(0, np.nan)
    return first[["unique_id", "ds"]].assign(scaled=error / deviation)


def autocorrelation(residuals: np.ndarray, series: np.ndarray, lags: int = _LAGS) -> tuple[np.ndarray, float]:
    """Return the autocorrelation of residuals within their series, and two standard errors of none.

    Parameters
    ----------
    residuals : (n,) array
        Series by series, each in the order of time; NaN is left out.
    series : (n,) array
        Number of the series of each.
    lags : int
        Greatest distance.

    Returns
    -------
    r : (at most lags,) array
        At distances 1, 2, ... that some series has.
    bound : float
    """
    known = np.isfinite(residuals)
    residuals, series = residuals[known], series[known]
    centred = residuals - pd.Series(residuals).groupby(series).transform("mean").to_numpy()
    square = float(np.mean(centred**2)) if len(centred) else 0.0
    r = []
    for lag in range(1, min(lags, len(centred) - 1) + 1):
        same = series[lag:] == series[:-lag]
        if not same.any() or square == 0:
            break
        r.append(float(np.mean(centred[lag:][same] * centred[:-lag][same])) / square)
    return np.array(r), 2 / math.sqrt(max(1, len(centred)))


def plot_origins(
    predictions: pd.DataFrame, history: pd.DataFrame, evaluation: Mapping[str, Any], display: Display, path: Path
) -> Path:
    """Draw whole forecasts from several origins: last actuals, forecast, interval if there is one, and what came.

    They are those of a small, a median and a large error, each of as many series as there are, three at most.

    Parameters
    ----------
    predictions : DataFrame
        As `flows.judging.evaluation.predict_test` returns them.
    history : DataFrame
        ``unique_id``, ``ds`` and ``y`` of the series in the same unit.
    evaluation : mapping
        Of the predictions.
    display : Display
        How people read the values.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    chosen = typical_origins(predictions)
    best, label = evaluation["judged"]["best"], evaluation["judged"]["best_label"]
    steps = int(predictions["step"].max())
    columns = len(_KINDS)
    rows = math.ceil(len(chosen) / columns)
    by_series = dict(tuple(history.groupby("unique_id", sort=False)))
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 0.8 + 2.1 * rows), dpi=110, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (kind, unique_id, cutoff) in zip(axes, chosen, strict=False):
            past = by_series[unique_id]
            past = past[past["ds"] <= cutoff].tail(max(12, _ROWS_BEFORE * steps))
            of = predictions[(predictions["unique_id"] == unique_id) & (predictions["cutoff"] == cutoff)]
            of = of.sort_values("step")
            ahead = np.arange(1, len(of) + 1)
            axis.plot(np.arange(1 - len(past), 1), display.apply(past["y"].to_numpy()), color=MARK, linewidth=1.0)
            marker = marker_of(len(of))
            for name, colour, text in (
                ("y", ACTUAL, "what came"), (best, "#94a3b8", label), (MODEL, FORECAST, "forecast"),
            ):  # fmt: skip
                line = ":" if name == best else "-"
                values = display.apply(of[name].to_numpy())
                axis.plot(ahead, values, line, color=colour, marker=marker, markersize=3, label=text)
            _draw_interval(axis, of, ahead, display)
            axis.axvline(0, color=ACTUAL, linestyle="--", linewidth=0.8)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axis.set_title(f"{kind}: {one_line(str(unique_id))}, {day_in_words(cutoff)}", loc="left", fontsize=8)
        for axis in axes[len(chosen) :]:
            axis.remove()
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=3)
        figure.supxlabel("steps ahead", fontsize=9)
        save_picture(figure, path)
    return path


def typical_origins(predictions: pd.DataFrame, most: int = 3) -> list[tuple[str, Any, pd.Timestamp]]:
    """Return kind, series and cutoff of forecasts with a small, a median and a large error.

    Series by series, from the one with the smallest to the one with the largest error in its own deviations; the small
    and the large are the tenth and the ninetieth percentile, since extremes are no example.
    """
    error = (predictions[MODEL] - predictions["y"]).abs()
    errors = error.groupby([predictions["unique_id"], predictions["cutoff"]], sort=True).mean().rename("error")
    found = []
    deviations = predictions.groupby("unique_id")["y"].std().replace(0, np.nan)
    order = (errors.groupby(level=0).mean() / deviations).fillna(0).sort_values(kind="stable").index
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).astype(int))]
    for unique_id in picked:
        of = errors.loc[[unique_id]].sort_values(kind="stable")
        for kind, share in zip(_KINDS, (0.1, 0.5, 0.9), strict=True):
            found.append((kind, unique_id, of.index[round(share * (len(of) - 1))][1]))
    return found


def _draw_interval(axis: Axes, rows: pd.DataFrame, ahead: np.ndarray, display: Display) -> None:
    low, high = interval_names(MODEL, 90)
    if {low, high} <= set(rows):
        axis.fill_between(
            ahead, display.apply(rows[low].to_numpy()), display.apply(rows[high].to_numpy()), color=FORECAST, alpha=0.2
        )

"""Pictures and tables of an evaluation."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import are_steps
from gatecast.data.display import one_line
from gatecast.data.store import atomic_file
from gatecast.flows.judging.evaluation import MODEL
from gatecast.flows.judging.targets import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gatecast.lstm.training.loop import EpochRecord

PANELS = 10
FEW_POINTS = 30
"""Points of a line that are also marked; a single one would not be seen"""
ACTUAL = "#9aa5b1"
FORECAST = "#c2410c"
MARK = "#334155"
COLOURS = 16  # in the palette: enough for lines, and the file is a quarter of the size
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#64748b",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # text between two $ in a name is not a formula
}


def plot_forecasts(predictions: pd.DataFrame, display: Display, title: str, path: Path) -> Path:
    """Draw forecast against actual over the test period, one panel per series: the `PANELS` largest.

    Parameters
    ----------
    predictions : DataFrame
        As `flows.judging.evaluation.predict_test` returns them; with a horizon above one, only the first step is drawn.
    display : Display
        How people read the values.
    title : str
        Title of the picture.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    first_step = first_steps(predictions)
    drawn = largest_series(first_step["unique_id"], first_step["y"])
    columns = 1 if len(drawn) < 3 else 2
    rows = math.ceil(len(drawn) / columns)
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 1.1 + 2.1 * rows), dpi=110, layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axis, unique_id in zip(axes, drawn, strict=False):
            _draw_series(axis, first_step[first_step["unique_id"] == unique_id], display)
        finish_panels(figure, axes, len(drawn), f"{title}{_of_all(first_step, drawn)}", path)
    return path


def first_steps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the forecasts one step ahead or, if none of those has an actual value, of the first step that has."""
    return predictions[predictions["step"] == predictions["step"].min()]


def largest_series(unique_ids: pd.Series, values: pd.Series, count: int = PANELS) -> list[Any]:
    """Return the series with the largest mean absolute values, in the order in which they come."""
    names = list(dict.fromkeys(unique_ids))
    if len(names) <= count:
        return names
    size = values.abs().groupby(unique_ids, sort=False).mean()
    kept = set(size.sort_values(ascending=False, kind="stable").index[:count])
    return [name for name in names if name in kept]


def _of_all(rows: pd.DataFrame, drawn: Sequence[Any]) -> str:
    count = rows["unique_id"].nunique()
    return "" if count == len(drawn) else f"; the {len(drawn)} largest of {count:,} series"


def marker_of(points: int) -> str:
    """Return how the points of a line are marked: not at all if there are many."""
    return "o" if points <= FEW_POINTS else ""


def finish_panels(figure: Figure, axes: np.ndarray, used: int, title: str, path: Path) -> None:
    """Take the unused panels out of a figure, give the others one legend and a title, and save it."""
    for axis in axes[used:]:
        axis.remove()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    save_picture(figure, path)


def _draw_series(axis: Axes, rows: pd.DataFrame, display: Display) -> None:
    actual = display.apply(rows["y"].to_numpy())
    forecast = display.apply(rows[MODEL].to_numpy())
    for values, colour, width, label in ((actual, ACTUAL, 0.7, "actual"), (forecast, FORECAST, 1.1, "forecast")):
        marker = marker_of(len(rows))
        axis.plot(rows["ds"], values, color=colour, linewidth=width, label=label, marker=marker, markersize=3)
    title = one_line(str(rows["unique_id"].iloc[0]))
    if display.unit == "%" and actual.min() > 0:
        # A few extreme days would flatten all the others.
        top = 1.15 * float(np.quantile(actual, 0.995))
        axis.set_ylim(0, top)
        title += f"  (the highest, {actual.max():.2g} %, is cut off)" if actual.max() > top else ""
    axis.set_title(title, loc="left", fontsize=9)
    time_axis(axis, rows["ds"])
    axis.set_ylabel(f"{display.label} ({display.unit})" if display.unit else display.label)


def time_axis(axis: Axes, ds: pd.Series) -> None:
    """Write dates, or whole numbers where rows are numbered, below an axis."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    axis.margins(x=0.01)
    if are_steps(ds):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    dates = AutoDateLocator(minticks=3, maxticks=10)
    axis.xaxis.set_major_locator(dates)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(dates))


def plot_losses(
    history: Sequence[EpochRecord], best_epoch: int, path: Path, measure: str = "mean squared error, scaled"
) -> Path:
    """Draw training and validation loss by epoch, with the epoch whose weights were kept.

    Parameters
    ----------
    history : sequence of EpochRecord
        Of the training.
    best_epoch : int
        Where the validation loss is lowest.
    path : Path
        A PNG file.
    measure : str
        What the loss is.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch for record in history]
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(6.5, 3.6), dpi=110, layout="constrained")
        axis = figure.subplots()
        for name, colour in (("train_loss", MARK), ("validation_loss", FORECAST)):
            label = name.removesuffix("_loss").replace("train", "training")
            axis.plot(
                epochs,
                [getattr(record, name) for record in history],
                color=colour,
                marker="o",
                markersize=3,
                label=label,
            )
        axis.axvline(best_epoch, color=ACTUAL, linestyle="--", linewidth=1, label=f"best epoch ({best_epoch})")
        axis.set_xlabel("epoch")
        axis.set_ylabel(f"loss ({measure})")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
        save_picture(figure, path)
    return path


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a small PNG, atomically."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    buffer.seek(0)
    with Image.open(buffer) as picture, atomic_file(path) as temporary:
        # Colours that few pixels have must not be mixed into others.
        method = Image.Quantize.MAXCOVERAGE
        small = picture.convert("RGB").quantize(COLOURS, method, dither=Image.Dither.NONE)
        small.save(temporary, format="PNG", optimize=True)


def embedded_picture(picture: Path, title: str) -> str:
    """Return Markdown with a PNG file embedded in it."""
    return f"![{title}]({inline(picture)})"


def inline(picture: Path) -> str:
    """Return a PNG file as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"

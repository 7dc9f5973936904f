"""A picture of what a model with attention looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import day_in_words
from gatecast.data.display import one_line
from gatecast.data.store import atomic_file
from gatecast.flows.reporting.pictures import PANELS, STYLE

ROWS = 120  # per panel: more would be finer than its pixels


def plot_attention(
    windows: pd.DataFrame, weights: np.ndarray, title: str, path: Path, first: Sequence[str] = ()
) -> Path:
    """Draw a heatmap for each series and head: how much each forecast looks at each step before it.

    Parameters
    ----------
    windows : DataFrame
        ``unique_id`` and ``cutoff`` of each forecast, in chronological order.
    weights : (n, heads, lookback) array
        Of those forecasts; the step right before the cutoff comes last.
    title : str
        Title of the picture.
    path : Path
        A PNG file.
    first : sequence of str
        Series that are drawn before others, since there is no room for all of many.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    heads, lookback = weights.shape[1:]
    present = list(dict.fromkeys(windows["unique_id"]))
    series = list(dict.fromkeys([*(name for name in first if name in set(present)), *present]))
    drawn = [(unique_id, head) for unique_id in series for head in range(heads)][:PANELS]
    columns = min(2, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    with rc_context(STYLE | {"axes.grid": False}):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 0.9 + 2.3 * rows), dpi=110, layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axis, (unique_id, head) in zip(axes, drawn, strict=False):
            chosen = np.flatnonzero((windows["unique_id"] == unique_id).to_numpy())
            chosen = chosen[np.linspace(0, len(chosen) - 1, min(ROWS, len(chosen))).astype(int)]
            shares = 100 * weights[chosen, head]
            image = axis.imshow(shares, aspect="auto", cmap="magma", vmin=0, extent=(-lookback, 0, len(chosen), 0))
            days = [day_in_words(windows["cutoff"].iloc[row]) for row in chosen]
            ticks = np.unique(np.linspace(0, len(days) - 1, 5).astype(int))
            axis.set_yticks(ticks + 0.5, [days[tick] for tick in ticks])
            name = one_line(str(unique_id))
            axis.set_title(f"{name}, head {head + 1}" if heads > 1 else name, loc="left", fontsize=9)
            figure.colorbar(image, ax=axis, format="%g %%", pad=0.01)
        for axis in axes[len(drawn) :]:
            axis.remove()
        figure.supxlabel("steps before the forecast", fontsize=9)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="png", facecolor="white")
    return path

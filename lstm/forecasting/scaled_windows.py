"""Windows scaled by their own rows, as the network reads them, and its outputs put back."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels.window_scaling import RESIDUAL_TO_LAST, SCALINGS, WindowScaling
from gatecast.lstm.config import ForecasterSettings

__all__ = ["ScaledWindows", "scaled_windows", "scaling_of"]

_FLOOR = 0.1
"""Least deviation of a window, in deviations of its series: one that hardly varies does not explode"""
_FLOOR_OF_SIZE = 0.01
"""The same in mean sizes of its series, where that is its scale: the deviation is but a part of the size"""


class ScaledWindows(NamedTuple):
    """What a network reads of windows, and what its outputs are put back with; see `ops.scale_windows`."""

    x: Any
    """(n, lookback, columns)"""
    past: Any
    """(n, lookback)"""
    targets: Any
    """(n, horizon), or (n, 0) where they are not known yet"""
    base: Any
    """(n, horizon)"""
    spread: Any
    """(n,)"""

    def restored(self, y_hat: np.ndarray, ops: ModuleType) -> np.ndarray:
        """Return forecasts (n, horizon) of the network in the unit of the values."""
        return ops.to_host(self.base) + ops.to_host(self.spread)[:, None] * y_hat


def scaling_of(settings: ForecasterSettings, indicator: bool = False) -> WindowScaling | None:
    """Return how chosen settings scale windows; None where they take them as they are.

    Parameters
    ----------
    settings : ForecasterSettings
        Without any ``auto``.
    indicator : bool
        Whether the network reads which rows are missing.
    """
    kind = SCALINGS[settings.window_scaling]
    season = 0
    if settings.residual == "last":
        season = RESIDUAL_TO_LAST
    elif settings.residual == "seasonal":
        season = int(settings.season[0])
    gap_season = int(settings.season[0]) if settings.season and settings.season != "none" else 0
    lag = {"none": 0, "first": 1, "seasonal": season}[settings.differences]
    is_plain = (
        not (kind or season or indicator or settings.is_weighted or settings.series_embedding)
        and settings.loss == "mse"
        and settings.linear_skip == "none"
    )
    floor = _FLOOR_OF_SIZE if settings.scaling == "size" and settings.window_scaling == "standard" else _FLOOR
    return None if is_plain else WindowScaling(kind, season, floor, indicator, gap_season, lag)


def scaled_windows(
    ops: ModuleType,
    values: Any,
    dtype: str,
    starts: Any,
    firsts: Any,
    scaling: WindowScaling,
    sizes: tuple[int, int],
    known: bool = True,
    more_columns: int = 0,
) -> ScaledWindows:
    """Gather windows and scale each.

    Parameters
    ----------
    ops : module
    values, starts, firsts, scaling
        As for `ops.scale_windows`.
    dtype : str
    sizes : (lookback, horizon)
    known : bool
        Whether the rows after the windows exist.
    more_columns : int
        Of `x`, after those of the values, that are left for the network to fill.
    """
    lookback, horizon = sizes
    count = starts.shape[0]
    shapes = (
        (count, lookback, values.shape[1] + scaling.indicator + more_columns),
        (count, lookback),
        (count, horizon if known else 0),
        (count, horizon),
        (count,),
    )
    windows = ScaledWindows(*(ops.empty(shape, dtype) for shape in shapes))
    ops.scale_windows(values, starts, firsts, scaling, *windows)
    return windows

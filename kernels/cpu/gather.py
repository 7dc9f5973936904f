"""Training batches straight from the series, so that overlapping windows never exist all at once."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.cpu.pack import copy
from gatecast.kernels.scaled_window import scale_column, take_differences, write_past, write_targets
from gatecast.kernels.window_scaling import WindowScaling

__all__ = ["gather_windows", "scale_windows", "weigh_targets"]


def gather_windows(values: np.ndarray, starts: np.ndarray, windows: np.ndarray) -> None:
    """``windows[n] = values[starts[n] : starts[n] + T, :columns]``.

    Parameters
    ----------
    values : (rows, columns or more) array
        All series, one after another.
    starts : (n,) int64 array
        First row of each window; ``starts + T`` must not pass the end of `values`.
    windows : (n, T, columns) array
        ``=``
    """
    run(_copy_windows, values, starts, windows)


@kernel
def _copy_windows(values, starts, windows):
    count, steps, columns = windows.shape
    values = borrowed(values)
    windows = borrowed(windows)
    for n in range(count):
        source = values[starts[n] : starts[n] + steps]
        window = windows[n]
        if columns == values.shape[1]:
            copy(source.reshape(1, -1), window.reshape(1, -1))  # rows without a gap between them
        else:
            copy(source, window)


def scale_windows(
    values: np.ndarray,
    starts: np.ndarray,
    firsts: np.ndarray,
    scaling: WindowScaling,
    windows: np.ndarray,
    past: np.ndarray,
    targets: np.ndarray,
    base: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Gather windows, each scaled by its own rows, and the targets in the same unit.

    Parameters
    ----------
    values : (rows, columns) array
        All series, one after another; column 0 is the target. A missing value is NaN.
    starts : (n,) int64 array
        First row of each window.
    firsts : (n,) int64 array
        First row of each window's series: rows of the window before it, even before row 0, count as missing.
    scaling : WindowScaling
    windows : (n, T, columns) array
        ``=`` scaled. A missing value lies on the straight line between its neighbours; in a gap of more than half a
        season it is that of a season before; before the first that is known it is 0. One more column if the scaling has
        an indicator; columns beyond it are left as they are.
    past : (n, T) array
        ``=`` column 0 of `windows` divided by the root of T: a linear layer that reads all steps at once then learns
        as fast as one that reads a single one.
    targets : (n, horizon) array
        ``= (value - base) / spread`` of the rows after the window, NaN where missing; the horizon is 0 where they are
        not known yet.
    base : (n, steps) array
        ``=`` what the forecast of each step is added to.
    spread : (n,) array
        ``=`` what it is multiplied by before.
    """
    run(_scale_windows, values, starts, firsts, *scaling, windows, past, targets, base, spread)


@kernel
def _scale_windows(
    values, starts, firsts, kind, season, floor, indicator, gap_season, lag, windows, past, targets, base, spread
):
    count, steps = past.shape
    columns = values.shape[1]
    for n in range(count):
        begin = starts[n]
        end = begin + steps
        first = max(begin, firsts[n])
        window = windows[n]
        for j in range(columns):
            center, scale = scale_column(values, begin, first, end, j, kind, gap_season, floor, window)
            if j == 0:
                write_targets(values, first, end, center, scale, season, targets[n], base[n])
                spread[n] = scale
        if lag:
            take_differences(window, first - begin, lag)
        write_past(values, begin, first, window, indicator, past[n])


def weigh_targets(of_rows: np.ndarray, ends: np.ndarray, of_steps: np.ndarray, weights: np.ndarray) -> None:
    """``weights[n, k] = of_rows[ends[n] + k] * of_steps[k]``.

    Parameters
    ----------
    of_rows : (rows,) array
        Weight of each row as a target.
    ends : (n,) int64 array
        Row after each window's last input row.
    of_steps : (horizon,) array
        Weight of each step ahead.
    weights : (n, horizon) array
        ``=``
    """
    run(_weigh_targets, of_rows, ends, of_steps, weights)


@kernel
def _weigh_targets(of_rows, ends, of_steps, weights):
    for n in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            weights[n, k] = of_rows[ends[n] + k] * of_steps[k]

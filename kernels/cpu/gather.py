"""Training batches straight from the series, so that overlapping windows never exist all at once."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.cpu.pack import copy
from gatecast.kernels.window_scaling import LAST, MEAN, NONE, RESIDUAL_TO_LAST, WindowScaling

__all__ = ["copy_windows", "gather_windows", "scale_each_window", "scale_windows"]


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
    run(copy_windows, values, starts, 0, windows)


@kernel
def copy_windows(values, starts, offset, windows):
    """`gather_windows` of the windows that start `offset` rows later."""
    count, steps, columns = windows.shape
    values = borrowed(values)
    windows = borrowed(windows)
    for n in range(count):
        first = starts[n] + offset
        source = values[first : first + steps]
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
        an indicator.
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
    run(scale_each_window, values, starts, firsts, *scaling, windows, past, targets, base, spread)


@kernel
def scale_each_window(values, starts, firsts, kind, season, floor, indicator, windows, past, targets, base, spread):
    """`scale_windows`, compiled."""
    count, steps = past.shape
    columns = values.shape[1]
    share = past.dtype.type(1 / np.sqrt(steps))
    for n in range(count):
        begin = starts[n]
        end = begin + steps
        first = max(begin, firsts[n])
        window = windows[n]
        for t in range(first - begin):
            for j in range(columns):
                window[t, j] = 0
        for j in range(columns):
            center, scale = _center_and_scale(values, first, end, j, kind, floor)
            for row in range(first, end):
                window[row - begin, j] = (values[row, j] - center) / scale
            _fill_gaps(window, j, first - begin, season)
            if j == 0:
                _target(values, first, end, center, scale, season, targets[n], base[n])
                spread[n] = scale
        for t in range(steps):
            past[n, t] = window[t, 0] * share
            if indicator:
                is_known = begin + t >= first and values[begin + t, 0] == values[begin + t, 0]
                window[t, columns] = 0 if is_known else 1


@inner_kernel
def _center_and_scale(values, first, end, column, kind, floor):
    """Return what is taken away from the rows of a column, and what they are divided by then."""
    number = values.dtype.type
    if kind == NONE:
        return number(0), number(1)
    known = 0
    total = 0.0
    last = number(0)
    for row in range(first, end):
        value = values[row, column]
        if value == value:
            known += 1
            total += abs(value) if kind == MEAN else value
            last = value
    if kind == LAST or known == 0:
        return last, number(1)
    mean = total / known
    if kind == MEAN:
        return number(0), number(max(mean, floor))
    squares = 0.0
    for row in range(first, end):
        value = values[row, column]
        if value == value:
            squares += (value - mean) * (value - mean)
    return number(mean), number(max(np.sqrt(squares / known), floor))


@inner_kernel
def _fill_gaps(window, column, first, season):
    """Give the missing rows of a column, from row `first` on, a value: what is likely for all that the window tells.

    That is the value a season before in gaps of more than half a season, the straight line between the neighbours in
    shorter ones, the last value at the end and 0, the centre, before the first that is known.
    """
    number = window.dtype.type
    steps = window.shape[0]
    t = first
    while t < steps:
        if window[t, column] == window[t, column]:
            t += 1
            continue
        stop = t
        while stop < steps and window[stop, column] != window[stop, column]:
            stop += 1
        left = window[t - 1, column] if t > first else number(0)
        right = left if stop == steps else window[stop, column]
        is_long = season > RESIDUAL_TO_LAST and stop - t > season // 2
        for k in range(t, stop):
            if t == first:
                window[k, column] = 0
            elif is_long and k - season >= first:
                window[k, column] = window[k - season, column]
            else:
                window[k, column] = left + (right - left) * number(k - t + 1) / number(stop - t + 1)
        t = stop


@inner_kernel
def _target(values, first, end, center, scale, season, targets, base):
    """Write what the forecast of a window is added to, and its targets."""
    for k in range(base.shape[0]):
        base[k] = center
        # The newest row that is known among those whole seasons (or as many rows as it takes) before the step.
        stride = season if season > RESIDUAL_TO_LAST else 1
        row = end - stride + k % stride
        while season > 0 and row >= first:
            if values[row, 0] == values[row, 0]:
                base[k] = values[row, 0]
                break
            row -= stride
    for k in range(targets.shape[0]):
        targets[k] = (values[end + k, 0] - base[k]) / scale

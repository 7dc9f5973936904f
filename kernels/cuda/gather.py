"""Training batches straight from the series, on the GPU."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.scaled_window import scale_column, take_differences, write_past, write_targets
from gatecast.kernels.window_scaling import WindowScaling

__all__ = ["gather_windows", "scale_windows", "weigh_targets"]


def gather_windows(values: Any, starts: Any, windows: Any) -> None:
    """``windows[n] = values[starts[n] : starts[n] + T, :columns]``; arguments as `kernels.cpu.gather`."""
    launch(_gather, (windows.shape[0], windows.shape[1]), values, starts, windows)


def scale_windows(
    values: Any,
    starts: Any,
    firsts: Any,
    scaling: WindowScaling,
    windows: Any,
    past: Any,
    targets: Any,
    base: Any,
    spread: Any,
) -> None:
    """Gather windows, each scaled by its own rows; arguments as `kernels.cpu.gather.scale_windows`."""
    where = windows.shape[0], values.shape[1]
    launch(_scale, where, values, starts, firsts, *scaling, windows, past, targets, base, spread)


@kernel
def _scale(
    values, starts, firsts, kind, season, floor, indicator, gap_season, lag, windows, past, targets, base, spread
):
    column, n = cuda.grid(2)
    if n >= windows.shape[0] or column >= values.shape[1]:
        return
    begin = starts[n]
    end = begin + past.shape[1]
    first = max(begin, firsts[n])
    window = windows[n]
    center, scale = scale_column(values, begin, first, end, column, kind, gap_season, floor, window)
    if column == 0:
        write_targets(values, first, end, center, scale, season, targets[n], base[n])
        if lag:
            take_differences(window, first - begin, lag)
        write_past(values, begin, first, window, indicator, past[n])
        spread[n] = scale


def weigh_targets(of_rows: Any, ends: Any, of_steps: Any, weights: Any) -> None:
    """``weights[n, k] = of_rows[ends[n] + k] * of_steps[k]``; arguments as `kernels.cpu.gather.weigh_targets`."""
    launch(_weigh, weights.shape, of_rows, ends, of_steps, weights)


@kernel
def _weigh(of_rows, ends, of_steps, weights):
    k, n = cuda.grid(2)
    if n < weights.shape[0] and k < weights.shape[1]:
        weights[n, k] = of_rows[ends[n] + k] * of_steps[k]


@kernel
def _gather(values, starts, windows):
    t, n = cuda.grid(2)
    if n < windows.shape[0] and t < windows.shape[1]:
        for j in range(windows.shape[2]):
            windows[n, t, j] = values[starts[n] + t, j]

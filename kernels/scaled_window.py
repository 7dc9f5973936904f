"""Windows scaled by their own rows, column by column: what both backends compile into `scale_windows`."""

from __future__ import annotations

import math

from numba.extending import register_jitable

from gatecast.kernels.window_scaling import LAST, MEAN, NONE, RESIDUAL_TO_LAST

__all__ = ["scale_column", "take_differences", "write_past", "write_targets"]


@register_jitable
def scale_column(values, begin, first, end, column, kind, gap_season, floor, window):
    """Write a column of the window of rows `begin` to `end`; return what was taken away and what it was divided by.

    Rows before `first` are those of another series.
    """
    center, scale = _center_and_scale(values, first, end, column, kind, floor)
    for t in range(first - begin):
        window[t, column] = 0
    for row in range(first, end):
        window[row - begin, column] = (values[row, column] - center) / scale
    _fill_gaps(window, column, first - begin, gap_season)
    return center, scale


@register_jitable
def take_differences(window, first, lag):
    """Turn column 0 of a scaled window, whose series begins at its row `first`, into differences over `lag` rows."""
    for t in range(window.shape[0] - 1, first - 1, -1):
        window[t, 0] = window[t, 0] - window[t - lag, 0] if t - lag >= first else 0


@register_jitable
def write_past(values, begin, first, window, indicator, past):
    """Write what the linear skip reads of a window whose column 0 is scaled, and the indicator's column."""
    steps = past.shape[0]
    share = past.dtype.type(1 / math.sqrt(steps))
    for t in range(steps):
        past[t] = window[t, 0] * share
        if indicator:
            is_known = begin + t >= first and values[begin + t, 0] == values[begin + t, 0]
            window[t, values.shape[1]] = 0 if is_known else 1


@register_jitable
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
    return number(mean), number(max(math.sqrt(squares / known), floor))


@register_jitable
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


@register_jitable
def write_targets(values, first, end, center, scale, season, targets, base):
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

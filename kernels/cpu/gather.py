"""Training batches straight from the series, so that overlapping windows never exist all at once."""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel

__all__ = ["copy_windows", "gather_windows"]


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
    copy_windows(values, starts, 0, windows)


@kernel
def copy_windows(values, starts, offset, windows):
    """`gather_windows` of the windows that start `offset` rows later."""
    count, steps, columns = windows.shape
    for n in range(count):
        for t in range(steps):
            for j in range(columns):
                windows[n, t, j] = values[starts[n] + offset + t, j]

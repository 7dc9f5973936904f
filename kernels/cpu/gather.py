"""Training batches straight from the series, so that overlapping windows never exist all at once."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.cpu.pack import copy

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

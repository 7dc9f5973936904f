"""Training batches straight from the series, on the GPU."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch

__all__ = ["copy_windows", "gather_windows"]


def gather_windows(values: Any, starts: Any, windows: Any) -> None:
    """``windows[n] = values[starts[n] : starts[n] + T, :columns]``; arguments as `kernels.cpu.gather`."""
    copy_windows(values, starts, 0, windows)


def copy_windows(values: Any, starts: Any, offset: int, windows: Any) -> None:
    """`gather_windows` of the windows that start `offset` rows later."""
    launch(_gather, (windows.shape[0], windows.shape[1]), values, starts, offset, windows)


@kernel
def _gather(values, starts, offset, windows):
    t, n = cuda.grid(2)
    if n < windows.shape[0] and t < windows.shape[1]:
        for j in range(windows.shape[2]):
            windows[n, t, j] = values[starts[n] + offset + t, j]

"""Steps of sequences copied from one array to another: turned round, side by side, or added."""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch

__all__ = ["copy_columns", "copy_steps"]


def copy_columns(
    source: Any, source_column: int, destination: Any, destination_column: int, columns: int, accumulate: bool
) -> None:
    """Copy some columns of every row; arguments as `kernels.cpu.steps.copy_columns`."""
    launch(
        _copy_columns, (source.shape[0], columns), source, source_column, destination, destination_column, columns,
        accumulate,
    )  # fmt: skip


def copy_steps(
    source: Any,
    source_column: int,
    destination: Any,
    destination_column: int,
    columns: int,
    lengths: Any,
    reverse: bool,
    accumulate: bool,
) -> None:
    """Copy some columns of every step; arguments as `kernels.cpu.steps.copy_steps`."""
    launch(
        _copy_steps, (source.shape[0], columns), source, source_column, destination, destination_column, columns,
        lengths, reverse, accumulate,
    )  # fmt: skip


@kernel
def _copy_steps(source, source_column, destination, destination_column, columns, lengths, reverse, accumulate):
    j, b = cuda.grid(2)
    if b >= source.shape[0] or j >= columns:
        return
    for t in range(source.shape[1]):
        value = source.dtype.type(0)
        if t < lengths[b]:
            value = source[b, lengths[b] - 1 - t if reverse else t, source_column + j]
        if accumulate:
            value += destination[b, t, destination_column + j]
        destination[b, t, destination_column + j] = value


@kernel
def _copy_columns(source, source_column, destination, destination_column, columns, accumulate):
    j, row = cuda.grid(2)
    if row < source.shape[0] and j < columns:
        value = source[row, source_column + j]
        if accumulate:
            value += destination[row, destination_column + j]
        destination[row, destination_column + j] = value

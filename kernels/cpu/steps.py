"""Steps of sequences copied from one array to another: turned round, side by side, or added."""

from __future__ import annotations

import numba
import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import kernel, parallel_kernel
from gatecast.kernels.cpu.pack import add, copy_line

__all__ = ["copy_columns", "copy_steps"]


# Numbers to copy below which waking another thread would take longer than the work.
_WORTH_THREADS = 1 << 16


def copy_columns(
    source: np.ndarray,
    source_column: int,
    destination: np.ndarray,
    destination_column: int,
    columns: int,
    accumulate: bool,
) -> None:
    """Copy some columns of every row.

    Parameters
    ----------
    source, destination : (rows, columns or more) arrays
        `destination` is written from `destination_column` on: ``=`` if `accumulate` is False, ``+=`` if it is
        True.
    source_column, destination_column, columns : int
    accumulate : bool
    """
    run(_copy_columns, source, source_column, destination, destination_column, columns, accumulate)


def copy_steps(
    source: np.ndarray,
    source_column: int,
    destination: np.ndarray,
    destination_column: int,
    columns: int,
    lengths: np.ndarray,
    reverse: bool,
    accumulate: bool,
) -> None:
    """Copy some columns of every step; with `reverse`, each sequence's last step comes first.

    Parameters
    ----------
    source, destination : (B, T, columns or more) arrays
        `destination` is written from `destination_column` on: ``=`` if `accumulate` is False, ``+=`` if it is
        True. Steps after the end of a sequence count as zero.
    source_column, destination_column, columns : int
    lengths : (B,) int64 array
        True length of each sequence.
    reverse, accumulate : bool
    """
    given = source, source_column, destination, destination_column, columns, lengths, reverse, accumulate
    if source.shape[0] * source.shape[1] * columns > _WORTH_THREADS:
        run(_copy_in_parallel, *given)
    else:
        run(_copy_sequences, *given, 0, source.shape[0])


@parallel_kernel
def _copy_in_parallel(source, source_column, destination, destination_column, columns, lengths, reverse, accumulate):
    for b in numba.prange(source.shape[0]):
        _copy_sequences(
            source, source_column, destination, destination_column, columns, lengths, reverse, accumulate,
            np.int64(b), np.int64(b + 1),
        )  # fmt: skip


@kernel
def _copy_sequences(
    source, source_column, destination, destination_column, columns, lengths, reverse, accumulate, first, last
):
    source = borrowed(source)
    destination = borrowed(destination)
    for b in range(first, last):
        length = lengths[b]
        for t in range(source.shape[1]):
            target = destination[b, t, destination_column : destination_column + columns]
            if t < length:
                step = source[b, length - 1 - t if reverse else t, source_column : source_column + columns]
                if accumulate:
                    add(step, target)
                else:
                    copy_line(step, target)
            elif not accumulate:
                target[:] = 0


@kernel
def _copy_columns(source, source_column, destination, destination_column, columns, accumulate):
    for row in range(source.shape[0]):
        given = source[row, source_column : source_column + columns]
        target = destination[row, destination_column : destination_column + columns]
        if accumulate:
            add(given, target)
        else:
            copy_line(given, target)

"""Steps of sequences copied from one array to another: turned round, side by side, or added."""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel

__all__ = ["copy_columns", "copy_steps"]


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
        `destination` is written from `destination_column` on: ``=`` where `accumulate` is False, ``+=`` where it is
        True.
    source_column, destination_column, columns : int
    accumulate : bool
    """
    _copy_columns(source, source_column, destination, destination_column, columns, accumulate)


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
        `destination` is written from `destination_column` on: ``=`` where `accumulate` is False, ``+=`` where it is
        True. Steps after the end of a sequence count as zero.
    source_column, destination_column, columns : int
    lengths : (B,) int64 array
        True length of each sequence.
    reverse, accumulate : bool
    """
    _copy_steps(source, source_column, destination, destination_column, columns, lengths, reverse, accumulate)


@kernel
def _copy_steps(source, source_column, destination, destination_column, columns, lengths, reverse, accumulate):
    for b in range(source.shape[0]):
        for t in range(source.shape[1]):
            target = destination[b, t, destination_column : destination_column + columns]
            if t < lengths[b]:
                step = source[b, lengths[b] - 1 - t if reverse else t, source_column : source_column + columns]
                for j in range(columns):
                    target[j] = target[j] + step[j] if accumulate else step[j]
            elif not accumulate:
                for j in range(columns):
                    target[j] = 0


@kernel
def _copy_columns(source, source_column, destination, destination_column, columns, accumulate):
    for row in range(source.shape[0]):
        given = source[row, source_column : source_column + columns]
        target = destination[row, destination_column : destination_column + columns]
        for j in range(columns):
            target[j] = target[j] + given[j] if accumulate else given[j]

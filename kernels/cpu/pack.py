"""Matrix products over packed panels.

`tile` needs its right operand in *panels*: columns in groups of two vectors, the rows of a group one after another,
so that a product reads memory strictly forward. The recurrent weights serve all time steps of a call, so they are
packed once per call and read from cache from then on. An operand whose rows are padded to whole panels anyway (the
activations) is used as it is.

Columns are padded with zeros to a whole number of panels. The result's rows are of that length; the columns beyond the
true ones are written (with zeros) and never read.
"""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.cpu.tile import HEIGHT, VECTOR_BYTES, tile

__all__ = ["PANEL_BYTES", "add", "copy", "copy_line", "pack", "padded", "panels_shape", "product", "sum_shards"]

PANEL_BYTES = 2 * VECTOR_BYTES
"""Width of a panel: two vectors."""


def padded(columns: int, dtype: str) -> int:
    """`columns` rounded up to whole panels."""
    width = PANEL_BYTES // np.dtype(dtype).itemsize
    return -(-columns // width) * width


def panels_shape(depth: int, columns: int, dtype: str) -> tuple[int, int, int]:
    """Shape of the panels of a (depth, columns) matrix."""
    width = PANEL_BYTES // np.dtype(dtype).itemsize
    return padded(columns, dtype) // width, depth, width


@kernel
def pack(matrix, panels, first_row, first_column=0):
    """Put a matrix into panels, at a place within the matrix that the panels stand for.

    Parameters
    ----------
    matrix : (rows, columns) array, any strides
    panels : (n_panels, depth, width) array
        ``=`` within the matrix; the rest stays as it is, so padding that was zero is zero.
    first_row, first_column : int
        Where the matrix begins.
    """
    matrix = borrowed(matrix)
    panels = borrowed(panels)
    rows, columns = matrix.shape
    width = panels.shape[2]
    end = first_column + columns
    for p in range(first_column // width, -(-end // width)):
        first, last = max(p * width, first_column), min((p + 1) * width, end)
        for m in range(rows):
            line = matrix[m][first - first_column : last - first_column]
            target = panels[p, first_row + m]
            copy_line(line, target[first - p * width :])


@inner_kernel
def copy(source, destination):
    """``destination = source`` for two-dimensional arrays, as far as both go.

    Slice assignment does the same, but each use of it costs most of a second of compilation. Give whole rows: Numba
    does not know that the numbers of a slice of columns are contiguous. Indices are the loop variables alone: Numba
    checks each time whether a sum of them is negative.
    """
    columns = min(source.shape[1], destination.shape[1])
    for m in range(min(source.shape[0], destination.shape[0])):
        for n in range(columns):
            destination[m, n] = source[m, n]


@inner_kernel
def copy_line(source, destination):
    """``destination = source`` for lines, as far as both go."""
    for n in range(min(source.shape[0], destination.shape[0])):
        destination[n] = source[n]


@inner_kernel
def add(source, destination):
    """``destination += source`` for lines of one length."""
    for n in range(source.shape[0]):
        destination[n] += source[n]


@kernel
def product(a, b, c, accumulate):
    """``c = a @ b``, or ``c += a @ b``.

    Parameters
    ----------
    a : (rows, depth) array, any strides
    b : (n_panels, depth, width) array, packed; or (depth, n_panels * width) array, last axis contiguous
    c : (rows, n_panels * width or more) array, last axis contiguous
        ``=`` or ``+=`` in the columns of the panels.
    accumulate : bool
    """
    panels = b.shape[0] if b.ndim == 3 else b.shape[1] * b.itemsize // PANEL_BYTES
    paired = a.shape[0] // 2 * 2
    for panel in range(panels):
        row = 0
        while row + HEIGHT <= paired:
            tile(HEIGHT, 1, a, row, b, panel, c, accumulate)
            row += HEIGHT
        if HEIGHT > 4 and row + 4 <= paired:
            tile(4, 1, a, row, b, panel, c, accumulate)
            row += 4
        if row < paired:
            tile(2, 1, a, row, b, panel, c, accumulate)
    if paired < a.shape[0]:
        # One row has one number per vector of b to wait for: more panels at once make the multiply-adds independent.
        panel = 0
        while panel + 4 <= panels:
            tile(1, 4, a, paired, b, panel, c, accumulate)
            panel += 4
        if panel + 2 <= panels:
            tile(1, 2, a, paired, b, panel, c, accumulate)
            panel += 2
        if panel < panels:
            tile(1, 1, a, paired, b, panel, c, accumulate)


@inner_kernel
def sum_shards(parts, row):
    """``parts[0, row] += parts[1, row] + parts[2, row] + ...``, in that order, for a (shards, rows, columns) array."""
    for shard in range(1, parts.shape[0]):
        for column in range(parts.shape[2]):
            parts[0, row, column] += parts[shard, row, column]

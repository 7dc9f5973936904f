"""Matrix products over packed panels.

`tile` wants its right operand in *panels*: columns in groups of two vectors, the rows of a group one after another,
so that a product reads memory strictly forward. The recurrent weights serve all time steps of a call, so they are
packed once per call and read from cache ever after. An operand whose rows are already padded to whole panels (the
activations) needs no packing: a strided view of it has the panels' shape.

Columns are padded with zeros to a whole number of panels. The result's rows are as long as that, and what lies beyond
the true columns is written (with zeros) and never read.
"""

from __future__ import annotations

import numpy as np

from kernels.cpu.compilation import kernel
from kernels.cpu.tile import HEIGHT, VECTOR_BYTES, tile

__all__ = ["PANEL_BYTES", "copy", "pack", "padded", "panels_shape", "product"]

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
def pack(matrix, panels, first_row, first_column):
    """Put a matrix into panels, its corner at (first_row, first_column) of the matrix that the panels stand for.

    Parameters
    ----------
    matrix : (rows, columns) array, any strides
    panels : (n_panels, depth, width) array
        ``=`` within the matrix; the rest stays as it is, so padding that was zero is zero.
    first_row, first_column : int
    """
    rows, columns = matrix.shape
    width = panels.shape[2]
    for p in range(first_column // width, panels.shape[0]):
        first = max(0, first_column - p * width)
        last = min(width, first_column + columns - p * width)
        for k in range(rows):
            for j in range(first, last):
                panels[p, first_row + k, j] = matrix[k, p * width + j - first_column]


@kernel
def copy(source, destination):
    """``destination = source`` for two-dimensional arrays of one shape.

    Slice assignment does the same, but each place where it stands costs most of a second of compilation.
    """
    for m in range(source.shape[0]):
        for n in range(source.shape[1]):
            destination[m, n] = source[m, n]


@kernel
def product(a, panels, c, accumulate):
    """``c = a @ b``, or ``c += a @ b``, where `panels` holds b.

    Parameters
    ----------
    a : (rows, depth) array, any strides
    panels : (n_panels, depth, width) array, last axis contiguous
    c : (rows, n_panels * width) array, last axis contiguous, written
    accumulate : bool
    """
    rows = a.shape[0]
    for panel in range(panels.shape[0]):
        row = 0
        while row + HEIGHT <= rows:
            tile(HEIGHT, a, row, panels, panel, c, accumulate)
            row += HEIGHT
        if HEIGHT > 4 and row + 4 <= rows:
            tile(4, a, row, panels, panel, c, accumulate)
            row += 4
        if row + 2 <= rows:
            tile(2, a, row, panels, panel, c, accumulate)
            row += 2
        if row < rows:
            tile(1, a, row, panels, panel, c, accumulate)

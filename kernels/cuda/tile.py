"""Tiles of matrices in shared memory."""

from __future__ import annotations

from numba.core import config
from numba.extending import register_jitable

__all__ = ["DEPTH", "EXTENT", "load_tile"]

EXTENT = 64
"""Rows or columns of a tile, at most"""
DEPTH = 8 if config.ENABLE_CUDASIM else 16
"""Terms of a sum that are in shared memory at once; few in the simulator, so that its small products need several"""


@register_jitable
def load_tile(matrix, depth_is_last, first, extent, k, end, tile, thread, threads):
    """``tile[n, m] = matrix[first + m, k + n]``, zero beyond the matrix; neighbouring threads read neighbours."""
    for index in range(thread, extent * DEPTH, threads):
        if depth_is_last:
            m, n = index // DEPTH, index % DEPTH
            is_inside = first + m < matrix.shape[0] and k + n < end
            tile[n * extent + m] = matrix[first + m, k + n] if is_inside else tile.dtype.type(0)
        else:
            n, m = index // extent, index % extent
            is_inside = first + m < matrix.shape[1] and k + n < end
            tile[n * extent + m] = matrix[k + n, first + m] if is_inside else tile.dtype.type(0)

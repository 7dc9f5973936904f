"""Tiles of matrices in shared memory."""

from __future__ import annotations

from numba.core import config
from numba.extending import register_jitable

__all__ = ["DEPTH", "EXTENT", "PADDING", "deal", "load_tile"]

EXTENT = 64
"""Rows or columns of a tile, at most"""
DEPTH = 8 if config.ENABLE_CUDASIM else 16
"""Terms of a sum that are in shared memory at once; few in the simulator, so that its small products need several"""


PADDING = 4
"""Numbers between two rows of a tile, so that a row's end and the next one's begin lie in different banks"""


@register_jitable
def deal(thread, threads, width):
    """Return where a thread begins when all of them go through rows of a width, and how far it advances each time.

    Divisions of 64-bit numbers are very slow on a GPU: this takes them out of the loops.
    """
    return thread // width, thread % width, threads // width, threads % width


@register_jitable
def load_tile(matrix, depth_is_last, first, extent, k, end, tile, dealt):
    """``tile[n, m] = matrix[first + m, k + n]``, zero beyond the matrix; neighbouring threads read neighbours.

    Parameters
    ----------
    extent : int
        Of m; n goes to `DEPTH`.
    tile : vector in shared memory
        `DEPTH` rows of ``extent + PADDING``.
    dealt : from `deal`
        For rows of `DEPTH` where `depth_is_last`, else for rows of `extent`.
    """
    slow, fast, slow_step, fast_step = dealt
    width, count = (DEPTH, extent) if depth_is_last else (extent, DEPTH)
    while slow < count:
        m, n = (slow, fast) if depth_is_last else (fast, slow)
        number = tile.dtype.type(0)
        if depth_is_last:
            if first + m < matrix.shape[0] and k + n < end:
                number = matrix[first + m, k + n]
        elif first + m < matrix.shape[1] and k + n < end:
            number = matrix[k + n, first + m]
        tile[n * (extent + PADDING) + m] = number
        slow = slow + slow_step
        fast = fast + fast_step
        if fast >= width:
            slow = slow + 1
            fast = fast - width

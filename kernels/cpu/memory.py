"""Memory aligned to cache lines.

NumPy aligns arrays to 16 bytes. A vector of 64 bytes that lies across two cache lines costs two loads, and then every
load of the array does: the same training step took a quarter longer in some processes than in others.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["aligned_over", "aligned_zeros"]

_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a C-contiguous array of zeros that begins at a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    # Untouched pages of it cost nothing, as with np.zeros.
    return _aligned(np.zeros(size + _LINE_BYTES, np.uint8), shape, dtype)


def aligned_over(former: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    """Return an array in the memory of one that is no longer needed, or None if that is too small.

    `former` was made by this module, and its contents stay.
    """
    memory = former.base
    size = math.prod(shape) * np.dtype(dtype).itemsize
    assert memory is not None
    return _aligned(memory, shape, dtype) if size + _LINE_BYTES <= memory.size else None


def _aligned(memory: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    first = -memory.ctypes.data % _LINE_BYTES
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return memory[first : first + size].view(dtype).reshape(shape)

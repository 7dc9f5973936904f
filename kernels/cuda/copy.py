"""Copies from one array on the GPU to another, in turn with the kernels: the driver's own copy would wait for them."""

from __future__ import annotations

from typing import Any

from numba import cuda

from kernels.cuda.launch import launch

__all__ = ["copy_array"]


def copy_array(source: Any, destination: Any) -> None:
    """``destination = source``, contiguous arrays of one shape."""
    launch(_copy, source.size, source.reshape(source.size), destination.reshape(source.size))


@cuda.jit
def _copy(source, destination):
    n = cuda.grid(1)
    if n < source.shape[0]:
        destination[n] = source[n]

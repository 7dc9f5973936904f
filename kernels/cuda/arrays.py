"""Arrays on the GPU: made, filled, copied, and brought to the host and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.call import as_device_array, kernel, new_array
from gatecast.kernels.cuda.launch import launch

__all__ = ["as_array", "copy_array", "copy_into", "empty", "fill", "ones", "to_host", "zeros"]


def zeros(shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array of zeros where this backend computes."""
    return _filled(shape, dtype, 0)


def empty(shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array where this backend computes, for a kernel that writes all of it."""
    return new_array(shape, dtype)


def ones(shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array of ones where this backend computes."""
    return _filled(shape, dtype, 1)


def _filled(shape: tuple[int, ...], dtype: str, value: int) -> Any:
    """Fill an array where it is: copying it from the host would make the GPU wait at every step."""
    array = new_array(shape, dtype)
    fill(array, value)
    return array


def fill(array: Any, value: int) -> None:
    """``array = value``, in order with the kernels."""
    if array.size:
        launch(_fill, array.size, value, array.reshape(array.size))


@kernel
def _fill(value, array):
    n = cuda.grid(1)
    if n < array.shape[0]:
        array[n] = value


def as_array(array: Any, dtype: str) -> Any:
    """Return `array` C-contiguous, of `dtype` and where this backend computes; a copy only if necessary."""
    if hasattr(array, "copy_to_host"):
        if array.dtype != np.dtype(dtype):
            raise TypeError(f"an array on the GPU has dtype {array.dtype}; it must be {dtype}")
        return array
    return as_device_array(np.ascontiguousarray(array, dtype))


def to_host(array: Any) -> np.ndarray:
    """Return a NumPy copy of one of this backend's arrays."""
    return array.copy_to_host()


def copy_into(source: np.ndarray, destination: Any) -> None:
    """``destination = source``, from a NumPy array into one of this backend's."""
    destination.copy_to_device(np.ascontiguousarray(source))


def copy_array(source: Any, destination: Any) -> None:
    """``destination = source``, contiguous arrays of one shape, in order with the kernels.

    The driver's own copy from array to array would wait for them.
    """
    launch(_copy, source.size, source.reshape(source.size), destination.reshape(source.size))


@kernel
def _copy(source, destination):
    n = cuda.grid(1)
    if n < source.shape[0]:
        destination[n] = source[n]

"""Dropout on the GPU: the masks of `kernels.masks`, drawn when they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.masks import Mask
from gatecast.kernels.scalar import dropout_factor

__all__ = ["dropout", "of_dtype"]


def of_dtype(mask: Mask, dtype: Any) -> Mask:
    """Return the mask with a scale of the arrays' dtype, so that float32 arithmetic stays float32."""
    return mask._replace(scale=np.dtype(dtype).type(mask.scale))


def dropout(source: Any, destination: Any, mask: Mask) -> None:
    """``destination = source * mask``; arguments as `kernels.cpu.dropout.dropout`."""
    launch(_dropout, (source.shape[0], source.shape[2]), source, destination, of_dtype(mask, source.dtype))


@kernel
def _dropout(source, destination, mask):
    j, b = cuda.grid(2)
    if b < source.shape[0] and j < source.shape[2]:
        for t in range(source.shape[1]):
            step = t if mask.per_step else 0
            factor = dropout_factor(b * source.shape[2] + j, step, mask.key, mask.threshold, mask.scale)
            destination[b, t, j] = source[b, t, j] * factor

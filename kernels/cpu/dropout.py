"""Dropout: the masks of `kernels.masks`, drawn when they are used."""

from __future__ import annotations

import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.masks import Mask
from gatecast.kernels.scalar import dropout_factor

__all__ = ["draw_mask", "dropout"]


def dropout(source: np.ndarray, destination: np.ndarray, mask: Mask) -> None:
    """``destination = source * mask``; the same call serves forward and backward.

    Parameters
    ----------
    source, destination : (B, T, columns) arrays
        They may be the same array. `destination` is ``=``.
    mask : Mask
        One for all steps T of a row, or another for each.
    """
    run(_dropout, source, destination, mask)


@kernel
def _dropout(source, destination, mask):
    scale = source.dtype.type(mask.scale)
    for b in range(source.shape[0]):
        for t in range(source.shape[1]):
            step = t if mask.per_step else 0
            for j in range(source.shape[2]):
                factor = dropout_factor(b * source.shape[2] + j, step, mask.key, mask.threshold, scale)
                destination[b, t, j] = source[b, t, j] * factor


@inner_kernel
def draw_mask(mask, first_row, step, factors):
    """``factors[r, j] =`` the factor of element j of the batch's row ``first_row + r``; (rows, columns)."""
    scale = factors.dtype.type(mask.scale)
    columns = factors.shape[1]
    for r in range(factors.shape[0]):
        for j in range(columns):
            element = (first_row + r) * columns + j
            factors[r, j] = dropout_factor(element, step, mask.key, mask.threshold, scale)

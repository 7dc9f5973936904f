"""One step of the optimiser on the GPU; nothing comes back to the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from kernels.cuda.launch import launch
from kernels.cuda.reduction import DeviceNumber, sum_of_products_parts, total

__all__ = ["adam_step", "clip_gradient_norm"]


def adam_step(
    values: Any,
    gradients: Any,
    first_moment: Any,
    second_moment: Any,
    step: int,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> None:
    """Adam with decoupled weight decay; arguments as `kernels.cpu.optim.adam_step`."""
    number = np.dtype(values.dtype).type
    beta_1, beta_2 = betas
    constants = (
        learning_rate / (1 - beta_1**step), 1 / math.sqrt(1 - beta_2**step), 1 - learning_rate * weight_decay,
        beta_1, beta_2, epsilon, 1,
    )  # fmt: skip
    launch(
        _adam, values.shape[0], values, gradients, first_moment, second_moment, *(number(value) for value in constants)
    )


def clip_gradient_norm(gradients: Any, max_norm: float) -> DeviceNumber:
    """Scale `gradients` to a norm of at most `max_norm`; as `kernels.cpu.optim.clip_gradient_norm`.

    Returns
    -------
    DeviceNumber
        The norm they had, still on the GPU.
    """
    norm = cuda.device_array(1, np.float64)
    _norm[1, 1](sum_of_products_parts(gradients, gradients), norm)
    if math.isfinite(max_norm):
        launch(_clip, gradients.shape[0], gradients, norm, max_norm)
    return DeviceNumber(norm)


@cuda.jit
def _adam(values, gradients, first, second, step_size, root_correction, keep, beta_1, beta_2, epsilon, one):
    n = cuda.grid(1)
    if n < values.shape[0]:
        gradient = gradients[n]
        first[n] = beta_1 * first[n] + (one - beta_1) * gradient
        second[n] = beta_2 * second[n] + (one - beta_2) * gradient * gradient
        values[n] = keep * values[n] - step_size * first[n] / (math.sqrt(second[n]) * root_correction + epsilon)


@cuda.jit
def _norm(square_parts, norm):
    norm[0] = math.sqrt(total(square_parts))


@cuda.jit
def _clip(gradients, norm, max_norm):
    n = cuda.grid(1)
    if n < gradients.shape[0] and norm[0] > max_norm:
        gradients[n] *= gradients.dtype.type(max_norm / norm[0])

"""One step of the optimiser on the GPU; nothing comes back to the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda
from numba.extending import register_jitable

from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.reduction import DeviceNumber, sum_of_products_parts, total
from gatecast.kernels.scalar import average_rate
from gatecast.kernels.window_training import AdamArrays, AdamConstants

__all__ = ["adam_rates", "adam_step", "adam_step_at", "average_into", "clip_gradient_norm"]


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
    constants = AdamConstants(*betas, epsilon, weight_decay, math.inf, 0.0)
    rates = adam_rates(step, learning_rate, constants)[:3]
    arrays = values, gradients, first_moment, second_moment
    launch(_adam, values.shape[0], *arrays, *_of_dtype((*rates, *_decays(constants)), values.dtype))


def adam_rates(step: int, learning_rate: float, constants: AdamConstants) -> tuple[float, float, float, float]:
    """Return the factors that change from step to step.

    They are Adam's step size, root of a correction and share that is kept, and the rate of the weights' average.
    """
    return (
        learning_rate / (1 - constants.beta_1**step),
        1 / math.sqrt(1 - constants.beta_2**step),
        1 - learning_rate * constants.weight_decay,
        average_rate(step, constants.average_decay),
    )


def adam_step_at(rates: Any, arrays: AdamArrays, constants: AdamConstants) -> None:
    """`adam_step`, and `average_into` where there is an average, with what `adam_rates` returns on the GPU, (4,)."""
    count = arrays.values.shape[0]
    launch(_adam_at, count, *arrays[:4], rates, *_of_dtype(_decays(constants), arrays.values.dtype))
    if arrays.average.shape[0]:
        launch(_average_at, count, arrays.values, arrays.average, rates)


def average_into(values: Any, average: Any, step: int, decay: float) -> None:
    """Move an average of the weights towards what they are after a step; as `kernels.cpu.optim.average_into`."""
    launch(_average, values.shape[0], values, average, *_of_dtype([average_rate(step, decay)], values.dtype))


def _decays(constants: AdamConstants) -> tuple[float, float, float, float]:
    return constants.beta_1, constants.beta_2, constants.epsilon, 1.0


def _of_dtype(values: Sequence[float], dtype: Any) -> list[Any]:
    return [np.dtype(dtype).type(value) for value in values]


def clip_gradient_norm(gradients: Any, max_norm: float) -> DeviceNumber:
    """Scale `gradients` to a norm of at most `max_norm`; as `kernels.cpu.optim.clip_gradient_norm`.

    Returns
    -------
    DeviceNumber
        The norm they had, still on the GPU.
    """
    norm = new_array(1, np.float64)
    run(_norm, 1, 1, 0, sum_of_products_parts(gradients, gradients), norm)
    if math.isfinite(max_norm):
        launch(_clip, gradients.shape[0], gradients, norm, max_norm)
    return DeviceNumber(norm)


@kernel
def _adam(values, gradients, first, second, step_size, root_correction, keep, beta_1, beta_2, epsilon, one):
    n = cuda.grid(1)
    if n < values.shape[0]:
        _update(n, values, gradients, first, second, step_size, root_correction, keep, beta_1, beta_2, epsilon, one)


@kernel
def _adam_at(values, gradients, first, second, rates, beta_1, beta_2, epsilon, one):
    n = cuda.grid(1)
    if n < values.shape[0]:
        _update(n, values, gradients, first, second, rates[0], rates[1], rates[2], beta_1, beta_2, epsilon, one)


@register_jitable
def _update(n, values, gradients, first, second, step_size, root_correction, keep, beta_1, beta_2, epsilon, one):
    gradient = gradients[n]
    first[n] = beta_1 * first[n] + (one - beta_1) * gradient
    second[n] = beta_2 * second[n] + (one - beta_2) * gradient * gradient
    values[n] = keep * values[n] - step_size * first[n] / (math.sqrt(second[n]) * root_correction + epsilon)


@kernel
def _average(values, average, rate):
    n = cuda.grid(1)
    if n < values.shape[0]:
        average[n] += rate * (values[n] - average[n])


@kernel
def _average_at(values, average, rates):
    n = cuda.grid(1)
    if n < values.shape[0]:
        average[n] += rates[3] * (values[n] - average[n])


@kernel
def _norm(square_parts, norm):
    norm[0] = math.sqrt(total(square_parts))


@kernel
def _clip(gradients, norm, max_norm):
    n = cuda.grid(1)
    if n < gradients.shape[0] and norm[0] > max_norm:
        gradients[n] *= gradients.dtype.type(max_norm / norm[0])

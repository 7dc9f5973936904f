"""One step of the optimiser over a model's flat vectors of parameters and gradients."""

from __future__ import annotations

import math

import numpy as np

from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.scalar import average_rate

__all__ = ["adam_step", "average_into", "clip", "clip_gradient_norm", "move_average", "update"]


def adam_step(
    values: np.ndarray,
    gradients: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    step: int,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> None:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) with decoupled weight decay (Loshchilov & Hutter 2019).

    Parameters
    ----------
    values : (n,) array
        ``+=``
    gradients : (n,) array
    first_moment, second_moment : (n,) arrays
        ``=`` running means of the gradient and its square; zero before the first step.
    step : int
        1 for the first step.
    learning_rate, epsilon, weight_decay : float
    betas : (float, float)
    """
    run(update, values, gradients, first_moment, second_moment, step, learning_rate, *betas, epsilon, weight_decay)


def clip_gradient_norm(gradients: np.ndarray, max_norm: float) -> float:
    """Scale `gradients` to a Euclidean norm of at most `max_norm` (Pascanu et al. 2013); return the norm they had.

    Parameters
    ----------
    gradients : (n,) array
        ``=``
    max_norm : float
        Infinity leaves the gradients as they are.
    """
    return run(clip, gradients, max_norm)


def average_into(values: np.ndarray, average: np.ndarray, step: int, decay: float) -> None:
    """Move an exponential moving average of the weights towards what they are after a step.

    Parameters
    ----------
    values : (n,) array
    average : (n,) array
        ``+=``
    step : int
        1 for the first step.
    decay : float
        Share of the average that stays; less in the first steps, see `kernels.scalar.average_rate`.
    """
    move_average(values, average, average_rate(step, decay))


@kernel
def update(values, gradients, first, second, step, learning_rate, beta_1, beta_2, epsilon, weight_decay):
    """`adam_step`, compiled."""
    number = values.dtype.type
    step_size = number(learning_rate / (1 - beta_1**step))
    root_correction = number(1 / math.sqrt(1 - beta_2**step))
    keep = number(1 - learning_rate * weight_decay)
    beta_1 = number(beta_1)
    beta_2 = number(beta_2)
    epsilon = number(epsilon)
    one = number(1)
    for n in range(values.shape[0]):
        gradient = gradients[n]
        first[n] = beta_1 * first[n] + (one - beta_1) * gradient
        second[n] = beta_2 * second[n] + (one - beta_2) * gradient * gradient
        values[n] = keep * values[n] - step_size * first[n] / (np.sqrt(second[n]) * root_correction + epsilon)


@kernel
def move_average(values, average, rate):
    """`average_into`, compiled; an average without elements stays so."""
    rate = values.dtype.type(rate)
    for n in range(average.shape[0]):
        average[n] += rate * (values[n] - average[n])


@kernel
def clip(gradients, max_norm):
    """`clip_gradient_norm`, compiled."""
    norm = math.sqrt(_sum_of_squares(gradients))
    if norm > max_norm:
        scale = gradients.dtype.type(max_norm / norm)
        for n in range(gradients.shape[0]):
            gradients[n] *= scale
    return norm


@inner_kernel
def _sum_of_squares(numbers):
    """Add up in float64, four sums side by side: a single one would wait for each of its additions."""
    count = numbers.shape[0] - numbers.shape[0] % 4
    a = b = c = d = 0.0
    for n in range(0, count, 4):
        a = a + np.float64(numbers[n]) ** 2
        b = b + np.float64(numbers[n + 1]) ** 2
        c = c + np.float64(numbers[n + 2]) ** 2
        d = d + np.float64(numbers[n + 3]) ** 2
    for n in range(count, numbers.shape[0]):
        a += np.float64(numbers[n]) ** 2
    return (a + b) + (c + d)

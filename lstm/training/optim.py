"""The optimiser and the course of its learning rate."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from gatecast.kernels.window_training import AdamArrays, AdamConstants
from gatecast.lstm.nn.parameters import Parameters

__all__ = ["Adam", "learning_rate_at"]


class Adam:
    """Adam with decoupled weight decay over a model's flat vectors (arXiv 1412.6980 and 1711.05101).

    Parameters
    ----------
    parameters : Parameters
    ops : module
        The backend that holds them.
    weight_decay, gradient_clip : float
    average_decay : float, optional
        Keep a running average of the values that forgets as much in a step; see `kernels.scalar.average_rate`.
    betas, epsilon : as in the paper
    """

    def __init__(
        self,
        parameters: Parameters,
        ops: ModuleType,
        *,
        weight_decay: float = 0.0,
        gradient_clip: float = math.inf,
        average_decay: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ):
        self._parameters = parameters
        self._ops = ops
        self._weight_decay = weight_decay
        self._gradient_clip = gradient_clip
        self._average_decay = average_decay or 0.0
        self._betas = betas
        self._epsilon = epsilon
        dtype = np.dtype(parameters.values.dtype).name
        self._first = ops.zeros((len(parameters),), dtype)
        self._second = ops.zeros((len(parameters),), dtype)
        self._average = ops.zeros((0 if average_decay is None else len(parameters),), dtype)
        if self.averages:
            ops.copy_into(ops.to_host(parameters.values), self._average)
        self.steps = 0

    @property
    def averages(self) -> bool:
        """Whether a running average of the values is kept."""
        return self._average.shape[0] > 0

    def step(self, learning_rate: float) -> float:
        """Clip the gradients, update the values, and return the norm that the gradients had."""
        norm = self._ops.clip_gradient_norm(self._parameters.gradients, self._gradient_clip)
        self.steps += 1
        self._ops.adam_step(
            self._parameters.values, self._parameters.gradients, self._first, self._second, self.steps,
            learning_rate, self._betas, self._epsilon, self._weight_decay,
        )  # fmt: skip
        if self.averages:
            self._ops.average_into(self._parameters.values, self._average, self.steps, self._average_decay)
        self._parameters.changed()
        return norm

    def took(self, steps: int) -> None:
        """Count `steps` steps that were taken elsewhere with `arrays` and `constants`."""
        self.steps += steps
        self._parameters.changed()

    @property
    def arrays(self) -> AdamArrays:
        """The vectors that a step works on."""
        return AdamArrays(self._parameters.values, self._parameters.gradients, self._first, self._second, self._average)

    @property
    def constants(self) -> AdamConstants:
        """The settings of a step."""
        return AdamConstants(*self._betas, self._epsilon, self._weight_decay, self._gradient_clip, self._average_decay)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy the moments and, if it is kept, the average, each a flat vector; the number of steps is an attribute."""
        arrays = {"first_moment": self._first, "second_moment": self._second}
        if self.averages:
            arrays["average"] = self._average
        return {name: self._ops.to_host(array) for name, array in arrays.items()}

    def load_state_dict(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        """Load moments, average and number of steps."""
        self._ops.copy_into(arrays["first_moment"], self._first)
        self._ops.copy_into(arrays["second_moment"], self._second)
        if self.averages:
            self._ops.copy_into(arrays["average"], self._average)
        self.steps = steps


def learning_rate_at(step: int, total_steps: int, peak: float, schedule: str, worse_epochs: int = 0) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    step : int
        0 for the first.
    total_steps : int
    peak : float
    schedule : {"constant", "cosine", "one_cycle", "warm_up", "plateau"}
        `peak` throughout; falling from it to a twentieth by a half cosine; rising to it from a twentieth over the first
        twentieth of the steps, then falling to a hundredth by a half cosine (Smith & Topin 2018, arXiv 1708.07120);
        rising in the same way, staying, and falling to a hundredth over the last fifth in a straight line (Hägele et
        al. 2024, arXiv 2405.18392); or `peak` halved after each epoch that was no better than the best before it.
    worse_epochs : int
        How many such epochs there have been, for "plateau".
    """
    if schedule == "constant":
        return peak
    if schedule == "plateau":
        return peak * 0.5**worse_epochs
    if schedule == "cosine":
        return _half_cosine(step / max(1, total_steps - 1), peak, peak / 20)
    if schedule not in ("one_cycle", "warm_up"):
        raise ValueError(f"{schedule!r} is no schedule; choose constant, cosine, one_cycle, warm_up or plateau")
    warm_up = total_steps // 20
    if step < warm_up:
        return peak * (0.05 + 0.95 * step / warm_up)
    if schedule == "warm_up":
        cool_down = total_steps // 5
        return peak * (1 - 0.99 * max(0, step - (total_steps - 1 - cool_down)) / max(1, cool_down))
    return _half_cosine((step - warm_up) / max(1, total_steps - warm_up - 1), peak, peak / 100)


def _half_cosine(progress: float, first: float, last: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))

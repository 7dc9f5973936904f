"""Many training steps in one call: the first is recorded as the layers take it, the others are replays of it.

See `kernels.cpu.call`: the steps are the same kernels in the same order, whatever the network is made of, so the bits
are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gatecast.kernels.cpu.call import Replay, record, run
from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.cpu.optim import clip, move_average, update
from gatecast.kernels.scalar import average_rate
from gatecast.kernels.varying import ReplayedSteps, VaryingFloat, VaryingInt
from gatecast.kernels.window_training import AdamArrays, AdamConstants

__all__ = ["window_training"]


def window_training(
    backpropagate: Callable[[np.ndarray, int], float],
    shape: tuple[int, int, int],
    optimizer: AdamArrays,
    constants: AdamConstants,
) -> Callable[[np.ndarray, int, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Prepare training on one batch of windows after another: gather, forward, backward, clip, Adam.

    Parameters
    ----------
    backpropagate : callable
        Takes the places of a batch's windows, int64 (kinds, B), and the number of steps before this one; writes the
        gradients and returns the loss. All it does must be operations of this backend on arrays that are there for
        good, or are made by it. It is called for the first steps only, and repeated without being called.
    shape : (steps, kinds, B)
        Of the places of as many steps as one call may take.
    optimizer : AdamArrays
        ``+=`` its values, ``=`` the rest.
    constants : AdamConstants

    Returns
    -------
    callable
        Takes places, int64 (steps, kinds, B); the number of the first step, 1 for the first of a training; and the
        learning rates, (steps,) float64. It takes the steps, and returns (steps,) float64 losses and norms: the loss of
        each batch, and the Euclidean norm of its gradients before clipping.
    """
    return _WindowTraining(backpropagate, shape, optimizer, constants).take


class _WindowTraining:
    def __init__(
        self,
        backpropagate: Callable[[np.ndarray, int], float],
        shape: tuple[int, int, int],
        optimizer: AdamArrays,
        constants: AdamConstants,
    ):
        self._backpropagate = backpropagate
        self._optimizer = optimizer
        self._constants = constants
        self._places = np.empty(shape, np.int64)
        self._places_now = np.empty(shape[1:], np.int64)
        self._replay: Replay | None = None
        self._columns: list[int] = []

    def take(self, places: np.ndarray, first_step: int, learning_rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take a step for each of `places`; see `window_training`."""
        count = len(places)
        self._places[:count] = places
        numbers = np.arange(first_step - 1, first_step - 1 + count)
        steps = ReplayedSteps(numbers, np.arange(count), np.asarray(learning_rates, np.float64))
        results = np.empty((count, 2))
        recorded = 0
        if self._replay is None:
            numbers_of_step, self._replay = record(lambda: self._step(steps))
            results[0] = numbers_of_step
            self._columns = [number.column for number in numbers_of_step]
            recorded = 1
        if count > recorded:
            results[recorded:] = self._replay(steps.part(recorded, count))[:, self._columns]
        return results[:, 0], results[:, 1]

    def _step(self, steps: ReplayedSteps) -> tuple[Any, Any]:
        """Take the first of the steps; return its loss and norm, `RecordedNumber` both."""
        place = VaryingInt(0, lambda steps: steps.places)
        number = VaryingInt(int(steps.numbers[0]), lambda steps: steps.numbers)
        count = VaryingInt(number + 1, lambda steps: steps.numbers + 1)
        learning_rate = VaryingFloat(steps.learning_rates[0], lambda steps: steps.learning_rates)
        constants = self._constants
        run(_take, self._places, place, self._places_now)
        loss = self._backpropagate(self._places_now, number)
        norm = run(clip, self._optimizer.gradients, constants.gradient_clip)
        run(
            update, *self._optimizer[:4], count, learning_rate, constants.beta_1, constants.beta_2, constants.epsilon,
            constants.weight_decay,
        )  # fmt: skip
        if len(self._optimizer.average):
            decay = constants.average_decay
            rate = VaryingFloat(
                average_rate(count, decay), lambda steps: np.array([average_rate(n + 1, decay) for n in steps.numbers])
            )
            run(move_average, self._optimizer.values, self._optimizer.average, rate)
        return loss, norm


@kernel
def _take(places, step, places_now):
    """Put the places of a step's windows where the other kernels look for them."""
    for kind in range(places_now.shape[0]):
        for n in range(places_now.shape[1]):
            places_now[kind, n] = places[step, kind, n]

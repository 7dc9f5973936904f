"""Many training steps on windows of a series: the first is launched kernel by kernel, the others as one CUDA graph.

A step of a small network has thirty launches and takes the GPU less time than it takes the host to launch them. A graph
is recorded once and launched as one. It reads what changes from step to step from the GPU's memory: `_take` puts a
batch's places and the optimiser's rates where the recorded kernels look for them, `_keep` counts the step. Dropout
masks are numbers that a launch is given, so a network with dropout cannot be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.arrays import copy_array, fill
from gatecast.kernels.cuda.call import as_device_array, kernel, new_array, record, run
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.optim import adam_rates, adam_step_at, clip_gradient_norm
from gatecast.kernels.cuda.reduction import DeviceNumber
from gatecast.kernels.window_training import AdamArrays, AdamConstants

__all__ = ["window_training"]


def window_training(
    backpropagate: Callable[[Any, int], Any],
    shape: tuple[int, int, int],
    optimizer: AdamArrays,
    constants: AdamConstants,
) -> Callable[[Any, int, Sequence[float]], tuple[list[DeviceNumber], list[DeviceNumber]]]:
    """Prepare training steps on windows; as `kernels.cpu.window_training.window_training`, but without dropout."""
    return _WindowTraining(backpropagate, shape, optimizer, constants).take


class _WindowTraining:
    def __init__(
        self,
        backpropagate: Callable[[Any, int], Any],
        shape: tuple[int, int, int],
        optimizer: AdamArrays,
        constants: AdamConstants,
    ):
        most_steps, kinds, batch_size = shape
        self._backpropagate = backpropagate
        self._optimizer = optimizer
        self._constants = constants
        self._position = new_array(1, "int64")
        self._places = new_array((most_steps, kinds * batch_size), "int64")
        self._places_now = new_array(kinds * batch_size, "int64")
        self._of_kinds = self._places_now.reshape(kinds, batch_size)
        self._rates = new_array((most_steps, 4), optimizer.values.dtype)
        self._rates_now = new_array(4, optimizer.values.dtype)
        self._results = new_array((2, most_steps), "float64")
        self._replay: Callable[[], Any] | None = None

    def take(
        self, places: Any, first_step: int, learning_rates: Sequence[float]
    ) -> tuple[list[DeviceNumber], list[DeviceNumber]]:
        """Take a step for each of `places`, (steps, kinds, B)."""
        steps = len(learning_rates)
        rates = [adam_rates(first_step + n, rate, self._constants) for n, rate in enumerate(learning_rates)]
        copy_array(places, self._places[:steps])
        copy_array(as_device_array(np.array(rates, self._rates.dtype)), self._rates[:steps])
        fill(self._position, 0)
        for _ in range(steps):
            self._take_one()
        found = new_array((2, self._results.shape[1]), "float64")  # a graph writes to the same place every time
        copy_array(self._results, found)
        first, second = ([DeviceNumber(found, (row, step)) for step in range(steps)] for row in range(2))
        return first, second

    def _take_one(self) -> None:
        if self._replay is not None:
            self._replay()
            return
        self._step()  # compiles and loads the kernels
        self._replay = record(self._step)

    def _step(self) -> None:
        most = max(self._places_now.shape[0], 4)
        launch(_take, most, self._position, self._places, self._rates, self._places_now, self._rates_now)
        loss = self._backpropagate(self._of_kinds, 0)
        norm = clip_gradient_norm(self._optimizer.gradients, self._constants.gradient_clip)
        adam_step_at(self._rates_now, self._optimizer, self._constants)
        run(_keep, 1, 1, 0, loss.array, norm.array, self._position, self._results)


@kernel
def _take(position, places, rates, places_now, rates_now):
    """Put the places and the rates of the step that `position` counts where the others look for them."""
    n = cuda.grid(1)
    step = position[0]
    if n < places_now.shape[0]:
        places_now[n] = places[step, n]
    if n < rates_now.shape[0]:
        rates_now[n] = rates[step, n]


@kernel
def _keep(loss, norm, position, results):
    """Keep the results of the step, and count it."""
    results[0, position[0]] = loss[0]
    results[1, position[0]] = norm[0]
    position[0] += 1

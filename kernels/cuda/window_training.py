"""Many training steps on windows of a series: the first is launched kernel by kernel, the others as one CUDA graph.

A step of a small network has thirty launches and takes the GPU less time than it takes the host to launch them. A graph
is recorded once and launched as one. It reads what changes from step to step from the GPU's memory: `_take` puts a
batch's windows and the optimiser's rates where the recorded kernels look for them, `_keep` counts the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.arrays import copy_array, fill
from gatecast.kernels.cuda.call import as_device_array, kernel, new_array, record, run
from gatecast.kernels.cuda.gather import copy_windows
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.linear import linear_backward, linear_forward
from gatecast.kernels.cuda.loss import mse_loss
from gatecast.kernels.cuda.lstm import lstm_backward, lstm_forward
from gatecast.kernels.cuda.optim import adam_rates, adam_step_at, clip_gradient_norm
from gatecast.kernels.cuda.reduction import DeviceNumber
from gatecast.kernels.window_training import AdamArrays, AdamConstants, WindowPass

__all__ = ["window_training"]


def window_training(
    values: Any, arrays: WindowPass, optimizer: AdamArrays, constants: AdamConstants
) -> Callable[[Any, int, Sequence[float]], tuple[list[DeviceNumber], list[DeviceNumber]]]:
    """Prepare training steps on windows; as `kernels.cpu.window_training.window_training`."""
    return _WindowTraining(values, arrays, optimizer, constants).take


class _WindowTraining:
    def __init__(self, values: Any, arrays: WindowPass, optimizer: AdamArrays, constants: AdamConstants):
        self._values = values
        self._arrays = arrays
        self._optimizer = optimizer
        self._constants = constants
        self._position = new_array(1, "int64")
        self._starts_now = new_array(arrays.y_hat.shape[0], "int64")
        self._rates_now = new_array(4, optimizer.values.dtype)
        # Gradients of the first states: not used, but the passes work on them step by step.
        first = new_array(arrays.zero_state.shape, arrays.zero_state.dtype)
        self._d_first = first, new_array(first.shape, first.dtype)
        self._capacity = 0
        self._replay: Callable[[], Any] | None = None

    def take(
        self, starts: Any, first_step: int, learning_rates: Sequence[float]
    ) -> tuple[list[DeviceNumber], list[DeviceNumber]]:
        """Take a step for each of `starts`, (steps, B)."""
        steps = len(learning_rates)
        rates = [adam_rates(first_step + n, rate, self._constants) for n, rate in enumerate(learning_rates)]
        self._make_room(steps)
        copy_array(starts, self._starts[:steps])
        copy_array(as_device_array(np.array(rates, self._rates.dtype)), self._rates[:steps])
        fill(self._position, 0)
        for _ in range(steps):
            self._take_one()
        found = new_array((2, self._capacity), "float64")  # what is recorded writes to the same place every time
        copy_array(self._results, found)
        first, second = ([DeviceNumber(found, (row, step)) for step in range(steps)] for row in range(2))
        return first, second

    def _make_room(self, steps: int) -> None:
        if steps > self._capacity:
            self._capacity = steps
            self._replay = None
            self._starts = new_array((steps, len(self._starts_now)), "int64")
            self._rates = new_array((steps, 4), self._rates_now.dtype)
            self._results = new_array((2, steps), "float64")

    def _take_one(self) -> None:
        if self._replay is not None:
            self._replay()
            return
        self._step()  # compiles and loads the kernels
        self._replay = record(self._step)

    def _step(self) -> None:
        batch_size = len(self._starts_now)
        launch(_take, max(batch_size, 4), self._position, self._starts, self._rates, self._starts_now, self._rates_now)
        loss = _backpropagate(self._values, self._starts_now, self._arrays, self._d_first)
        norm = clip_gradient_norm(self._optimizer.gradients, self._constants.gradient_clip)
        adam_step_at(self._rates_now, self._optimizer, self._constants)
        run(_keep, 1, 1, 0, loss.array, norm.array, self._position, self._results)


def _backpropagate(values: Any, starts: Any, arrays: WindowPass, d_first: tuple[Any, Any]) -> DeviceNumber:
    """Write the gradients of one batch and return its loss."""
    zeros = arrays.zero_state
    unused = arrays.unused_state
    windows = arrays.layers[0].x
    copy_windows(values, starts, 0, windows)
    copy_windows(values, starts, windows.shape[1], arrays.y)
    for layer in arrays.layers:
        y = layer.y if layer.y.size else None
        lstm_forward(layer.weights, layer.x, zeros, zeros, layer.workspace, y, arrays.h_n, unused)
    linear_forward(arrays.head_weights, arrays.h_n, arrays.head_workspace, arrays.y_hat)
    loss = mse_loss(arrays.y_hat, arrays.y.reshape(*arrays.y_hat.shape), arrays.row_weights, arrays.dy_hat)
    linear_backward(arrays.head_weights, arrays.dy_hat, arrays.head_workspace, arrays.head_gradients, arrays.dh_n)
    dh_n = arrays.dh_n
    for layer in reversed(arrays.layers):
        dy, dx = (array if array.size else None for array in (layer.dy, layer.dx))
        lstm_backward(layer.weights, dy, dh_n, zeros, layer.workspace, layer.gradients, dx, *d_first)
        dh_n = zeros
    return loss


@kernel
def _take(position, starts, rates, starts_now, rates_now):
    """Put the batch and the rates of the step that `position` counts where the others look for them."""
    n = cuda.grid(1)
    step = position[0]
    if n < starts_now.shape[0]:
        starts_now[n] = starts[step, n]
    if n < rates_now.shape[0]:
        rates_now[n] = rates[step, n]


@kernel
def _keep(loss, norm, position, results):
    """Keep the results of the step, and count it."""
    results[0, position[0]] = loss[0]
    results[1, position[0]] = norm[0]
    position[0] += 1

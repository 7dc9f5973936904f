"""Many training steps in one call, for a plain network of LSTM layers with a linear head on windows of a series.

A step of a small network takes a tenth of a millisecond, and the interpreter needs a fifth of that between kernels.
Here the steps follow each other in compiled code; they are the same kernels in the same order as in
`lstm.forecasting.network`, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gatecast.kernels.cpu.compilation import kernel, start_threads
from gatecast.kernels.cpu.gather import copy_windows
from gatecast.kernels.cpu.linear import backward_alone, forward_alone
from gatecast.kernels.cpu.loss import squared_error
from gatecast.kernels.cpu.lstm import NO_LENGTHS, backward_shards, forward_shards
from gatecast.kernels.cpu.optim import clip, move_average, update
from gatecast.kernels.masks import NO_MASK
from gatecast.kernels.scalar import average_rate
from gatecast.kernels.window_training import AdamArrays, AdamConstants, WindowPass

__all__ = ["window_training"]


def window_training(
    values: np.ndarray, arrays: WindowPass, optimizer: AdamArrays, constants: AdamConstants
) -> Callable[[np.ndarray, int, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Prepare training on one batch of windows after another: gather, forward, backward, clip, Adam.

    Parameters
    ----------
    values : (rows, columns) array
        All series, one after another; the target is column 0.
    arrays : WindowPass
        A step writes, ``=``, all but the weights.
    optimizer : AdamArrays
        ``+=`` its values, which are those that the weights in `arrays` are views of; ``=`` the rest.
    constants : AdamConstants

    Returns
    -------
    callable
        Takes the first row of each window of each batch, (steps, B) int64; the number of the first step, 1 for the
        first of a training; and the learning rates, (steps,) float64. It takes the steps, and returns (steps,) float64
        losses and norms: mean squared error of each batch, and Euclidean norm of its gradients before clipping.
    """
    start_threads()

    def take(starts: np.ndarray, first_step: int, learning_rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take one step for each row of `starts`; see `window_trainer`."""
        losses = np.empty(len(starts))
        norms = np.empty(len(starts))
        _train_windows(
            values, starts, arrays, optimizer, constants, first_step, learning_rates, losses, norms,
            NO_LENGTHS, NO_MASK, True,
        )  # fmt: skip
        return losses, norms

    return take


@kernel
def _train_windows(
    values, starts, arrays, optimizer, constants, first_step, learning_rates, losses, norms, no_lengths, no_mask, packs
):
    # One function, since what it calls is optimised again at every level of calls that it is compiled into.
    zeros = arrays.zero_state
    unused = arrays.unused_state
    last = len(arrays.layers) - 1
    windows = arrays.layers[0].x
    y = arrays.y.reshape(arrays.y_hat.shape)
    for step in range(starts.shape[0]):
        copy_windows(values, starts[step], 0, windows)
        copy_windows(values, starts[step], windows.shape[1], arrays.y)
        for n in range(last + 1):
            layer = arrays.layers[n]
            forward_shards(
                layer.weights, layer.x, None, zeros, zeros, layer.workspace, layer.y, arrays.h_n, unused, packs,
                no_lengths, no_mask, no_mask,
            )  # fmt: skip
        forward_alone(arrays.head_weights, arrays.h_n, arrays.head_workspace, arrays.y_hat)
        losses[step] = squared_error(arrays.y_hat, y, arrays.row_weights, arrays.dy_hat)
        backward_alone(arrays.head_weights, arrays.dy_hat, arrays.head_workspace, arrays.head_gradients, arrays.dh_n)
        for n in range(last, -1, -1):
            layer = arrays.layers[n]
            dh_n = arrays.dh_n if n == last else zeros
            backward_shards(
                layer.weights, layer.dy, dh_n, zeros, layer.workspace, layer.gradients, layer.dx, None, unused,
                unused, no_lengths, no_mask, no_mask,
            )  # fmt: skip
        norms[step] = clip(optimizer.gradients, constants.gradient_clip)
        update(
            optimizer.values, optimizer.gradients, optimizer.first_moment, optimizer.second_moment, first_step + step,
            learning_rates[step], constants.beta_1, constants.beta_2, constants.epsilon, constants.weight_decay,
        )  # fmt: skip
        move_average(optimizer.values, optimizer.average, average_rate(first_step + step, constants.average_decay))

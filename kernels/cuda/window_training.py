"""Many training steps on windows of a series, launched one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernels.cuda.gather import copy_windows
from kernels.cuda.linear import linear_backward, linear_forward
from kernels.cuda.loss import mse_loss
from kernels.cuda.lstm import lstm_backward, lstm_forward
from kernels.cuda.optim import adam_step, clip_gradient_norm
from kernels.cuda.reduction import DeviceNumber
from kernels.window_training import AdamArrays, AdamConstants, WindowPass

__all__ = ["train_windows"]


def train_windows(
    values: Any,
    starts: Any,
    arrays: WindowPass,
    optimizer: AdamArrays,
    constants: AdamConstants,
    first_step: int,
    learning_rates: Sequence[float],
) -> tuple[list[DeviceNumber], list[DeviceNumber]]:
    """Train on one batch of windows after another; arguments as `kernels.cpu.window_training.train_windows`."""
    losses, norms = [], []
    betas = constants.beta_1, constants.beta_2
    for n, learning_rate in enumerate(learning_rates):
        losses.append(_backpropagate(values, starts[n], arrays))
        norms.append(clip_gradient_norm(optimizer.gradients, constants.gradient_clip))
        adam_step(*optimizer, first_step + n, learning_rate, betas, constants.epsilon, constants.weight_decay)
    return losses, norms


def _backpropagate(values: Any, starts: Any, arrays: WindowPass) -> DeviceNumber:
    """Write the gradients of one batch and return its loss."""
    zeros, unused, windows = arrays.zero_state, arrays.unused_state, arrays.layers[0].x
    copy_windows(values, starts, 0, windows)
    copy_windows(values, starts, windows.shape[1], arrays.y)
    for layer in arrays.layers:
        y = layer.y if layer.y.size else None
        lstm_forward(layer.weights, layer.x, zeros, zeros, layer.workspace, y, arrays.h_n, unused)
    linear_forward(arrays.head_weights, arrays.h_n, arrays.head_workspace, arrays.y_hat)
    loss = mse_loss(arrays.y_hat, arrays.y.reshape(arrays.y_hat.shape), arrays.row_weights, arrays.dy_hat)
    linear_backward(arrays.head_weights, arrays.dy_hat, arrays.head_workspace, arrays.head_gradients, arrays.dh_n)
    dh_n = arrays.dh_n
    for layer in reversed(arrays.layers):
        dy, dx = (array if array.size else None for array in (layer.dy, layer.dx))
        lstm_backward(layer.weights, dy, dh_n, zeros, layer.workspace, layer.gradients, dx, unused, unused)
        dh_n = zeros
    return loss

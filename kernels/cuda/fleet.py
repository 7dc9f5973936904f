"""A training step of many small models at once: one LSTM layer, a linear head on its last state, mean squared error.

Every launch works on all models, which are stored one after another in each array; a model's sums are the same as if it
were trained alone. The recurrent part runs in `kernels.cuda.sequence`, whose blocks belong to one model each.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, float64
from numba.extending import register_jitable

from gatecast.kernels.cuda import lstm
from gatecast.kernels.cuda.call import as_device_array, kernel, new_array, run
from gatecast.kernels.cuda.gather import gather_windows
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.product import affine, column_sums, partial_sums, row_product, transposed_product
from gatecast.kernels.masks import NO_MASK

__all__ = ["FleetWeights", "clip_fleet", "fleet_gradients", "fleet_workspace"]

_THREADS = 32


class FleetWeights(NamedTuple):
    """Weights of M models, or their gradients, in torch's shapes behind the model."""

    w_ih: Any
    """(M, 4H, I)"""
    w_hh: Any
    """(M, 4H, H)"""
    bias: Any
    """(M, 4H)"""
    head_weight: Any
    """(M, O, H)"""
    head_bias: Any
    """(M, O)"""


class _Workspace(NamedTuple):
    lstm: Any  # of all models
    h_n: Any  # (M, B, H): last states, then their gradients
    c_n: Any  # (M, B, H)
    zeros: Any  # (M, B, H)
    first: tuple[Any, Any]  # (M, B, H) each: gradients of the first states, which are not used
    y_hat: Any  # (M, B, O): predictions, then their gradients
    partial: Any  # of the head's gradients


def fleet_workspace(
    models: int, batch_size: int, seq_len: int, input_size: int, hidden_size: int, output_size: int, dtype: str
) -> _Workspace:
    """Allocate what `fleet_gradients` needs for these sizes; reused from call to call."""
    state = (models, batch_size, hidden_size)
    return _Workspace(
        lstm=lstm.allocate(models, batch_size, seq_len, input_size, hidden_size, dtype, True, False),
        h_n=new_array(state, dtype),
        c_n=new_array(state, dtype),
        zeros=as_device_array(np.zeros(state, dtype)),
        first=(new_array(state, dtype), new_array(state, dtype)),
        y_hat=new_array((models, batch_size, output_size), dtype),
        partial=partial_sums(models, batch_size, output_size, (hidden_size,), dtype),
    )


def fleet_gradients(
    weights: FleetWeights, values: Any, starts: Any, y: Any, workspace: _Workspace, gradients: FleetWeights, losses: Any
) -> None:
    """Run every model over its own batch of windows, and back.

    Parameters
    ----------
    weights : FleetWeights
    values : (rows, columns) array
        The series of all models, one after another.
    starts : (M, B) int64 array
        The first row of each window.
    y : (M, B, O) array
        Targets.
    workspace : from `fleet_workspace`
    gradients : FleetWeights
        ``=``
    losses : (M,) float64 array
        ``=`` mean squared error of each model's batch.
    """
    layer = lstm.LSTMWeights(*weights[:3])
    space = workspace.lstm
    x = workspace.lstm.x
    models, batch_size, seq_len, _ = x.shape
    gather_windows(values, starts.reshape(models * batch_size), x.reshape(models * batch_size, seq_len, x.shape[3]))
    lstm.forward(
        layer, workspace.zeros, workspace.zeros, space, None, workspace.h_n, workspace.c_n, True, None, NO_MASK
    )
    affine(workspace.h_n, weights.head_weight, weights.head_bias, workspace.y_hat)
    launch(_squared_errors, models, workspace.y_hat, y, losses)
    transposed_product(workspace.y_hat, workspace.h_n, workspace.partial, gradients.head_weight)
    column_sums(workspace.y_hat, workspace.partial, gradients.head_bias)
    row_product(workspace.y_hat, weights.head_weight, workspace.h_n)
    lstm.backward(
        layer, None, workspace.h_n, workspace.zeros, space, lstm.LSTMWeights(*gradients[:3]), None, *workspace.first,
        None, NO_MASK,
    )  # fmt: skip


def clip_fleet(gradients: FleetWeights, max_norm: float) -> None:
    """Scale each model's gradients to a norm of at most `max_norm`, ``=``."""
    models = gradients.bias.shape[0]
    vectors = [array.reshape(models, array.size // models) for array in gradients]
    run(_clip, models, _THREADS, _THREADS * np.dtype(np.float64).itemsize, *vectors, max_norm)


@kernel
def _squared_errors(y_hat, y, losses):
    """Write each model's loss, and the gradients of its predictions over these."""
    model = cuda.grid(1)
    if model < y.shape[0]:
        total = np.float64(0)
        terms = y.shape[1] * y.shape[2]
        for row in range(y.shape[1]):
            for column in range(y.shape[2]):
                error = y_hat[model, row, column] - y[model, row, column]
                total += np.float64(error) * np.float64(error)
                y_hat[model, row, column] = y_hat.dtype.type(2.0 / terms) * error
        losses[model] = total / terms


@kernel
def _clip(w_ih, w_hh, bias, head_weight, head_bias, max_norm):
    """A block per model: the threads' sums are added in their order."""
    thread = cuda.threadIdx.x
    model = cuda.blockIdx.x
    sums = cuda.shared.array(0, dtype=float64)
    sums[thread] = (
        _squares(w_ih[model], thread) + _squares(w_hh[model], thread) + _squares(bias[model], thread)
        + _squares(head_weight[model], thread) + _squares(head_bias[model], thread)
    )  # fmt: skip
    cuda.syncthreads()
    total = np.float64(0)
    for other in range(_THREADS):
        total += sums[other]
    norm = math.sqrt(total)
    if norm > max_norm:
        factor = bias.dtype.type(max_norm / norm)
        _scale(w_ih[model], thread, factor)
        _scale(w_hh[model], thread, factor)
        _scale(bias[model], thread, factor)
        _scale(head_weight[model], thread, factor)
        _scale(head_bias[model], thread, factor)


@register_jitable
def _squares(vector, thread):
    total = np.float64(0)
    for n in range(thread, vector.shape[0], _THREADS):
        total += np.float64(vector[n]) * np.float64(vector[n])
    return total


@register_jitable
def _scale(vector, thread, factor):
    for n in range(thread, vector.shape[0], _THREADS):
        vector[n] *= factor

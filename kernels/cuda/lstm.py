"""One LSTM layer, one direction, on the GPU: a launch per time step, a thread per unit and row of the batch.

The plain form of what `kernels.cpu.lstm` does, with the same host-level operations and the same `kernels.scalar`. Every
sum runs in one thread from first to last, so the same input gives the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from kernels.cuda.dropout import dropout, of_dtype
from kernels.cuda.launch import launch
from kernels.masks import NO_MASK, Mask
from kernels.scalar import (
    candidate_gradient,
    cell_state,
    cell_state_gradient,
    dropout_factor,
    forget_gate_gradient,
    hidden_state,
    input_gate_gradient,
    output_gate_gradient,
    sigmoid,
    tanh,
)

__all__ = ["LSTMWeights", "lstm_backward", "lstm_forward", "lstm_gates", "lstm_workspace"]


class LSTMWeights(NamedTuple):
    """Weights of one layer and direction, or their gradients, in torch's shapes and gate order i, f, g, o."""

    w_ih: Any
    """(4H, I)"""
    w_hh: Any
    """(4H, H)"""
    bias: Any
    """(4H,)"""


class _Workspace(NamedTuple):
    x: Any  # (B, T, I): a copy, so that the caller may reuse its own; masked where there is dropout
    hidden: Any  # (T + 1, B, H)
    masked_hidden: Any  # (T + 1, B, H): what enters the gates of the next step
    cell: Any  # (T + 1, B, H)
    tanh_cell: Any  # (T, B, H)
    gates: Any  # (T, B, 4H): i f g o, then their gradients
    d_hidden: Any  # (B, H)
    d_cell: Any  # (B, H)


def lstm_workspace(
    batch_size: int, seq_len: int, input_size: int, hidden_size: int, dtype: str, training: bool = True
) -> _Workspace:
    """Allocate what the passes need for these sizes; reused from call to call.

    Here a pass for inference keeps all steps too, so `training` makes no difference.
    """
    state = (batch_size, hidden_size)
    return _Workspace(
        x=cuda.device_array((batch_size, seq_len, input_size), dtype),
        hidden=cuda.device_array((seq_len + 1, *state), dtype),
        masked_hidden=cuda.device_array((seq_len + 1, *state), dtype),
        cell=cuda.device_array((seq_len + 1, *state), dtype),
        tanh_cell=cuda.device_array((seq_len, *state), dtype),
        gates=cuda.device_array((seq_len, batch_size, 4 * hidden_size), dtype),
        d_hidden=cuda.device_array(state, dtype),
        d_cell=cuda.device_array(state, dtype),
    )


def lstm_forward(
    weights: LSTMWeights,
    x: Any,
    h_0: Any,
    c_0: Any,
    workspace: _Workspace,
    y: Any | None,
    h_n: Any,
    c_n: Any,
    weights_changed: bool = True,
    lengths: Any | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
) -> None:
    """Run the layer over a batch of sequences; arguments as `kernels.cpu.lstm.lstm_forward`.

    Nothing is prepared from the weights here, so `weights_changed` makes no difference.
    """
    batch_size, seq_len, _ = x.shape
    lengths = _all_lengths(batch_size, seq_len) if lengths is None else lengths
    dropout(x, workspace.x, input_mask)
    workspace.hidden[0].copy_to_device(h_0)
    first_hidden = workspace.masked_hidden[0].reshape(batch_size, 1, h_0.shape[1])
    dropout(h_0.reshape(batch_size, 1, h_0.shape[1]), first_hidden, recurrent_mask)
    workspace.cell[0].copy_to_device(c_0)
    recurrent_mask = of_dtype(recurrent_mask, x.dtype)
    for t in range(seq_len):
        launch(
            _forward_step, (batch_size, h_0.shape[1]), *weights, workspace.x, t, lengths, recurrent_mask,
            workspace.hidden, workspace.masked_hidden, workspace.cell, workspace.tanh_cell, workspace.gates,
        )  # fmt: skip
    h_n.copy_to_device(workspace.hidden[seq_len])
    c_n.copy_to_device(workspace.cell[seq_len])
    if y is not None:
        launch(_collect, (batch_size, h_0.shape[1]), workspace.hidden, lengths, y)


def lstm_backward(
    weights: LSTMWeights,
    dy: Any | None,
    dh_n: Any,
    dc_n: Any,
    workspace: _Workspace,
    gradients: LSTMWeights,
    dx: Any | None,
    dh_0: Any,
    dc_0: Any,
    lengths: Any | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
) -> None:
    """Back-propagate through time; arguments as `kernels.cpu.lstm.lstm_backward`."""
    seq_len, batch_size, hidden_size = workspace.tanh_cell.shape
    units = (batch_size, hidden_size)
    lengths = _all_lengths(batch_size, seq_len) if lengths is None else lengths
    workspace.d_hidden.copy_to_device(dh_n)
    workspace.d_cell.copy_to_device(dc_n)
    typed_mask = of_dtype(recurrent_mask, dh_n.dtype)
    for t in range(seq_len - 1, -1, -1):
        if dy is not None:
            launch(_add_step, units, dy, t, lengths, workspace.d_hidden)
        launch(
            _backward_step, units, t, workspace.gates, workspace.cell, workspace.tanh_cell,
            workspace.d_hidden, workspace.d_cell,
        )  # fmt: skip
        launch(_propagate, units, workspace.gates, t, lengths, weights.w_hh, typed_mask, workspace.d_hidden)
        if dx is not None:
            launch(_propagate_input, (batch_size, dx.shape[2]), workspace.gates, t, weights.w_ih, dx)
    if dx is not None:
        dropout(dx, dx, input_mask)
    dh_0.copy_to_device(workspace.d_hidden)
    dc_0.copy_to_device(workspace.d_cell)
    rows = 4 * hidden_size
    launch(_recurrent_gradient, (rows, hidden_size), workspace.gates, workspace.masked_hidden, gradients.w_hh)
    launch(_input_gradient, (rows, workspace.x.shape[2]), workspace.gates, workspace.x, gradients.w_ih)
    launch(_bias_gradient, rows, workspace.gates, gradients.bias)


def lstm_gates(workspace: _Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) NumPy array."""
    return np.ascontiguousarray(workspace.gates.copy_to_host().swapaxes(0, 1))


def _all_lengths(batch_size: int, seq_len: int) -> Any:
    return cuda.to_device(np.full(batch_size, seq_len))


@cuda.jit
def _forward_step(w_ih, w_hh, bias, x, t, lengths, mask, hidden, masked_hidden, cell, tanh_cell, gates):
    b, j = cuda.grid(2)
    batch_size, hidden_size = hidden.shape[1], hidden.shape[2]
    if b >= batch_size or j >= hidden_size:
        return
    if t >= lengths[b]:  # gates that let the state stand still, as on the CPU
        for gate in range(4):
            gates[t, b, gate * hidden_size + j] = 1 if gate == 1 else 0
        cell[t + 1, b, j], hidden[t + 1, b, j] = cell[t, b, j], hidden[t, b, j]
        tanh_cell[t, b, j], masked_hidden[t + 1, b, j] = 0, 0
        return
    for gate in range(4):
        row = gate * hidden_size + j
        z = bias[row]
        for k in range(x.shape[2]):
            z += w_ih[row, k] * x[b, t, k]
        for k in range(hidden_size):
            z += w_hh[row, k] * masked_hidden[t, b, k]
        gates[t, b, row] = tanh(z) if gate == 2 else sigmoid(z)
    i, f = gates[t, b, j], gates[t, b, hidden_size + j]
    g, o = gates[t, b, 2 * hidden_size + j], gates[t, b, 3 * hidden_size + j]
    c = cell_state(i, f, g, cell[t, b, j])
    tanh_c = tanh(c)
    cell[t + 1, b, j] = c
    tanh_cell[t, b, j] = tanh_c
    h = hidden_state(o, tanh_c)
    hidden[t + 1, b, j] = h
    masked_hidden[t + 1, b, j] = h * _mask_factor(mask, b * hidden_size + j, t + 1)


@cuda.jit(device=True)
def _mask_factor(mask, element, t):
    if mask.threshold == 0:
        return mask.scale
    return dropout_factor(element, t if mask.per_step else 0, mask.key, mask.threshold, mask.scale)


@cuda.jit
def _collect(hidden, lengths, y):
    b, j = cuda.grid(2)
    if b < y.shape[0] and j < y.shape[2]:
        for t in range(y.shape[1]):
            y[b, t, j] = hidden[t + 1, b, j] if t < lengths[b] else y.dtype.type(0)


@cuda.jit
def _add_step(dy, t, lengths, d_hidden):
    b, j = cuda.grid(2)
    if b < d_hidden.shape[0] and j < d_hidden.shape[1] and t < lengths[b]:
        d_hidden[b, j] += dy[b, t, j]


@cuda.jit
def _backward_step(t, gates, cell, tanh_cell, d_hidden, d_cell):
    b, j = cuda.grid(2)
    batch_size, hidden_size = d_hidden.shape
    if b >= batch_size or j >= hidden_size:
        return
    i, f = gates[t, b, j], gates[t, b, hidden_size + j]
    g, o = gates[t, b, 2 * hidden_size + j], gates[t, b, 3 * hidden_size + j]
    dh, tanh_c = d_hidden[b, j], tanh_cell[t, b, j]
    dc = cell_state_gradient(d_cell[b, j], dh, o, tanh_c)
    gates[t, b, j] = input_gate_gradient(dc, i, g)
    gates[t, b, hidden_size + j] = forget_gate_gradient(dc, f, cell[t, b, j])
    gates[t, b, 2 * hidden_size + j] = candidate_gradient(dc, i, g)
    gates[t, b, 3 * hidden_size + j] = output_gate_gradient(dh, o, tanh_c)
    d_cell[b, j] = dc * f


@cuda.jit
def _propagate(d_gates, t, lengths, w_hh, mask, d_hidden):
    b, k = cuda.grid(2)
    if b < d_hidden.shape[0] and k < d_hidden.shape[1] and t < lengths[b]:
        total = w_hh[0, k] * d_gates[t, b, 0]
        for row in range(1, w_hh.shape[0]):
            total += w_hh[row, k] * d_gates[t, b, row]
        d_hidden[b, k] = total * _mask_factor(mask, b * d_hidden.shape[1] + k, t)


@cuda.jit
def _propagate_input(d_gates, t, w_ih, dx):
    b, k = cuda.grid(2)
    if b < dx.shape[0] and k < dx.shape[2]:
        total = w_ih[0, k] * d_gates[t, b, 0]
        for row in range(1, w_ih.shape[0]):
            total += w_ih[row, k] * d_gates[t, b, row]
        dx[b, t, k] = total


@cuda.jit
def _recurrent_gradient(d_gates, hidden, gradient):
    row, k = cuda.grid(2)
    if row < gradient.shape[0] and k < gradient.shape[1]:
        total = gradient.dtype.type(0)
        for t in range(d_gates.shape[0]):
            for b in range(d_gates.shape[1]):
                total += d_gates[t, b, row] * hidden[t, b, k]
        gradient[row, k] = total


@cuda.jit
def _input_gradient(d_gates, x, gradient):
    row, k = cuda.grid(2)
    if row < gradient.shape[0] and k < gradient.shape[1]:
        total = gradient.dtype.type(0)
        for t in range(d_gates.shape[0]):
            for b in range(d_gates.shape[1]):
                total += d_gates[t, b, row] * x[b, t, k]
        gradient[row, k] = total


@cuda.jit
def _bias_gradient(d_gates, gradient):
    row = cuda.grid(1)
    if row < gradient.shape[0]:
        total = gradient.dtype.type(0)
        for t in range(d_gates.shape[0]):
            for b in range(d_gates.shape[1]):
                total += d_gates[t, b, row]
        gradient[row] = total

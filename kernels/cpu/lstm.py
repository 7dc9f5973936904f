"""One LSTM layer, one direction: the whole sequence forward and backward through time.

The batch is cut into shards of rows. A shard needs nothing from its neighbours until the weight gradients are summed,
so each runs all time steps on one thread while its activations stay in that core's cache, and a call has a single
parallel region. Within a step:

forward     ``z_t = [h_{t-1} | x_t | 1] @ [W_hh | W_ih | b].T``, one product with weights packed once per call; gates.
backward    gate gradients overwrite the gates, then ``[dh_{t-1} | dx_t] = dz_t @ [W_hh | W_ih]``.
weights     ``dW.T += [h | x | 1].T @ dz`` over a chunk of time steps while they are in cache; one accumulator per
            shard, and the accumulators are added in the order of the shards.

Shards have a number of rows that depends on the batch size alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.cpu.pack import copy, pack, padded, panels_shape, product, sum_shards
from kernels.scalar import (
    candidate_gradient,
    cell_state,
    cell_state_gradient,
    forget_gate_gradient,
    hidden_state,
    input_gate_gradient,
    output_gate_gradient,
    sigmoid,
    tanh,
)

__all__ = ["LSTMWeights", "lstm_backward", "lstm_forward", "lstm_gates", "lstm_workspace"]

# Depth of one weight-gradient product: long enough that the accumulator's traffic is small beside the arithmetic,
# short enough that the gradients of the chunk are still in cache.
_CHUNK_ROWS = 128


class LSTMWeights(NamedTuple):
    """Weights of one layer and direction, or their gradients, in torch's shapes and gate order i, f, g, o."""

    w_ih: np.ndarray
    """(4H, I)"""
    w_hh: np.ndarray
    """(4H, H)"""
    bias: np.ndarray
    """(4H,)"""


class _Workspace(NamedTuple):
    """Everything a pass writes that is not a result; each shard's part is flat, shaped by `_steps` to its true rows."""

    batch_size: int
    seq_len: int
    input_size: int
    hidden_size: int
    operand: np.ndarray  # (shards, (T + 1) * rows * (H + I + 1)): [h_{t-1} | x_t | 1]
    gates: np.ndarray  # (shards, T * rows * padded(4H)): z, then i f g o, then their gradients
    cell: np.ndarray  # (shards, (T + 1) * rows * H)
    tanh_cell: np.ndarray  # (shards, T * rows * H)
    forward_panels: np.ndarray  # packed [W_hh | W_ih | b].T
    backward_panels: np.ndarray  # packed [W_hh | W_ih]
    d_operand: np.ndarray  # (shards, rows, padded(H + I)): [dh_{t-1} | dx_t]
    d_cell: np.ndarray  # (shards, rows, H)
    d_weights: np.ndarray  # (shards, H + I + 1, padded(4H)): rows [W_hh | W_ih | b].T


def _shard_rows(batch_size: int) -> int:
    return 16 if batch_size >= 64 else 8


def lstm_workspace(batch_size: int, seq_len: int, input_size: int, hidden_size: int, dtype: str) -> _Workspace:
    """Allocate what `lstm_forward` and `lstm_backward` need for these sizes; reused from call to call."""
    rows = min(_shard_rows(batch_size), batch_size)
    shards = -(-batch_size // rows)
    depth = hidden_size + input_size + 1

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return _Workspace(
        batch_size=batch_size,
        seq_len=seq_len,
        input_size=input_size,
        hidden_size=hidden_size,
        operand=zeros(shards, (seq_len + 1) * rows * depth),
        gates=zeros(shards, seq_len * rows * padded(4 * hidden_size, dtype)),
        cell=zeros(shards, (seq_len + 1) * rows * hidden_size),
        tanh_cell=zeros(shards, seq_len * rows * hidden_size),
        forward_panels=zeros(*panels_shape(depth, 4 * hidden_size, dtype)),
        backward_panels=zeros(*panels_shape(4 * hidden_size, hidden_size + input_size, dtype)),
        d_operand=zeros(shards, rows, padded(hidden_size + input_size, dtype)),
        d_cell=zeros(shards, rows, hidden_size),
        d_weights=zeros(shards, depth, padded(4 * hidden_size, dtype)),
    )


def lstm_forward(
    weights: LSTMWeights,
    x: np.ndarray,
    h_0: np.ndarray,
    c_0: np.ndarray,
    workspace: _Workspace,
    y: np.ndarray | None,
    h_n: np.ndarray,
    c_n: np.ndarray,
) -> None:
    """Run the layer over a batch of sequences.

    Parameters
    ----------
    weights : LSTMWeights
    x : (B, T, I) array
    h_0, c_0 : (B, H) arrays
        State before the first step.
    workspace : from `lstm_workspace`
        ``=``: keeps what `lstm_backward` needs.
    y : (B, T, H) array or None
        ``=`` hidden state of every step; None where only the last is wanted.
    h_n, c_n : (B, H) arrays
        ``=`` state after the last step.
    """
    _pack_forward(weights, workspace)
    every_step = y is not None
    y = y if every_step else _nothing(x)
    if workspace.d_cell.shape[0] == 1:  # a single shard needs no second thread
        _forward_shard(x, h_0, c_0, workspace, 0, y, h_n, c_n, every_step)
    else:
        _forward(x, h_0, c_0, workspace, y, h_n, c_n, every_step)


def lstm_backward(
    weights: LSTMWeights,
    dy: np.ndarray | None,
    dh_n: np.ndarray,
    dc_n: np.ndarray,
    workspace: _Workspace,
    gradients: LSTMWeights,
    dx: np.ndarray | None,
    dh_0: np.ndarray,
    dc_0: np.ndarray,
) -> None:
    """Back-propagate through the sequence that `lstm_forward` last ran with this workspace, once.

    Parameters
    ----------
    weights : LSTMWeights
        Those of the forward pass.
    dy : (B, T, H) array or None
        Gradient of the hidden state of every step; None for zeros.
    dh_n, dc_n : (B, H) arrays
        Gradient of the state after the last step, beside `dy`.
    workspace : from `lstm_workspace`
        The activations in it are overwritten.
    gradients : LSTMWeights
        ``=``
    dx : (B, T, I) array or None
        ``=``; None where it is not wanted, which saves its product.
    dh_0, dc_0 : (B, H) arrays
        ``=``
    """
    every_step, input_grad, nothing = dy is not None, dx is not None, _nothing(dh_n)
    dy, dx = dy if every_step else nothing, dx if input_grad else nothing
    _pack_backward(weights, workspace, input_grad)
    if workspace.d_cell.shape[0] == 1:
        _backward_shard(dy, dh_n, dc_n, workspace, 0, dx, dh_0, dc_0, every_step, input_grad)
    else:
        _backward(dy, dh_n, dc_n, workspace, dx, dh_0, dc_0, every_step, input_grad)
    sum_shards(workspace.d_weights)
    _unpack_gradients(workspace.d_weights[0], gradients)


def lstm_gates(workspace: _Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) array."""
    batch_size, hidden_size = workspace.batch_size, workspace.hidden_size
    gates = np.empty((batch_size, workspace.seq_len, 4 * hidden_size), workspace.gates.dtype)
    shards, rows, _ = workspace.d_cell.shape
    for shard in range(shards):
        first = shard * rows
        last = min(first + rows, batch_size)
        gates[first:last] = _views(workspace, shard, last - first).gates[..., : 4 * hidden_size].swapaxes(0, 1)
    return gates


def _nothing(like: np.ndarray) -> np.ndarray:
    return np.empty((0, 0, 0), like.dtype)


class _Views(NamedTuple):
    """One shard's part of the workspace, time-major."""

    operand: np.ndarray  # (T + 1, rows, H + I + 1)
    gates: np.ndarray  # (T, rows, padded(4H))
    cell: np.ndarray  # (T + 1, rows, H)
    tanh_cell: np.ndarray  # (T, rows, H)


@kernel
def _steps(array, shard, steps, rows, columns):
    return array[shard, : steps * rows * columns].reshape(steps, rows, columns)


@kernel
def _views(workspace, shard, rows):
    seq_len, hidden_size = workspace.seq_len, workspace.hidden_size
    gate_columns = workspace.forward_panels.shape[0] * workspace.forward_panels.shape[2]
    return _Views(
        _steps(workspace.operand, shard, seq_len + 1, rows, workspace.d_weights.shape[1]),
        _steps(workspace.gates, shard, seq_len, rows, gate_columns),
        _steps(workspace.cell, shard, seq_len + 1, rows, hidden_size),
        _steps(workspace.tanh_cell, shard, seq_len, rows, hidden_size),
    )


@kernel
def _pack_forward(weights, workspace):
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    pack(weights.w_hh.T, workspace.forward_panels, 0, 0)
    pack(weights.w_ih.T, workspace.forward_panels, hidden_size, 0)
    pack(weights.bias.reshape(1, -1), workspace.forward_panels, hidden_size + input_size, 0)


@parallel_kernel
def _forward(x, h_0, c_0, workspace, y, h_n, c_n, every_step):
    for shard in numba.prange(workspace.d_cell.shape[0]):
        _forward_shard(x, h_0, c_0, workspace, np.int64(shard), y, h_n, c_n, every_step)


@kernel
def _rows(workspace, shard):
    """Return the rows of the batch that a shard computes: first, and the one after the last."""
    first = shard * workspace.d_cell.shape[1]
    return first, min(first + workspace.d_cell.shape[1], workspace.batch_size)


@kernel
def _forward_shard(x, h_0, c_0, workspace, shard, y, h_n, c_n, every_step):
    first, last = _rows(workspace, shard)
    seq_len, input_size, hidden_size = workspace.seq_len, workspace.input_size, workspace.hidden_size
    depth = hidden_size + input_size + 1
    operand, gates, cell, tanh_cell = _views(workspace, shard, last - first)
    copy(h_0[first:last], operand[0])
    copy(c_0[first:last], cell[0])
    for t in range(seq_len):
        copy(x[first:last, t], operand[t, :, hidden_size:])
        for r in range(last - first):
            operand[t, r, depth - 1] = 1
        product(operand[t], workspace.forward_panels, gates[t], False)
        for r in range(last - first):
            _activate(gates[t, r], cell[t, r], cell[t + 1, r], tanh_cell[t, r], operand[t + 1, r])
        if every_step:
            copy(operand[t + 1, :, :hidden_size], y[first:last, t])
    copy(operand[seq_len, :, :hidden_size], h_n[first:last])
    copy(cell[seq_len], c_n[first:last])


@kernel
def _activate(gates, c_prev, c, tanh_c, h):
    """Turn one row's pre-activations into gates, and these into the next state."""
    hidden_size = c.shape[0]
    i, f = gates[:hidden_size], gates[hidden_size : 2 * hidden_size]
    g, o = gates[2 * hidden_size : 3 * hidden_size], gates[3 * hidden_size : 4 * hidden_size]
    for j in range(hidden_size):
        i_j, f_j, g_j, o_j = sigmoid(i[j]), sigmoid(f[j]), tanh(g[j]), sigmoid(o[j])
        c_j = cell_state(i_j, f_j, g_j, c_prev[j])
        tanh_c_j = tanh(c_j)
        i[j], f[j], g[j], o[j] = i_j, f_j, g_j, o_j
        c[j], tanh_c[j] = c_j, tanh_c_j
        h[j] = hidden_state(o_j, tanh_c_j)


@kernel
def _pack_backward(weights, workspace, input_grad):
    pack(weights.w_hh, workspace.backward_panels, 0, 0)
    if input_grad:
        pack(weights.w_ih, workspace.backward_panels, 0, workspace.hidden_size)


@parallel_kernel
def _backward(dy, dh_n, dc_n, workspace, dx, dh_0, dc_0, every_step, input_grad):
    for shard in numba.prange(workspace.d_cell.shape[0]):
        _backward_shard(dy, dh_n, dc_n, workspace, np.int64(shard), dx, dh_0, dc_0, every_step, input_grad)


@kernel
def _backward_shard(dy, dh_n, dc_n, workspace, shard, dx, dh_0, dc_0, every_step, input_grad):
    first, last = _rows(workspace, shard)
    rows, seq_len = last - first, workspace.seq_len
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    operand, gates, cell, tanh_cell = _views(workspace, shard, rows)
    d_operand, d_cell = workspace.d_operand[shard, :rows], workspace.d_cell[shard, :rows]
    # Without dx only the panels that hold W_hh are multiplied.
    columns = hidden_size + (input_size if input_grad else 0)
    width = workspace.backward_panels.shape[2]
    panels = workspace.backward_panels[: (columns + width - 1) // width]
    copy(dh_n[first:last], d_operand)
    copy(dc_n[first:last], d_cell)
    steps = max(1, _CHUNK_ROWS // rows)
    for chunk_end in range(seq_len, 0, -steps):
        chunk = max(0, chunk_end - steps)
        for t in range(chunk_end - 1, chunk - 1, -1):
            for r in range(rows):
                dh = d_operand[r, :hidden_size]
                if every_step:
                    for j in range(hidden_size):
                        dh[j] += dy[first + r, t, j]
                _differentiate(gates[t, r], cell[t, r], tanh_cell[t, r], dh, d_cell[r])
            product(gates[t, :, : 4 * hidden_size], panels, d_operand, False)
            if input_grad:
                copy(d_operand[:, hidden_size : hidden_size + input_size], dx[first:last, t])
        _accumulate(gates[chunk:chunk_end], operand[chunk:chunk_end], workspace.d_weights[shard], chunk_end < seq_len)
    copy(d_operand[:, :hidden_size], dh_0[first:last])
    copy(d_cell, dc_0[first:last])


@kernel
def _accumulate(d_gates, operand, d_weights, accumulate):
    """``d_weights (+)= operand.T @ d_gates`` over a chunk of time steps."""
    depth = operand.shape[0] * operand.shape[1]
    left, right = operand.reshape(depth, operand.shape[2]), d_gates.reshape(depth, d_gates.shape[2])
    product(left.T, right, d_weights, accumulate)


@kernel
def _unpack_gradients(total, gradients):
    """Take one layer's gradients apart: the rows of `total` are ``[W_hh | W_ih | b].T``."""
    rows, hidden_size = gradients.w_hh.shape
    input_size = gradients.w_ih.shape[1]
    copy(total[:hidden_size, :rows].T, gradients.w_hh)
    copy(total[hidden_size : hidden_size + input_size, :rows].T, gradients.w_ih)
    for row in range(rows):
        gradients.bias[row] = total[hidden_size + input_size, row]


@kernel
def _differentiate(gates, c_prev, tanh_c, dh, dc):
    """Turn one row's gates into the gradients of their pre-activations, and dc into that of the step before."""
    hidden_size = dc.shape[0]
    i, f = gates[:hidden_size], gates[hidden_size : 2 * hidden_size]
    g, o = gates[2 * hidden_size : 3 * hidden_size], gates[3 * hidden_size : 4 * hidden_size]
    for j in range(hidden_size):
        i_j, f_j, g_j, o_j = i[j], f[j], g[j], o[j]
        dc_j = cell_state_gradient(dc[j], dh[j], o_j, tanh_c[j])
        i[j] = input_gate_gradient(dc_j, i_j, g_j)
        f[j] = forget_gate_gradient(dc_j, f_j, c_prev[j])
        g[j] = candidate_gradient(dc_j, i_j, g_j)
        o[j] = output_gate_gradient(dh[j], o_j, tanh_c[j])
        dc[j] = dc_j * f_j

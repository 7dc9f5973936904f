"""One LSTM layer, one direction: the whole sequence forward and backward through time.

The batch is cut into shards of rows. A shard needs nothing from its neighbours until the weight gradients are summed,
so each runs all time steps on one thread while its activations stay in that core's cache, and a call has a single
parallel region. Within a step:

forward     ``z_t = [h_{t-1} | x_t | 1] @ [W_hh | W_ih | b].T``, a product per gate with weights packed once per call;
            then the gate maths, one loop over all rows and units of the step.
backward    gate gradients overwrite the gates, then ``dh_{t-1} = dz_t @ W_hh`` and, if wanted, ``dx_t = dz_t @ W_ih``.
weights     ``dW.T += [h | x | 1].T @ dz`` over a chunk of time steps while they are in cache; one accumulator per
            shard, and the accumulators are added in the order of the shards.

Shards have a number of rows that depends on the batch size alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from kernels.cpu.compilation import kernel, parallel_kernel
from kernels.cpu.dropout import draw_mask
from kernels.cpu.pack import copy, pack, padded, panels_shape, product
from kernels.masks import NO_MASK, Mask
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

_NO_LENGTHS = np.empty(0, np.int64)


class LSTMWeights(NamedTuple):
    """Weights of one layer and direction, or their gradients, in torch's shapes and gate order i, f, g, o."""

    w_ih: np.ndarray
    """(4H, I)"""
    w_hh: np.ndarray
    """(4H, H)"""
    bias: np.ndarray
    """(4H,)"""


class _Workspace(NamedTuple):
    """Everything a pass writes that is not a result; each shard's part is flat, shaped by `_views` to its true rows.

    Units are padded to whole panels, P of them, so that a step of a shard is one run of rows * P numbers for each gate:
    the gate loops vectorise over that run whatever the hidden size. Padded units stay zero.
    """

    batch_size: int
    seq_len: int
    input_size: int
    hidden_size: int
    operand: np.ndarray  # (shards, (T + 1) * rows * (H + I + 1)): [h_{t-1} | x_t | 1], masked where there is dropout
    gates: np.ndarray  # (shards, 4 * T * rows * P): z, then i f g o, then their gradients
    cell: np.ndarray  # (shards, (T + 1) * rows * P)
    tanh_cell: np.ndarray  # (shards, T * rows * P)
    hidden: np.ndarray  # (shards, rows, P): h_t, then dh_t
    d_cell: np.ndarray  # (shards, rows, P)
    held: np.ndarray  # (shards, rows, P): h_t, then dh_t, that sequences which are over hold on to
    hidden_mask: np.ndarray  # (shards, rows, H): factors of h_{t-1}
    input_mask: np.ndarray  # (shards, rows, I): factors of x_t
    d_input: np.ndarray  # (shards, rows, padded(I)): dx_t
    d_weights: np.ndarray  # (shards, 4, H + I + 1, P): rows [W_hh | W_ih | b].T
    forward_panels: np.ndarray  # (4, ...) packed [W_hh | W_ih | b].T of each gate
    hidden_panels: np.ndarray  # (4, ...) packed W_hh of each gate
    input_panels: np.ndarray  # (4, ...) packed W_ih of each gate


def _shard_rows(batch_size: int) -> int:
    return 16 if batch_size >= 64 else 8


def lstm_workspace(batch_size: int, seq_len: int, input_size: int, hidden_size: int, dtype: str) -> _Workspace:
    """Allocate what `lstm_forward` and `lstm_backward` need for these sizes; reused from call to call."""
    rows = min(_shard_rows(batch_size), batch_size)
    shards = -(-batch_size // rows)
    depth = hidden_size + input_size + 1
    units = padded(hidden_size, dtype)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return _Workspace(
        batch_size=batch_size,
        seq_len=seq_len,
        input_size=input_size,
        hidden_size=hidden_size,
        operand=zeros(shards, (seq_len + 1) * rows * depth),
        gates=zeros(shards, 4 * seq_len * rows * units),
        cell=zeros(shards, (seq_len + 1) * rows * units),
        tanh_cell=zeros(shards, seq_len * rows * units),
        hidden=zeros(shards, rows, units),
        d_cell=zeros(shards, rows, units),
        held=zeros(shards, rows, units),
        hidden_mask=zeros(shards, rows, hidden_size),
        input_mask=zeros(shards, rows, input_size),
        d_input=zeros(shards, rows, padded(input_size, dtype)),
        d_weights=zeros(shards, 4, depth, units),
        forward_panels=zeros(4, *panels_shape(depth, hidden_size, dtype)),
        hidden_panels=zeros(4, *panels_shape(hidden_size, hidden_size, dtype)),
        input_panels=zeros(4, *panels_shape(hidden_size, input_size, dtype)),
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
    weights_changed: bool = True,
    lengths: np.ndarray | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
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
        ``=`` hidden state of every step, zero after the end of a sequence; None where only the last is wanted.
    h_n, c_n : (B, H) arrays
        ``=`` state after the last step.
    weights_changed : bool
        False promises that the weights are those of the last forward pass with this workspace: they stay packed.
    lengths : (B,) int64 array or None
        True length of each sequence, 1 to T; None where all have T steps. The state stands still after it.
    input_mask, recurrent_mask : Mask
        Dropout on x_t, and on h_{t-1} where it enters the gates; each the same for all gates.
    """
    y, lengths = _nothing(x) if y is None else y, _NO_LENGTHS if lengths is None else lengths
    if workspace.d_cell.shape[0] > 1:
        _forward(weights, x, h_0, c_0, workspace, y, h_n, c_n, weights_changed, lengths, input_mask, recurrent_mask)
        return
    # A single shard needs no second thread, and waking one would take longer than a short sequence.
    if weights_changed:
        _pack_forward(weights, workspace)
    _forward_shard(x, h_0, c_0, workspace, 0, y, h_n, c_n, lengths, input_mask, recurrent_mask)


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
    lengths: np.ndarray | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
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
    lengths : (B,) int64 array or None
        Those of the forward pass; `dy` after the end of a sequence is not looked at.
    input_mask, recurrent_mask : Mask
        Those of the forward pass.
    """
    dy, dx = _nothing(dh_n) if dy is None else dy, _nothing(dh_n) if dx is None else dx
    lengths = _NO_LENGTHS if lengths is None else lengths
    if workspace.d_cell.shape[0] > 1:
        _backward(weights, dy, dh_n, dc_n, workspace, gradients, dx, dh_0, dc_0, lengths, input_mask, recurrent_mask)
        return
    _pack_backward(weights, workspace, dx.size > 0)
    _backward_shard(dy, dh_n, dc_n, workspace, 0, dx, dh_0, dc_0, lengths, input_mask, recurrent_mask)
    _sum_gradients(workspace, gradients)


def lstm_gates(workspace: _Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) array."""
    batch_size, seq_len, hidden_size = workspace.batch_size, workspace.seq_len, workspace.hidden_size
    gates = np.empty((batch_size, seq_len, 4, hidden_size), workspace.gates.dtype)
    shards, rows, _ = workspace.d_cell.shape
    for shard in range(shards):
        first = shard * rows
        last = min(first + rows, batch_size)
        views = _views(workspace, shard, last - first)
        gates[first:last] = views.gates[..., :hidden_size].transpose(2, 1, 0, 3)
    return gates.reshape(batch_size, seq_len, 4 * hidden_size)


def _nothing(like: np.ndarray) -> np.ndarray:
    """Return the array that stands for None in compiled code."""
    return np.empty((0, 0, 0), like.dtype)


class _Views(NamedTuple):
    """One shard's part of the workspace, time-major."""

    operand: np.ndarray  # (T + 1, rows, H + I + 1)
    gates: np.ndarray  # (4, T, rows, P)
    cell: np.ndarray  # (T + 1, rows, P)
    tanh_cell: np.ndarray  # (T, rows, P)


@kernel
def _views(workspace, shard, rows):
    steps, units, depth = workspace.seq_len, workspace.d_cell.shape[2], workspace.d_weights.shape[2]
    size = steps * rows * units
    return _Views(
        workspace.operand[shard, : (steps + 1) * rows * depth].reshape(steps + 1, rows, depth),
        workspace.gates[shard, : 4 * size].reshape(4, steps, rows, units),
        workspace.cell[shard, : size + rows * units].reshape(steps + 1, rows, units),
        workspace.tanh_cell[shard, :size].reshape(steps, rows, units),
    )


@kernel
def _rows(workspace, shard):
    """Return the rows of the batch that a shard computes: first, and the one after the last."""
    first = shard * workspace.d_cell.shape[1]
    return first, min(first + workspace.d_cell.shape[1], workspace.batch_size)


@kernel
def _pack_forward(weights, workspace):
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    for gate in range(4):
        units, panels = slice(gate * hidden_size, (gate + 1) * hidden_size), workspace.forward_panels[gate]
        pack(weights.w_hh[units].T, panels, 0)
        pack(weights.w_ih[units].T, panels, hidden_size)
        pack(weights.bias[units].reshape(hidden_size, 1).T, panels, hidden_size + input_size)


@parallel_kernel
def _forward(weights, x, h_0, c_0, workspace, y, h_n, c_n, weights_changed, lengths, input_mask, recurrent_mask):
    if weights_changed:
        _pack_forward(weights, workspace)
    for shard in numba.prange(workspace.d_cell.shape[0]):
        _forward_shard(x, h_0, c_0, workspace, np.int64(shard), y, h_n, c_n, lengths, input_mask, recurrent_mask)


@kernel
def _forward_shard(x, h_0, c_0, workspace, shard, y, h_n, c_n, lengths, input_mask, recurrent_mask):
    every_step, is_ragged = y.size > 0, lengths.size > 0
    first, last = _rows(workspace, shard)
    seq_len, input_size, hidden_size = workspace.seq_len, workspace.input_size, workspace.hidden_size
    operand, gates, cell, tanh_cell = _views(workspace, shard, last - first)
    hidden, held = workspace.hidden[shard, : last - first], workspace.held[shard, : last - first]
    copy(h_0[first:last], hidden)
    copy(c_0[first:last], cell[0])
    for t in range(seq_len):
        copy(hidden[:, :hidden_size], operand[t])
        copy(x[first:last, t], operand[t, :, hidden_size:])
        operand[t, :, hidden_size + input_size] = 1
        _draw_masks(input_mask, recurrent_mask, workspace, shard, t, t == 0)
        _apply(recurrent_mask, workspace.hidden_mask[shard], operand[t])
        _apply(input_mask, workspace.input_mask[shard], operand[t, :, hidden_size:])
        if is_ragged:
            copy(hidden, held)
        for gate in range(4):
            product(operand[t], workspace.forward_panels[gate], gates[gate, t], False)
        _activate(gates, t, cell[t].ravel(), cell[t + 1].ravel(), tanh_cell[t].ravel(), hidden.ravel())
        if is_ragged:
            _hold_ended(lengths[first:last], t, gates, cell, tanh_cell, held, hidden)
        if every_step:
            for r in range(last - first):
                is_over = is_ragged and t >= lengths[first + r]
                for j in range(hidden_size):
                    y[first + r, t, j] = 0 if is_over else hidden[r, j]
    copy(hidden[:, :hidden_size], h_n[first:last])
    copy(cell[seq_len, :, :hidden_size], c_n[first:last])


@kernel
def _hold_ended(lengths, t, gates, cell, tanh_cell, held, hidden):
    """Let the state of sequences that are over stand still.

    Their gates are set to what does that, f = 1 and the others 0, and so the backward pass, which looks at the gates,
    passes dc on and leaves the weights alone without knowing of lengths.
    """
    for r in range(lengths.shape[0]):
        if t >= lengths[r]:
            for j in range(hidden.shape[1]):
                gates[0, t, r, j], gates[1, t, r, j], gates[2, t, r, j], gates[3, t, r, j] = 0, 1, 0, 0
                cell[t + 1, r, j], tanh_cell[t, r, j] = cell[t, r, j], 0
                hidden[r, j] = held[r, j]


@kernel
def _draw_masks(input_mask, recurrent_mask, workspace, shard, t, is_first):
    """Draw the factors of step t into the workspace, once for all steps where that is what the mask is."""
    first, _ = _rows(workspace, shard)
    if recurrent_mask.threshold > 0 and (is_first or recurrent_mask.per_step):
        draw_mask(recurrent_mask, first, t, workspace.hidden_mask[shard])
    if input_mask.threshold > 0 and (is_first or input_mask.per_step):
        draw_mask(input_mask, first, t, workspace.input_mask[shard])


@kernel
def _apply(mask, factors, values):
    """``values *= factors`` where there is dropout; `values` may have fewer rows and more columns."""
    if mask.threshold > 0:
        for r in range(values.shape[0]):
            for j in range(factors.shape[1]):
                values[r, j] *= factors[r, j]


@kernel
def _activate(gates, t, c_prev, c, tanh_c, h):
    """Turn a step's pre-activations into gates, and these into the next state."""
    i, f, g, o = gates[0, t].ravel(), gates[1, t].ravel(), gates[2, t].ravel(), gates[3, t].ravel()
    for j in range(c.shape[0]):
        i_j, f_j, g_j, o_j = sigmoid(i[j]), sigmoid(f[j]), tanh(g[j]), sigmoid(o[j])
        c_j = cell_state(i_j, f_j, g_j, c_prev[j])
        tanh_c_j = tanh(c_j)
        i[j], f[j], g[j], o[j] = i_j, f_j, g_j, o_j
        c[j], tanh_c[j] = c_j, tanh_c_j
        h[j] = hidden_state(o_j, tanh_c_j)


@kernel
def _pack_backward(weights, workspace, input_grad):
    hidden_size = workspace.hidden_size
    for gate in range(4):
        units = slice(gate * hidden_size, (gate + 1) * hidden_size)
        pack(weights.w_hh[units], workspace.hidden_panels[gate], 0)
        if input_grad:
            pack(weights.w_ih[units], workspace.input_panels[gate], 0)


@parallel_kernel
def _backward(weights, dy, dh_n, dc_n, workspace, gradients, dx, dh_0, dc_0, lengths, input_mask, recurrent_mask):
    _pack_backward(weights, workspace, dx.size > 0)
    for shard in numba.prange(workspace.d_cell.shape[0]):
        _backward_shard(dy, dh_n, dc_n, workspace, np.int64(shard), dx, dh_0, dc_0, lengths, input_mask, recurrent_mask)
    _sum_gradients(workspace, gradients)


@kernel
def _backward_shard(dy, dh_n, dc_n, workspace, shard, dx, dh_0, dc_0, lengths, input_mask, recurrent_mask):
    every_step, input_grad, is_ragged = dy.size > 0, dx.size > 0, lengths.size > 0
    first, last = _rows(workspace, shard)
    rows, seq_len = last - first, workspace.seq_len
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    operand, gates, cell, tanh_cell = _views(workspace, shard, rows)
    d_hidden, d_cell = workspace.hidden[shard, :rows], workspace.d_cell[shard, :rows]
    d_input = workspace.d_input[shard, :rows]
    d_hidden[:], d_cell[:] = 0, 0  # the forward pass may have left other numbers in padded units
    copy(dh_n[first:last], d_hidden)
    copy(dc_n[first:last], d_cell)
    steps = max(1, _CHUNK_ROWS // rows)
    for chunk_end in range(seq_len, 0, -steps):
        chunk = max(0, chunk_end - steps)
        for t in range(chunk_end - 1, chunk - 1, -1):
            if every_step:
                for r in range(rows):
                    if not (is_ragged and t >= lengths[first + r]):
                        for j in range(hidden_size):
                            d_hidden[r, j] += dy[first + r, t, j]
            _differentiate(gates, t, cell[t].ravel(), tanh_cell[t].ravel(), d_hidden.ravel(), d_cell.ravel())
            if is_ragged:
                copy(d_hidden, workspace.held[shard])
            for gate in range(4):
                product(gates[gate, t, :, :hidden_size], workspace.hidden_panels[gate], d_hidden, gate > 0)
            _draw_masks(input_mask, recurrent_mask, workspace, shard, t, False)
            _apply(recurrent_mask, workspace.hidden_mask[shard], d_hidden)
            if is_ragged:
                for r in range(rows):
                    if t >= lengths[first + r]:
                        for j in range(hidden_size):
                            d_hidden[r, j] = workspace.held[shard, r, j]
            if input_grad:
                for gate in range(4):
                    product(gates[gate, t, :, :hidden_size], workspace.input_panels[gate], d_input, gate > 0)
                _apply(input_mask, workspace.input_mask[shard], d_input)
                copy(d_input[:, :input_size], dx[first:last, t])
        for gate in range(4):
            d_weights = workspace.d_weights[shard, gate]
            _accumulate(gates[gate, chunk:chunk_end], operand[chunk:chunk_end], d_weights, chunk_end < seq_len)
    copy(d_hidden[:, :hidden_size], dh_0[first:last])
    copy(d_cell[:, :hidden_size], dc_0[first:last])


@kernel
def _differentiate(gates, t, c_prev, tanh_c, dh, dc):
    """Turn a step's gates into the gradients of their pre-activations, and dc into that of the step before."""
    i, f, g, o = gates[0, t].ravel(), gates[1, t].ravel(), gates[2, t].ravel(), gates[3, t].ravel()
    for j in range(dc.shape[0]):
        i_j, f_j, g_j, o_j = i[j], f[j], g[j], o[j]
        dc_j = cell_state_gradient(dc[j], dh[j], o_j, tanh_c[j])
        i[j] = input_gate_gradient(dc_j, i_j, g_j)
        f[j] = forget_gate_gradient(dc_j, f_j, c_prev[j])
        g[j] = candidate_gradient(dc_j, i_j, g_j)
        o[j] = output_gate_gradient(dh[j], o_j, tanh_c[j])
        dc[j] = dc_j * f_j


@kernel
def _accumulate(d_gates, operand, d_weights, accumulate):
    """``d_weights (+)= operand.T @ d_gates`` over a chunk of time steps."""
    depth = operand.shape[0] * operand.shape[1]
    left, right = operand.reshape(depth, operand.shape[2]), d_gates.reshape(depth, d_gates.shape[2])
    product(left.T, right, d_weights, accumulate)


@kernel
def _sum_gradients(workspace, gradients):
    """Add the shards' gradients of ``[W_hh | W_ih | b].T``, in the order of the shards, and take them apart."""
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    for row in range(workspace.d_weights.shape[2]):
        for gate in range(4):
            total = workspace.d_weights[0, gate, row]
            for shard in range(1, workspace.d_weights.shape[0]):
                for j in range(hidden_size):
                    total[j] += workspace.d_weights[shard, gate, row, j]
            first = gate * hidden_size
            for j in range(hidden_size):
                if row < hidden_size:
                    gradients.w_hh[first + j, row] = total[j]
                elif row < hidden_size + input_size:
                    gradients.w_ih[first + j, row - hidden_size] = total[j]
                else:
                    gradients.bias[first + j] = total[j]

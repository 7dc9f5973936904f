"""One LSTM layer, one direction: the whole sequence forward and backward through time.

The batch is cut into shards of rows. A shard needs nothing from its neighbours until the weight gradients are summed,
so each runs all time steps on one thread while its activations stay in that core's cache, and a call has a single
parallel region. Within a step:

- forward: ``z_t = [h_{t-1} | x_t | 1] @ [W_hh | W_ih | b].T``, a product per gate with weights packed once per call;
  then the gate maths over all rows and units of the step, `kernels.cpu.gates`;
- backward: gate gradients overwrite the gates, then ``dh_{t-1} = dz_t @ W_hh`` and, if wanted, ``dx_t = dz_t @ W_ih``;
- weights: ``dW.T += [h | x | 1].T @ dz`` over a chunk of time steps while they are in cache; one accumulator per shard,
  and the accumulators are added in the order of the shards.

Shards have a number of rows that depends on the batch size alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.call import run
from gatecast.kernels.cpu.compilation import inner_kernel, kernel, parallel_kernel
from gatecast.kernels.cpu.dropout import draw_mask
from gatecast.kernels.cpu.embedding import add_to_table, look_up
from gatecast.kernels.cpu.gates import activate_cell, activate_output, differentiate
from gatecast.kernels.cpu.pack import copy, product
from gatecast.kernels.cpu.workspace import (
    LSTMWeights,
    Workspace,
    forward_panels,
    gradient_parts,
    hidden_panels,
    input_panels,
    is_lone_step,
    pack_backward,
    pack_forward,
    rows_of,
    shard_gradients,
    shard_lines,
    shard_table_gradient,
    shard_views,
    unpack_gradients,
)
from gatecast.kernels.lookup import Lookup
from gatecast.kernels.masks import NO_MASK, Mask

__all__ = ["lstm_backward", "lstm_forward"]

# Depth of one weight-gradient product: long enough that the accumulator's traffic is small compared with the
# arithmetic, short enough that the gradients of the chunk are still in cache.
_CHUNK_ROWS = 128

_NO_LENGTHS = np.empty(0, np.int64)


def lstm_forward(
    weights: LSTMWeights,
    x: np.ndarray | Lookup,
    h_0: np.ndarray,
    c_0: np.ndarray,
    workspace: Workspace,
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
    x : (B, T, I) array or Lookup
        A lookup's table takes the place of `w_ih` and `bias`, which are then not read.
    h_0, c_0 : (B, H) arrays
        State before the first step.
    workspace : from `lstm_workspace`
        ``=``: keeps what `lstm_backward` needs.
    y : (B, T, H) array or None
        ``=`` hidden state of every step, zero after the end of a sequence; None if only the last is wanted.
    h_n, c_n : (B, H) arrays
        ``=`` state after the last step.
    weights_changed : bool
        False promises that the weights are those of the last forward pass with this workspace: they stay packed.
    lengths : (B,) int64 array or None
        True length of each sequence, 1 to T; None if all have T steps. The state does not change after it.
    input_mask, recurrent_mask : Mask
        Dropout on x_t, and on h_{t-1} where it enters the gates; each the same for all gates.
    """
    y = _nothing(h_0) if y is None else y
    lengths = _NO_LENGTHS if lengths is None else lengths
    x, lookup = (np.empty((*x.indices.shape, 0), h_0.dtype), x) if isinstance(x, Lookup) else (x, None)
    # A single shard needs no second thread, and waking one would take longer than a short sequence.
    forward = _forward_shards if workspace.shards.shape[0] > 1 else _forward_alone
    run(
        forward, weights, x, lookup, h_0, c_0, workspace, y, h_n, c_n, weights_changed, lengths, input_mask,
        recurrent_mask,
    )  # fmt: skip


def lstm_backward(
    weights: LSTMWeights,
    dy: np.ndarray | None,
    dh_n: np.ndarray,
    dc_n: np.ndarray,
    workspace: Workspace,
    gradients: LSTMWeights,
    dx: np.ndarray | Lookup | None,
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
        Gradient of the state after the last step, in addition to `dy`.
    workspace : from `lstm_workspace`
        The activations in it are overwritten.
    gradients : LSTMWeights
        ``=``, but `w_ih` and `bias` are left as they are if the inputs are looked up.
    dx : (B, T, I) array, Lookup or None
        ``=``; of a lookup, its table. None if it is not wanted, which saves its product.
    dh_0, dc_0 : (B, H) arrays
        ``=``
    lengths : (B,) int64 array or None
        Those of the forward pass; `dy` after the end of a sequence is not read.
    input_mask, recurrent_mask : Mask
        Those of the forward pass.
    """
    dy = _nothing(dh_n) if dy is None else dy
    lengths = _NO_LENGTHS if lengths is None else lengths
    dx, d_lookup = (None, dx) if isinstance(dx, Lookup) else (dx, None)
    dx = _nothing(dh_n) if dx is None else dx
    backward = _backward_shards if workspace.shards.shape[0] > 1 else _backward_alone
    run(
        backward, weights, dy, dh_n, dc_n, workspace, gradients, dx, d_lookup, dh_0, dc_0, lengths, input_mask,
        recurrent_mask,
    )  # fmt: skip


def _nothing(like: np.ndarray) -> np.ndarray:
    """Return the array that stands for None in compiled code."""
    return np.empty((0, 0, 0), like.dtype)


@parallel_kernel
def _forward_shards(
    weights, x, lookup, h_0, c_0, workspace, y, h_n, c_n, weights_changed, lengths, input_mask, recurrent_mask
):  # fmt: skip
    """`lstm_forward`, compiled: a thread for each shard; absent arrays are empty.

    An absent lookup is None, which is compiled separately, without the code for lookups.
    """
    if weights_changed:
        pack_forward(weights, workspace)
    for shard in numba.prange(workspace.shards.shape[0]):
        _forward_shard(
            x, lookup, h_0, c_0, workspace, np.int64(shard), y, h_n, c_n, lengths, input_mask, recurrent_mask
        )


@kernel
def _forward_alone(
    weights, x, lookup, h_0, c_0, workspace, y, h_n, c_n, weights_changed, lengths, input_mask, recurrent_mask
):  # fmt: skip
    if weights_changed:
        pack_forward(weights, workspace)
    _forward_shard(x, lookup, h_0, c_0, workspace, 0, y, h_n, c_n, lengths, input_mask, recurrent_mask)


@inner_kernel
def _forward_shard(x, lookup, h_0, c_0, workspace, shard, y, h_n, c_n, lengths, input_mask, recurrent_mask):
    first, last = rows_of(workspace, shard)
    seq_len = x.shape[1]
    hidden_size = workspace.hidden_size
    is_ragged = lengths.size > 0
    views = shard_views(workspace, shard)
    lines = shard_lines(workspace, shard)
    panels = forward_panels(workspace)
    is_lone = is_lone_step(workspace)
    x, y = borrowed(x), borrowed(y)
    is_masked = input_mask.threshold > 0 or recurrent_mask.threshold > 0
    copy(h_0[first:last], views.hidden)
    copy(c_0[first:last], views.cell[0])
    before = 0
    for t in range(seq_len):
        # Inference keeps one step, and the cell states before and after it, which change places.
        now, after = (t, t + 1) if workspace.steps == seq_len else (0, 1 - before)
        _enter(views.hidden, x, first, t, views.operand[now])
        if is_masked:
            _draw_masks(input_mask, recurrent_mask, first, t, t == 0, views)
            _apply(recurrent_mask, views.hidden_mask, views.operand[now])
            _apply(input_mask, views.input_mask, views.operand[now, :, hidden_size:])
        if is_ragged:
            copy(views.hidden, views.held)
        if lookup is not None:
            look_up(borrowed(lookup.table), borrowed(lookup.indices), first, t, views.gates, now)
            _multiply(views.operand[now], panels, is_lone, views.gates, now, t, True)
        else:  # a literal either way: products that may do both take longer to compile
            _multiply(views.operand[now], panels, is_lone, views.gates, now, t, False)
        i = lines.gates[0, now]
        f = lines.gates[1, now]
        g = lines.gates[2, now]
        o = lines.gates[3, now]
        activate_cell(i, f, g, lines.cell[before], lines.cell[after])
        activate_output(o, lines.cell[after], lines.tanh_cell[now], lines.hidden)
        if is_ragged:
            _hold_ended(lengths, first, t, views, now, before, after)
        if y.size > 0:
            _leave(views.hidden, lengths, first, t, y)
        before = after
    copy(views.hidden, h_n[first:last])
    copy(views.cell[before], c_n[first:last])


@inner_kernel
def _draw_masks(input_mask, recurrent_mask, first, t, is_first, views):
    """Draw the factors of step t into the workspace, once for all steps if the mask is the same for all."""
    if recurrent_mask.threshold > 0 and (is_first or recurrent_mask.per_step):
        draw_mask(recurrent_mask, first, t, views.hidden_mask)
    if input_mask.threshold > 0 and (is_first or input_mask.per_step):
        draw_mask(input_mask, first, t, views.input_mask)


@inner_kernel
def _enter(hidden, x, first, t, operand):
    """Lay out ``[h_{t-1} | x_t | 1]``."""
    input_size = x.shape[2]
    hidden_size = operand.shape[1] - input_size - 1
    for r in range(operand.shape[0]):
        line = operand[r]
        inputs = line[hidden_size:]
        for j in range(hidden_size):
            line[j] = hidden[r, j]
        for j in range(input_size):
            inputs[j] = x[first + r, t, j]
        inputs[input_size] = 1


@inner_kernel
def _apply(mask, factors, values):
    """``values *= factors`` if there is dropout; `values` may have more columns."""
    if mask.threshold > 0:
        for r in range(factors.shape[0]):
            for j in range(factors.shape[1]):
                values[r, j] *= factors[r, j]


@inner_kernel
def _multiply(operand, panels, is_lone, gates, now, t, accumulate):
    """Pre-activations of step t; see `forward_panels` for a single one."""
    runs, _, width = panels.shape
    if not is_lone:
        for gate in range(4):
            product(operand, panels[gate * runs // 4 : (gate + 1) * runs // 4], gates[gate, now], accumulate)
        return
    line = gates.reshape(1, runs * width)
    for n in range(runs):
        # Every other step begins where the last one ended: those weights are still in the nearest cache.
        run = n if t % 2 == 0 else runs - 1 - n
        product(operand, panels[run], line[:, run * width : (run + 1) * width], accumulate)


@inner_kernel
def _hold_ended(lengths, first, t, views, now, before, after):
    """Keep the state of sequences that are over unchanged.

    Their gates are set to f = 1 and the others to 0, which does that. The backward pass reads the gates, so it passes
    dc on and leaves the weights alone without looking at the lengths.
    """
    gates = views.gates
    cell = views.cell
    tanh_cell = views.tanh_cell
    for r in range(views.hidden.shape[0]):
        if t >= lengths[first + r]:
            for j in range(views.hidden.shape[1]):
                gates[0, now, r, j] = 0
                gates[1, now, r, j] = 1
                gates[2, now, r, j] = 0
                gates[3, now, r, j] = 0
                cell[after, r, j] = cell[before, r, j]
                tanh_cell[now, r, j] = 0
                views.hidden[r, j] = views.held[r, j]


@inner_kernel
def _leave(hidden, lengths, first, t, y):
    """Write a step of y."""
    for r in range(hidden.shape[0]):
        row = y[first + r, t]
        if lengths.size > 0 and t >= lengths[first + r]:
            row[:] = 0
        else:
            for j in range(row.shape[0]):
                row[j] = hidden[r, j]


@parallel_kernel
def _backward_shards(
    weights, dy, dh_n, dc_n, workspace, gradients, dx, d_lookup, dh_0, dc_0, lengths, input_mask, recurrent_mask
):  # fmt: skip
    """`lstm_backward`, compiled: a thread for each shard; absent arrays are empty.

    An absent lookup is None, which is compiled separately, without the code for lookups.
    """
    pack_backward(weights, workspace, dx.size > 0)
    for shard in numba.prange(workspace.shards.shape[0]):
        _backward_shard(
            dy, dh_n, dc_n, workspace, np.int64(shard), dx, d_lookup, dh_0, dc_0, lengths, input_mask,
            recurrent_mask,
        )  # fmt: skip
    for part in numba.prange(gradient_parts(workspace)):
        unpack_gradients(workspace, gradients, d_lookup, np.int64(part))


@kernel
def _backward_alone(
    weights, dy, dh_n, dc_n, workspace, gradients, dx, d_lookup, dh_0, dc_0, lengths, input_mask, recurrent_mask
):  # fmt: skip
    pack_backward(weights, workspace, dx.size > 0)
    _backward_shard(dy, dh_n, dc_n, workspace, 0, dx, d_lookup, dh_0, dc_0, lengths, input_mask, recurrent_mask)
    for part in range(gradient_parts(workspace)):
        unpack_gradients(workspace, gradients, d_lookup, part)


@inner_kernel
def _backward_shard(
    dy, dh_n, dc_n, workspace, shard, dx, d_lookup, dh_0, dc_0, lengths, input_mask, recurrent_mask
):  # fmt: skip
    first, last = rows_of(workspace, shard)
    seq_len = workspace.steps
    hidden_size = workspace.hidden_size
    rows = last - first
    is_ragged = lengths.size > 0
    wanted = shard_gradients(workspace, shard)
    views = shard_views(workspace, shard)
    lines = shard_lines(workspace, shard)
    dy = borrowed(dy)
    dx = borrowed(dx)
    is_masked = input_mask.threshold > 0 or recurrent_mask.threshold > 0
    d_hidden = views.hidden
    d_cell = wanted.d_cell
    d_hidden[:] = 0
    d_cell[:] = 0  # the forward pass may have left other numbers in padded units
    copy(dh_n[first:last], d_hidden)
    copy(dc_n[first:last], d_cell)
    d_cell_line = d_cell.reshape(-1)
    if d_lookup is not None:
        shard_table_gradient(workspace, shard)[:] = 0
    chunk_end = seq_len
    steps = max(1, _CHUNK_ROWS // rows)
    for t in range(seq_len - 1, -1, -1):
        if dy.size > 0:
            _add_step(dy, lengths, first, t, d_hidden)
        i = lines.gates[0, t]
        f = lines.gates[1, t]
        g = lines.gates[2, t]
        o = lines.gates[3, t]
        differentiate(i, f, g, o, lines.cell[t], lines.tanh_cell[t], lines.hidden, d_cell_line)
        if is_ragged:
            copy(d_hidden, views.held)
        _propagate(views.gates, t, hidden_size, hidden_panels(workspace), d_hidden)
        if is_masked:
            _draw_masks(input_mask, recurrent_mask, first, t, False, views)
            _apply(recurrent_mask, views.hidden_mask, d_hidden)
        if is_ragged:
            _restore_ended(lengths, first, t, views.held, d_hidden)
        if dx.size > 0:
            _propagate(views.gates, t, hidden_size, input_panels(workspace), wanted.d_input)
            _apply(input_mask, views.input_mask, wanted.d_input)
            _leave_gradient(wanted.d_input, first, t, dx)
        if d_lookup is not None:
            add_to_table(views.gates, borrowed(d_lookup.indices), first, t, shard_table_gradient(workspace, shard))
        if chunk_end - t == steps or t == 0:
            _accumulate(views.gates, views.operand, t, chunk_end, wanted.d_weights, chunk_end < seq_len)
            chunk_end = t
    copy(d_hidden, dh_0[first:last])
    copy(d_cell, dc_0[first:last])


@inner_kernel
def _add_step(dy, lengths, first, t, d_hidden):
    """``dh_t += dy_t`` for the sequences that are not over."""
    for r in range(d_hidden.shape[0]):
        if lengths.size == 0 or t < lengths[first + r]:
            for j in range(dy.shape[2]):
                d_hidden[r, j] += dy[first + r, t, j]


@inner_kernel
def _propagate(d_gates, t, hidden_size, panels, d_operand):
    """``d_operand = dz_t @ weights``, gate by gate."""
    for gate in range(4):
        product(d_gates[gate, t, :, :hidden_size], panels[gate], d_operand, gate > 0)


@inner_kernel
def _leave_gradient(d_input, first, t, dx):
    """Write a step of dx."""
    for r in range(d_input.shape[0]):
        for j in range(dx.shape[2]):
            dx[first + r, t, j] = d_input[r, j]


@inner_kernel
def _restore_ended(lengths, first, t, held, d_hidden):
    for r in range(d_hidden.shape[0]):
        if t >= lengths[first + r]:
            for j in range(d_hidden.shape[1]):
                d_hidden[r, j] = held[r, j]


@inner_kernel
def _accumulate(gates, operand, first_step, end_step, d_weights, accumulate):
    """``d_weights (+)= [h | x | 1].T @ dz`` over a chunk of time steps."""
    operand = operand[first_step:end_step]
    depth = operand.shape[0] * operand.shape[1]
    left = operand.reshape(depth, operand.shape[2]).T
    for gate in range(4):
        d_gate = gates[gate, first_step:end_step]
        product(left, d_gate.reshape(depth, d_gate.shape[2]), d_weights[gate], accumulate)

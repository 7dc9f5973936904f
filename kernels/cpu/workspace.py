"""Where an LSTM pass keeps what it computes: the memory of one layer and direction, and the packed weights.

A pass for training keeps every step, for the backward pass. A pass for inference keeps one: step t is stored at ``t %
steps``, so the same code overwrites it at the next step, and the activations of a long sequence never leave the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from gatecast.kernels.cpu.borrow import borrowed
from gatecast.kernels.cpu.compilation import inner_kernel
from gatecast.kernels.cpu.memory import aligned_over, aligned_zeros
from gatecast.kernels.cpu.pack import PANEL_BYTES, add, copy, copy_line, pack, padded

__all__ = [
    "LSTMWeights",
    "Workspace",
    "forward_panels",
    "gradient_parts",
    "hidden_panels",
    "input_panels",
    "is_lone_step",
    "lookup_is_worth",
    "lstm_gates",
    "lstm_workspace",
    "pack_backward",
    "pack_forward",
    "rows_of",
    "shard_gradients",
    "shard_lines",
    "shard_table_gradient",
    "shard_views",
    "unpack_gradients",
]


class LSTMWeights(NamedTuple):
    """Weights of one layer and direction, or their gradients, in torch's shapes and gate order i, f, g, o."""

    w_ih: np.ndarray
    """(4H, I)"""
    w_hh: np.ndarray
    """(4H, H)"""
    bias: np.ndarray
    """(4H,)"""


class Layout(NamedTuple):
    """Where each part begins in a shard's line of memory, in numbers; a part begins where a cache line does.

    Units are padded to whole panels, P of them, so that a step of a shard is one run of rows * P numbers for each gate:
    the gate loops vectorise over that run whatever the hidden size. Padded units stay zero.
    """

    operand: int  # steps * rows * (H + I + 1): [h_{t-1} | x_t | 1], masked if there is dropout
    gates: int  # 4 * steps * rows * P: z, then i f g o, then their gradients
    cell: int  # (steps + 1) * rows * P
    tanh_cell: int  # steps * rows * P
    hidden: int  # rows * P: h_t, then dh_t
    held: int  # rows * P: h_t, then dh_t, that sequences which are over hold on to
    hidden_mask: int  # rows * H: factors of h_{t-1}
    input_mask: int  # rows * I: factors of x_t
    d_cell: int  # rows * P; this and what follows for training only
    d_input: int  # rows * padded(I): dx_t
    d_weights: int  # 4 * (H + I + 1) * P: rows [W_hh | W_ih | b].T
    d_table: int  # V * 4 * P
    end: int


class Workspace(NamedTuple):
    """Everything a pass writes that is not a result.

    It has few arrays, and `shard_views` cuts them up: each array that enters a parallel region costs time there, and
    each that is passed from function to function costs time to compile.
    """

    batch_size: int
    steps: int  # T for training, 1 for inference
    input_size: int  # 0 where inputs are looked up
    hidden_size: int
    vocabulary_size: int  # V, or 0
    shard_rows: int  # of all shards but perhaps the last
    units: int  # P
    input_units: int  # padded(I)
    shards: np.ndarray  # (shards, numbers of a shard), each line as `Layout` says
    panels: np.ndarray  # packed [W_hh | W_ih | b].T of each gate, then W_hh, then W_ih


class ShardViews(NamedTuple):
    """One shard's part of the workspace, time-major, borrowed."""

    operand: np.ndarray  # (steps, rows, H + I + 1)
    gates: np.ndarray  # (4, steps, rows, P)
    cell: np.ndarray  # (steps + 1, rows, P)
    tanh_cell: np.ndarray  # (steps, rows, P)
    hidden: np.ndarray  # (rows, P)
    held: np.ndarray  # (rows, P)
    hidden_mask: np.ndarray  # (rows, H)
    input_mask: np.ndarray  # (rows, I)


class ShardLines(NamedTuple):
    """The same memory with the rows of a step as one line, for loops over all its units."""

    gates: np.ndarray  # (4, steps, rows * P)
    cell: np.ndarray  # (steps + 1, rows * P)
    tanh_cell: np.ndarray  # (steps, rows * P)
    hidden: np.ndarray  # (rows * P,)


class ShardGradients(NamedTuple):
    """What the backward pass of a shard writes in addition to its views, borrowed."""

    d_cell: np.ndarray  # (rows, P)
    d_input: np.ndarray  # (rows, padded(I))
    d_weights: np.ndarray  # (4, H + I + 1, P)


_LINE = 16  # numbers in a cache line of float32


def _shard_rows(batch_size: int) -> int:
    return 16 if batch_size >= 64 else 8


# With at least this many steps of a shard per entry of the vocabulary, a table takes less time than the input products:
# each shard clears a gradient of the whole table, and all of them are added up.
_STEPS_OF_AN_ENTRY = 2


def lookup_is_worth(batch_size: int, seq_len: int, vocabulary_size: int) -> bool:
    """Whether inputs from a vocabulary take less time looked up in a `kernels.lookup.Lookup` than as vectors."""
    return seq_len * min(_shard_rows(batch_size), batch_size) >= _STEPS_OF_AN_ENTRY * vocabulary_size


def lstm_workspace(
    batch_size: int,
    seq_len: int,
    input_size: int,
    hidden_size: int,
    dtype: str,
    training: bool = True,
    precision: str = "float32",
    vocabulary_size: int = 0,
    former: Workspace | None = None,
) -> Workspace:
    """Allocate what the passes need for these sizes; reused from call to call.

    With `training` False it serves `lstm_forward` alone, for sequences of any length. With a `vocabulary_size` the
    inputs are a `kernels.lookup.Lookup` of that many entries, and `input_size` is ignored. The memory of a `former`
    workspace is reused if it is large enough, since new memory costs a page fault for every few kilobytes; the former
    workspace is of no use afterwards.

    Raises
    ------
    ValueError
        When `precision` is "tf32", which takes a GPU's tensor cores.
    """
    if precision == "tf32":
        raise ValueError("precision tf32 needs the tensor cores of backend cuda; the CPU computes in float32")
    input_size = 0 if vocabulary_size else input_size
    rows = min(_shard_rows(batch_size), batch_size)
    shards = -(-batch_size // rows)
    depth = hidden_size + input_size + 1
    units = padded(hidden_size, dtype)
    input_units = padded(input_size, dtype)
    panels = 4 * depth * units + (4 * hidden_size * (units + input_units) if training else 0)
    workspace = Workspace(
        batch_size=batch_size,
        steps=seq_len if training else 1,
        input_size=input_size,
        hidden_size=hidden_size,
        vocabulary_size=vocabulary_size,
        shard_rows=rows,
        units=units,
        input_units=input_units,
        shards=np.empty((0, 0), dtype),
        panels=aligned_zeros((panels,), dtype),
    )
    layout = layout_of(workspace)
    shape = shards, layout.end if training else layout.d_cell
    memory = None if former is None else aligned_over(former.shards, shape, dtype)
    if memory is None:
        memory = aligned_zeros(shape, dtype)
    else:  # the one part of it that is read before it is written, where units are padded
        memory[:, layout.cell : layout.cell + rows * units] = 0
    return workspace._replace(shards=memory)


@register_jitable
def layout_of(workspace):
    """Return where each part begins in a shard's line."""
    steps = workspace.steps
    rows = workspace.shard_rows
    units = workspace.units
    hidden_size = workspace.hidden_size
    input_size = workspace.input_size
    run = rows * units
    depth = hidden_size + input_size + 1
    gates = _whole_lines(steps * rows * depth)
    cell = gates + 4 * steps * run
    tanh_cell = cell + (steps + 1) * run
    hidden = tanh_cell + steps * run
    held = hidden + run
    hidden_mask = held + run
    input_mask = hidden_mask + _whole_lines(rows * hidden_size)
    d_cell = input_mask + _whole_lines(rows * input_size)
    d_input = d_cell + run
    d_weights = d_input + rows * workspace.input_units
    d_table = d_weights + 4 * depth * units
    end = d_table + workspace.vocabulary_size * 4 * units
    return Layout(
        0, gates, cell, tanh_cell, hidden, held, hidden_mask, input_mask, d_cell, d_input, d_weights, d_table, end
    )  # fmt: skip


@register_jitable
def _whole_lines(size):
    """`size` rounded up to whole cache lines, of float32 or float64."""
    return -(-size // _LINE) * _LINE


def lstm_gates(workspace: Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) array."""
    batch_size = workspace.batch_size
    steps = workspace.steps
    hidden_size = workspace.hidden_size
    gates = np.empty((batch_size, steps, 4, hidden_size), workspace.shards.dtype)
    layout = layout_of(workspace)
    for shard, line in enumerate(workspace.shards):
        first = shard * workspace.shard_rows
        rows = min(workspace.shard_rows, batch_size - first)
        kept = line[layout.gates :][: 4 * steps * rows * workspace.units]
        kept = kept.reshape(4, steps, rows, workspace.units)
        gates[first : first + rows] = kept[..., :hidden_size].transpose(2, 1, 0, 3)
    return gates.reshape(batch_size, steps, 4 * hidden_size)


@inner_kernel
def rows_of(workspace, shard):
    """Return the rows of the batch that a shard computes: first, and the one after the last."""
    first = shard * workspace.shard_rows
    return first, min(first + workspace.shard_rows, workspace.batch_size)


@inner_kernel
def shard_views(workspace, shard):
    """Return a shard's part of the workspace."""
    first, last = rows_of(workspace, shard)
    steps = workspace.steps
    rows = last - first
    units = workspace.units
    hidden_size = workspace.hidden_size
    input_size = workspace.input_size
    line = borrowed(workspace.shards)[shard]
    at = layout_of(workspace)
    return ShardViews(
        _part(line, at.operand, (steps, rows, hidden_size + input_size + 1)),
        _part(line, at.gates, (4, steps, rows, units)),
        _part(line, at.cell, (steps + 1, rows, units)),
        _part(line, at.tanh_cell, (steps, rows, units)),
        _part(line, at.hidden, (rows, units)),
        _part(line, at.held, (rows, units)),
        _part(line, at.hidden_mask, (rows, hidden_size)),
        _part(line, at.input_mask, (rows, input_size)),
    )


@inner_kernel
def shard_lines(workspace, shard):
    """Return a shard's part of the workspace, a line for each step."""
    first, last = rows_of(workspace, shard)
    steps = workspace.steps
    units = (last - first) * workspace.units
    line = borrowed(workspace.shards)[shard]
    at = layout_of(workspace)
    return ShardLines(
        _part(line, at.gates, (4, steps, units)),
        _part(line, at.cell, (steps + 1, units)),
        _part(line, at.tanh_cell, (steps, units)),
        _part(line, at.hidden, (units,)),
    )


@inner_kernel
def shard_gradients(workspace, shard):
    """Return what the backward pass of a shard writes in addition to its views."""
    first, last = rows_of(workspace, shard)
    rows = last - first
    depth = workspace.hidden_size + workspace.input_size + 1
    line = borrowed(workspace.shards)[shard]
    at = layout_of(workspace)
    return ShardGradients(
        _part(line, at.d_cell, (rows, workspace.units)),
        _part(line, at.d_input, (rows, workspace.input_units)),
        _part(line, at.d_weights, (4, depth, workspace.units)),
    )


@inner_kernel
def shard_table_gradient(workspace, shard):
    """Return a shard's gradient of the table that inputs are looked up in, (V, 4, P)."""
    line = borrowed(workspace.shards)[shard]
    at = layout_of(workspace)
    return _part(line, at.d_table, (workspace.vocabulary_size, 4, workspace.units))


@inner_kernel
def _part(line, start, shape):
    size = 1
    for n in shape:
        size *= n
    return line[start : start + size].reshape(shape)


@inner_kernel
def is_lone_step(workspace):
    """Whether there is one sequence and the memory of one step, as in a forecast of one series."""
    return workspace.batch_size == 1 and workspace.steps == 1


@inner_kernel
def forward_panels(workspace):
    """Return the place of ``[W_hh | W_ih | b].T``, packed, the units of one gate after those of another.

    A single step uses every weight once, and takes as long as reading them: the two panels that `product` then
    multiplies with side by side are contiguous in memory.
    """
    width = PANEL_BYTES // workspace.panels.itemsize
    if is_lone_step(workspace):
        width *= 2
    depth = workspace.hidden_size + workspace.input_size + 1
    return _part(borrowed(workspace.panels), 0, (4 * workspace.units // width, depth, width))


@inner_kernel
def hidden_panels(workspace):
    """Return the place of W_hh, packed, of each gate."""
    start = 4 * (workspace.hidden_size + workspace.input_size + 1) * workspace.units
    return _panels(workspace, start, workspace.hidden_size, workspace.units)


@inner_kernel
def input_panels(workspace):
    """Return the place of W_ih, packed, of each gate."""
    start = 4 * (2 * workspace.hidden_size + workspace.input_size + 1) * workspace.units
    return _panels(workspace, start, workspace.hidden_size, workspace.input_units)


@inner_kernel
def _panels(workspace, start, depth, columns):
    width = PANEL_BYTES // workspace.panels.itemsize
    return _part(borrowed(workspace.panels), start, (4, columns // width, depth, width))


@inner_kernel
def pack_forward(weights, workspace):
    """Pack ``[W_hh | W_ih | b].T`` of each gate; of inputs that are looked up, W_hh alone."""
    input_size = workspace.input_size
    hidden_size = workspace.hidden_size
    panels = forward_panels(workspace)
    for gate in range(4):
        units = slice(gate * hidden_size, (gate + 1) * hidden_size)
        column = gate * workspace.units
        pack(weights.w_hh[units].T, panels, 0, column)
        if workspace.vocabulary_size == 0:
            pack(weights.w_ih[units].T, panels, hidden_size, column)
            pack(weights.bias[units].reshape(hidden_size, 1).T, panels, hidden_size + input_size, column)


@inner_kernel
def pack_backward(weights, workspace, input_grad):
    """Pack W_hh, and W_ih if `input_grad`, of each gate."""
    hidden_size = workspace.hidden_size
    for gate in range(4):
        units = slice(gate * hidden_size, (gate + 1) * hidden_size)
        pack(weights.w_hh[units], hidden_panels(workspace)[gate], 0)
        if input_grad:
            pack(weights.w_ih[units], input_panels(workspace)[gate], 0)


# Rows of the gradients that are added up and taken apart together: few enough that they stay in cache in between.
_UNPACKED_ROWS = 64


@inner_kernel
def gradient_parts(workspace):
    """Return into how many parts `unpack_gradients` cuts its work."""
    return 4 * -(-(workspace.hidden_size + workspace.input_size + 1) // _UNPACKED_ROWS)


@inner_kernel
def unpack_gradients(workspace, gradients, d_lookup, part):
    """Add the shards' gradients of ``[W_hh | W_ih | b].T``, in the order of the shards, and take them apart.

    `part` selects the gate and the rows; parts touch different memory.
    """
    gate = part % 4
    first = part // 4 * _UNPACKED_ROWS
    hidden_size = workspace.hidden_size
    inputs_end = workspace.hidden_size + workspace.input_size
    last = min(first + _UNPACKED_ROWS, inputs_end + 1)
    total = shard_gradients(workspace, 0).d_weights[gate, first:last]
    for shard in range(1, workspace.shards.shape[0]):
        d_weights = shard_gradients(workspace, shard).d_weights[gate, first:last]
        add(d_weights.reshape(-1), total.reshape(-1))
    units = slice(gate * hidden_size, (gate + 1) * hidden_size)
    columns = total[:, :hidden_size].T
    hidden_end = min(last, hidden_size)
    if first < hidden_end:
        copy(columns[:, : hidden_end - first], borrowed(gradients.w_hh)[units, first:hidden_end])
    if last > hidden_size and workspace.vocabulary_size == 0:
        start, end = max(first, hidden_size), min(last, inputs_end)
        w_ih = borrowed(gradients.w_ih)[units, start - hidden_size : end - hidden_size]
        copy(columns[:, start - first : end - first], w_ih)
        if last > inputs_end:
            copy(columns[:, inputs_end - first :], borrowed(gradients.bias)[units].reshape(hidden_size, 1))
    if d_lookup is not None:
        _unpack_table(workspace, borrowed(d_lookup.table), part)


@inner_kernel
def _unpack_table(workspace, d_table, part):
    """Do the same to a part of the entries of the table that inputs were looked up in."""
    parts = gradient_parts(workspace)
    hidden_size = workspace.hidden_size
    entries = slice(part * d_table.shape[0] // parts, (part + 1) * d_table.shape[0] // parts)
    total = shard_table_gradient(workspace, 0)[entries]
    for shard in range(1, workspace.shards.shape[0]):
        add(shard_table_gradient(workspace, shard)[entries].reshape(-1), total.reshape(-1))
    for gate in range(4):
        units = slice(gate * hidden_size, (gate + 1) * hidden_size)
        for entry in range(total.shape[0]):
            copy_line(total[entry, gate], d_table[entries.start + entry][units])

"""Where an LSTM pass keeps what it computes: the memory of one layer and direction, and the packed weights.

A pass for training keeps every step, for the backward pass. A pass for inference keeps one: step t stands at ``t %
steps``, so the same code overwrites it at the next, and the activations of a long sequence never leave the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.cpu.borrow import borrowed
from kernels.cpu.compilation import kernel
from kernels.cpu.pack import pack, padded, panels_shape

__all__ = [
    "LSTMWeights",
    "Workspace",
    "gradient_parts",
    "lstm_gates",
    "lstm_workspace",
    "pack_backward",
    "pack_forward",
    "rows_of",
    "shard_lines",
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


class Workspace(NamedTuple):
    """Everything a pass writes that is not a result; each shard's part is flat, shaped by `shard_views` to its rows.

    Units are padded to whole panels, P of them, so that a step of a shard is one run of rows * P numbers for each gate:
    the gate loops vectorise over that run whatever the hidden size. Padded units stay zero.
    """

    batch_size: int
    steps: int  # T for training, 1 for inference
    input_size: int
    hidden_size: int
    operand: np.ndarray  # (shards, steps * rows * (H + I + 1)): [h_{t-1} | x_t | 1], masked where there is dropout
    gates: np.ndarray  # (shards, 4 * steps * rows * P): z, then i f g o, then their gradients
    cell: np.ndarray  # (shards, (steps + 1) * rows * P)
    tanh_cell: np.ndarray  # (shards, steps * rows * P)
    hidden: np.ndarray  # (shards, rows, P): h_t, then dh_t
    held: np.ndarray  # (shards, rows, P): h_t, then dh_t, that sequences which are over hold on to
    hidden_mask: np.ndarray  # (shards, rows, H): factors of h_{t-1}
    input_mask: np.ndarray  # (shards, rows, I): factors of x_t
    d_cell: np.ndarray  # (shards, rows, P)
    d_input: np.ndarray  # (shards, rows, padded(I)): dx_t
    d_weights: np.ndarray  # (shards, 4, H + I + 1, P): rows [W_hh | W_ih | b].T
    forward_panels: np.ndarray  # (4, ...) packed [W_hh | W_ih | b].T of each gate
    hidden_panels: np.ndarray  # (4, ...) packed W_hh of each gate
    input_panels: np.ndarray  # (4, ...) packed W_ih of each gate


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


def _shard_rows(batch_size: int) -> int:
    return 16 if batch_size >= 64 else 8


def lstm_workspace(
    batch_size: int,
    seq_len: int,
    input_size: int,
    hidden_size: int,
    dtype: str,
    training: bool = True,
    precision: str = "float32",
) -> Workspace:
    """Allocate what the passes need for these sizes; reused from call to call.

    With `training` False it serves `lstm_forward` alone, for sequences of any length.

    Raises
    ------
    ValueError
        When `precision` is "tf32", which takes a GPU's tensor cores.
    """
    if precision == "tf32":
        raise ValueError("precision tf32 needs the tensor cores of backend cuda; the CPU computes in float32")
    rows = min(_shard_rows(batch_size), batch_size)
    shards = -(-batch_size // rows)
    depth = hidden_size + input_size + 1
    units = padded(hidden_size, dtype)
    steps = seq_len if training else 1
    backward = shards if training else 0

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    return Workspace(
        batch_size=batch_size,
        steps=steps,
        input_size=input_size,
        hidden_size=hidden_size,
        operand=zeros(shards, steps * rows * depth),
        gates=zeros(shards, 4 * steps * rows * units),
        cell=zeros(shards, (steps + 1) * rows * units),
        tanh_cell=zeros(shards, steps * rows * units),
        hidden=zeros(shards, rows, units),
        held=zeros(shards, rows, units),
        hidden_mask=zeros(shards, rows, hidden_size),
        input_mask=zeros(shards, rows, input_size),
        d_cell=zeros(backward, rows, units),
        d_input=zeros(backward, rows, padded(input_size, dtype)),
        d_weights=zeros(backward, 4, depth, units),
        forward_panels=zeros(4, *panels_shape(depth, hidden_size, dtype)),
        hidden_panels=zeros(4 if training else 0, *panels_shape(hidden_size, hidden_size, dtype)),
        input_panels=zeros(4 if training else 0, *panels_shape(hidden_size, input_size, dtype)),
    )


def lstm_gates(workspace: Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) array."""
    batch_size, steps, hidden_size = workspace.batch_size, workspace.steps, workspace.hidden_size
    gates = np.empty((batch_size, steps, 4, hidden_size), workspace.gates.dtype)
    shards, rows, units = workspace.hidden.shape
    for shard in range(shards):
        first = shard * rows
        last = min(first + rows, batch_size)
        size = 4 * steps * (last - first) * units
        kept = workspace.gates[shard, :size].reshape(4, steps, last - first, units)
        gates[first:last] = kept[..., :hidden_size].transpose(2, 1, 0, 3)
    return gates.reshape(batch_size, steps, 4 * hidden_size)


@kernel
def rows_of(workspace, shard):
    """Return the rows of the batch that a shard computes: first, and the one after the last."""
    first = shard * workspace.hidden.shape[1]
    return first, min(first + workspace.hidden.shape[1], workspace.batch_size)


@kernel
def shard_views(workspace, shard):
    """Return a shard's part of the workspace."""
    first, last = rows_of(workspace, shard)
    steps, rows, units = workspace.steps, last - first, workspace.hidden.shape[2]
    depth = workspace.hidden_size + workspace.input_size + 1
    size = steps * rows * units
    return ShardViews(
        borrowed(workspace.operand)[shard, : steps * rows * depth].reshape(steps, rows, depth),
        borrowed(workspace.gates)[shard, : 4 * size].reshape(4, steps, rows, units),
        borrowed(workspace.cell)[shard, : size + rows * units].reshape(steps + 1, rows, units),
        borrowed(workspace.tanh_cell)[shard, :size].reshape(steps, rows, units),
        borrowed(workspace.hidden)[shard, :rows],
        borrowed(workspace.held)[shard, :rows],
        borrowed(workspace.hidden_mask)[shard, :rows],
        borrowed(workspace.input_mask)[shard, :rows],
    )


@kernel
def shard_lines(workspace, shard):
    """Return a shard's part of the workspace, a line for each step."""
    first, last = rows_of(workspace, shard)
    steps, units = workspace.steps, (last - first) * workspace.hidden.shape[2]
    size = steps * units
    return ShardLines(
        borrowed(workspace.gates)[shard, : 4 * size].reshape(4, steps, units),
        borrowed(workspace.cell)[shard, : size + units].reshape(steps + 1, units),
        borrowed(workspace.tanh_cell)[shard, :size].reshape(steps, units),
        borrowed(workspace.hidden)[shard].reshape(-1)[:units],
    )


@kernel
def pack_forward(weights, workspace):
    """Pack ``[W_hh | W_ih | b].T`` of each gate."""
    input_size, hidden_size = workspace.input_size, workspace.hidden_size
    for gate in range(4):
        units, panels = slice(gate * hidden_size, (gate + 1) * hidden_size), workspace.forward_panels[gate]
        pack(weights.w_hh[units].T, panels, 0)
        pack(weights.w_ih[units].T, panels, hidden_size)
        pack(weights.bias[units].reshape(hidden_size, 1).T, panels, hidden_size + input_size)


@kernel
def pack_backward(weights, workspace, input_grad):
    """Pack W_hh, and W_ih if `input_grad`, of each gate."""
    hidden_size = workspace.hidden_size
    for gate in range(4):
        units = slice(gate * hidden_size, (gate + 1) * hidden_size)
        pack(weights.w_hh[units], workspace.hidden_panels[gate], 0)
        if input_grad:
            pack(weights.w_ih[units], workspace.input_panels[gate], 0)


# Units whose gradients are taken apart together: few enough that what is read across the rows stays in cache.
_UNPACKED_UNITS = 64


@kernel
def gradient_parts(workspace):
    """Return into how many parts `unpack_gradients` cuts its work."""
    return 4 * -(-workspace.hidden_size // _UNPACKED_UNITS)


@kernel
def unpack_gradients(workspace, gradients, part):
    """Add the shards' gradients of ``[W_hh | W_ih | b].T``, in the order of the shards, and take them apart.

    `part` says for which units of which gate; parts touch different memory.
    """
    gate, block = part % 4, part // 4
    d_weights, w_hh, w_ih = borrowed(workspace.d_weights), borrowed(gradients.w_hh), borrowed(gradients.w_ih)
    first = block * _UNPACKED_UNITS
    last = min(first + _UNPACKED_UNITS, workspace.hidden_size)
    place, input_size, hidden_size = gate * workspace.hidden_size, workspace.input_size, workspace.hidden_size
    total = d_weights[0, gate]
    for shard in range(1, d_weights.shape[0]):
        for row in range(total.shape[0]):
            for j in range(first, last):
                total[row, j] += d_weights[shard, gate, row, j]
    for j in range(first, last):
        for k in range(hidden_size):
            w_hh[place + j, k] = total[k, j]
        for k in range(input_size):
            w_ih[place + j, k] = total[hidden_size + k, j]
        gradients.bias[place + j] = total[hidden_size + input_size, j]

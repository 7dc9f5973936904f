"""A launch per time step, for layers whose recurrent weights are too large to stay in a block's shared memory.

The products of a step run over the whole GPU, `kernels.cuda.product`; the kernels here have a thread per unit and row.
Rows are those of all models, one model after another.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from gatecast.kernels.cuda.arrays import copy_array
from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import launch
from gatecast.kernels.cuda.product import add_product, row_product
from gatecast.kernels.cuda.unit import activate, differentiate, mask_factor, read_gates, write_gates
from gatecast.kernels.masks import Mask

__all__ = ["backward_steps", "forward_steps"]


def forward_steps(
    w_hh: Any, lengths: Any, mask: Mask, h_0: Any, c_0: Any, gates: Any, entering: Any, cell: Any, tanh_cell: Any,
    wants_y: bool, y: Any, h_n: Any, c_n: Any,
) -> None:  # fmt: skip
    """Turn the inputs' part of z into activations; arguments as `kernels.cuda.sequence.forward_sequence`."""
    models, batch_size, seq_len, width = gates.shape
    rows = models * batch_size
    hidden_size = width // 4
    by_row = [array.reshape(rows, array.shape[2], array.shape[3]) for array in (gates, entering, cell, tanh_cell, y)]
    states = [state.reshape(rows, hidden_size) for state in (h_n, c_n)]
    lengths = lengths.reshape(rows)
    copy_array(h_0, h_n)
    copy_array(c_0, c_n)
    launch(_enter, (rows, hidden_size), mask, *states, by_row[1], by_row[2])
    for t in range(seq_len):
        add_product(_step(entering, t), w_hh, _step(gates, t))
        launch(_forward_step, (rows, hidden_size), t, lengths, mask, *by_row[:4], wants_y, by_row[4], *states)


def backward_steps(
    w_hh: Any, lengths: Any, mask: Mask, wants_dy: bool, dy: Any, dh_n: Any, dc_n: Any, gates: Any, cell: Any,
    tanh_cell: Any, dh_0: Any, dc_0: Any, d_next: Any,
) -> None:  # fmt: skip
    """Turn the activations into gradients of z; arguments as `kernels.cuda.sequence.backward_sequence`.

    `d_next` (models, B, H) is overwritten.
    """
    models, batch_size, seq_len, width = gates.shape
    rows = models * batch_size
    hidden_size = width // 4
    by_row = [array.reshape(rows, array.shape[2], array.shape[3]) for array in (dy, gates, cell, tanh_cell)]
    states = [state.reshape(rows, hidden_size) for state in (d_next, dh_0, dc_0)]
    lengths = lengths.reshape(rows)
    copy_array(dh_n, dh_0)
    copy_array(dc_n, dc_0)
    for t in range(seq_len - 1, -2, -1):
        launch(_backward_step, (rows, hidden_size), t, lengths, mask, wants_dy, *by_row, *states)
        if t >= 0:
            row_product(_step(gates, t), w_hh, d_next)


def _step(array: Any, t: int) -> Any:
    """Return (models, B, width), the view of step t of (models, B, T, width)."""
    models, batch_size, steps, width = array.shape
    return array.reshape(models, batch_size, steps * width)[:, :, t * width : (t + 1) * width]


@kernel
def _enter(mask, h, c, entering, cell):
    """Begin with the first state."""
    j, b = cuda.grid(2)
    if b < h.shape[0] and j < h.shape[1]:
        entering[b, 0, j] = h[b, j] * mask_factor(mask, b * h.shape[1] + j, 0)
        cell[b, 0, j] = c[b, j]


@kernel
def _forward_step(t, lengths, mask, gates, entering, cell, tanh_cell, wants_y, y, h, c):
    """Turn z of a step into gates, and these into the next state; `h` and `c` are the present state, in place."""
    j, b = cuda.grid(2)
    hidden_size = h.shape[1]
    if b >= h.shape[0] or j >= hidden_size:
        return
    is_over = t >= lengths[b]
    zero = h.dtype.type(0)
    one = h.dtype.type(1)
    z_i, z_f, z_g, z_o = read_gates(gates[b, t], j)
    i, f, g, o, c_t, tanh_c, h_t = activate(z_i, z_f, z_g, z_o, c[b, j])
    if is_over:  # gates that leave the state unchanged, as on the CPU
        i = zero
        f = one
        g = zero
        o = zero
        c_t = c[b, j]
        tanh_c = zero
        h_t = h[b, j]
    write_gates(gates[b, t], j, i, f, g, o)
    h[b, j] = h_t
    c[b, j] = c_t
    cell[b, t + 1, j] = c_t
    tanh_cell[b, t, j] = tanh_c
    if t + 1 < entering.shape[1]:
        entering[b, t + 1, j] = h_t * mask_factor(mask, b * hidden_size + j, t + 1)
    if wants_y:
        y[b, t, j] = zero if is_over else h_t


@kernel
def _backward_step(t, lengths, mask, wants_dy, dy, gates, cell, tanh_cell, d_next, dh, dc):
    """Take what step t + 1 passes back, and turn a step's gates into gradients; `dh` and `dc` are in place."""
    j, b = cuda.grid(2)
    hidden_size = dh.shape[1]
    if b >= dh.shape[0] or j >= hidden_size:
        return
    if t + 1 < lengths[b]:
        dh[b, j] = d_next[b, j] * mask_factor(mask, b * hidden_size + j, t + 1)
    if t < 0:
        return
    if wants_dy and t < lengths[b]:
        dh[b, j] += dy[b, t, j]
    i, f, g, o = read_gates(gates[b, t], j)
    dz_i, dz_f, dz_g, dz_o, dc[b, j] = differentiate(i, f, g, o, cell[b, t, j], tanh_cell[b, t, j], dh[b, j], dc[b, j])
    write_gates(gates[b, t], j, dz_i, dz_f, dz_g, dz_o)

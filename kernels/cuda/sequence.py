"""The whole sequence in one launch: a block runs all time steps of a tile of rows, with the weights in shared memory.

A thread has one unit and 4 rows. Forward it keeps their states in registers; within a step the block exchanges
hidden states, and the thread sums the 4 gates of its unit over all units before::

    for t in time steps:
        publish h_{t-1}                                   (shared memory)
        z_t += w_hh @ h_{t-1}                             16 sums for 8 numbers read
        i, f, g, o, c_t, h_t                              `kernels.cuda.unit.activate`

Backward the roles of the numbers are exchanged: it publishes the gradients of its unit's gates, and sums, for one gate,
4 units at a time::

    for t in time steps, from the last:
        dz_t, dc_{t-1}                                    `kernels.cuda.unit.differentiate`
        publish dz_t
        dh_{t-1} = dz_t @ w_hh                            16 sums for 8 numbers read, then 4 gates added

The weights are *packed*, by the unit they lead from, so that the first ones fill the shared memory and the others are
read from the GPU's cache; see `kernels.cuda.launch.plan_sequence`. The leading axis of all arrays is the model: several
of one size run at once, a block's second index being its model. A row's sums have one order, whatever the plan.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.extending import register_jitable

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.launch import ROWS, launch, padded
from gatecast.kernels.cuda.unit import activate, differentiate, mask_factor, read_gates, write_gates
from gatecast.kernels.cuda.vector import SHARED_ALIGNMENT, four
from gatecast.kernels.scalar import multiply_add

__all__ = [
    "BACKWARD_BUFFERS",
    "FORWARD_BUFFERS",
    "add_unit",
    "backward_sequence",
    "forward_sequence",
    "pack",
    "packed_size",
]

FORWARD_BUFFERS = 2 * ROWS
"""Numbers of a unit and group of rows in shared memory: hidden states, of this step and of the one before"""
BACKWARD_BUFFERS = 2 * 4 * ROWS
"""The same: gradients of 4 gates, and 4 parts of the gradient of the hidden state"""


def packed_size(hidden_size: int) -> int:
    """Return how many numbers the packed recurrent weights of a model have."""
    return hidden_size * 4 * padded(hidden_size)


def pack(w_hh: Any, forward_weights: Any, backward_weights: Any) -> None:
    """Lay out (models, 4H, H) weights for the two kernels, (models, packed_size(H)) each, with zeros between."""
    models, _, hidden_size = w_hh.shape
    launch(_pack, (models * hidden_size, padded(hidden_size)), w_hh, forward_weights, backward_weights)


@kernel
def _pack(w_hh, forward_weights, backward_weights):
    """``forward[k][j][gate] = w_hh[gate][j, k]`` and ``backward[k][gate][j] = w_hh[gate][k, j]``."""
    j, row = cuda.grid(2)
    hidden_size = w_hh.shape[2]
    units = forward_weights.shape[1] // (4 * hidden_size)
    if row < w_hh.shape[0] * hidden_size and j < units:
        model = row // hidden_size
        k = row % hidden_size
        for gate in range(4):
            leading = w_hh.dtype.type(0)
            returning = w_hh.dtype.type(0)
            if j < hidden_size:
                leading = w_hh[model, gate * hidden_size + j, k]
                returning = w_hh[model, gate * hidden_size + k, j]
            forward_weights[model, (k * units + j) * 4 + gate] = leading
            backward_weights[model, (k * 4 + gate) * units + j] = returning


# Two blocks to a multiprocessor, for many models at once. Some numbers no longer fit into registers then, which hardly
# matters to one model with its few blocks: on an H100 a fleet of 1,000 gained 10 %, and one model lost 2 %.
_LAUNCH_BOUNDS = (256, 2)


@kernel(launch_bounds=_LAUNCH_BOUNDS)
def forward_sequence(
    packed, resident, keeps, lengths, mask, h_0, c_0, gates, entering, cell, tanh_cell, wants_y, y, h_n, c_n
):
    """Turn `gates`, which hold the inputs' part of z, into activations; all arrays have the model first.

    Parameters
    ----------
    packed : (models, packed_size) array
    resident : int
        Units whose outgoing weights are copied into shared memory.
    keeps : bool
        Write what the backward pass needs: `gates`, `entering` (B, T, H), `cell` (B, T + 1, H), `tanh_cell` (B, T, H).
    lengths : (models, B) int64 array
    mask : Mask
        Of h_{t-1} where it enters the gates.
    h_0, c_0, h_n, c_n : (models, B, H) arrays
    gates : (models, B, T, 4H) array
    wants_y : bool
    y : (models, B, T, H) array
        ``=``, zero after the end of a sequence, if it is wanted.
    """
    model = cuda.blockIdx.y
    j = cuda.threadIdx.x
    group = cuda.threadIdx.y
    units = cuda.blockDim.x
    batch_size = cell.shape[1]
    seq_len = gates.shape[2]
    hidden_size = cell.shape[3]
    first = ROWS * (cuda.blockIdx.x * cuda.blockDim.y + group)
    shared = cuda.shared.array(0, dtype=packed.dtype, alignment=SHARED_ALIGNMENT)
    weights = shared[: resident * 4 * units]
    hidden = shared[resident * 4 * units :]
    h, c = cuda.local.array(ROWS, dtype=packed.dtype), cuda.local.array(ROWS, dtype=packed.dtype)
    given = cuda.local.array((4, ROWS), dtype=packed.dtype)
    sums = cuda.local.array((4, ROWS), dtype=packed.dtype)
    zero = packed.dtype.type(0)
    one = packed.dtype.type(1)
    _fill_shared(packed[model], weights)
    for r in range(ROWS):
        h[r] = 0
        c[r] = 0
        if j < hidden_size and first + r < batch_size:
            h[r] = h_0[model, first + r, j]
            c[r] = c_0[model, first + r, j]
            if keeps:
                cell[model, first + r, 0, j] = c[r]
    for t in range(seq_len):
        # Two buffers take turns: late threads still read the one while early threads write the other.
        buffer = (t % 2 * cuda.blockDim.y + group) * units * ROWS
        for r in range(ROWS):
            b = first + r
            entering_h = h[r] * mask_factor(mask, b * hidden_size + j, t)
            hidden[buffer + j * ROWS + r] = entering_h
            if keeps and j < hidden_size and b < batch_size:
                entering[model, b, t, j] = entering_h
            for gate in range(4):
                # Loaded during the product, needed after it.
                sums[gate, r] = 0
                given[gate, r] = 0
                if j < hidden_size and b < batch_size:
                    given[gate, r] = gates[model, b, t, gate * hidden_size + j]
        cuda.syncthreads()
        _multiply(weights, resident, packed[model], 4 * j, hidden_size, hidden, buffer, sums)
        for r in range(ROWS):
            b = first + r
            if j < hidden_size and b < batch_size:
                is_over = t >= lengths[model, b]
                i, f, g, o, c_t, tanh_c, h_t = activate(
                    given[0, r] + sums[0, r], given[1, r] + sums[1, r], given[2, r] + sums[2, r],
                    given[3, r] + sums[3, r], c[r],
                )  # fmt: skip
                if is_over:  # gates that leave the state unchanged, as on the CPU
                    i = zero
                    f = one
                    g = zero
                    o = zero
                    c_t = c[r]
                    tanh_c = zero
                    h_t = h[r]
                h[r] = h_t
                c[r] = c_t
                if keeps:
                    write_gates(gates[model, b, t], j, i, f, g, o)
                    cell[model, b, t + 1, j] = c_t
                    tanh_cell[model, b, t, j] = tanh_c
                if wants_y:
                    y[model, b, t, j] = zero if is_over else h_t
    for r in range(ROWS):
        if j < hidden_size and first + r < batch_size:
            h_n[model, first + r, j] = h[r]
            c_n[model, first + r, j] = c[r]


@kernel(launch_bounds=_LAUNCH_BOUNDS)
def backward_sequence(packed, resident, lengths, mask, wants_dy, dy, dh_n, dc_n, gates, cell, tanh_cell, dh_0, dc_0):
    """Turn the activations in `gates` into gradients of z; arguments as `forward_sequence`.

    Parameters
    ----------
    packed : (models, packed_size) array
    wants_dy : bool
    dy : (models, B, T, H) array
        Read if `wants_dy`, within the lengths.
    dh_n, dc_n, dh_0, dc_0 : (models, B, H) arrays
    """
    model = cuda.blockIdx.y
    j = cuda.threadIdx.x
    group = cuda.threadIdx.y
    units = cuda.blockDim.x
    batch_size = cell.shape[1]
    seq_len = gates.shape[2]
    hidden_size = cell.shape[3]
    first = ROWS * (cuda.blockIdx.x * cuda.blockDim.y + group)
    shared = cuda.shared.array(0, dtype=packed.dtype, alignment=SHARED_ALIGNMENT)
    weights = shared[: resident * 4 * units]
    exchanged = shared[resident * 4 * units :]
    size = 4 * units * ROWS
    d_gates = exchanged[group * size :]
    parts = exchanged[(cuda.blockDim.y + group) * size :]
    dh, dc = cuda.local.array(ROWS, dtype=packed.dtype), cuda.local.array(ROWS, dtype=packed.dtype)
    sums = cuda.local.array((4, ROWS), dtype=packed.dtype)
    # The products assign threads differently: one gate, and 4 units that the gradient goes to.
    own_gate = j // (units // 4)
    own_units = 4 * (j % (units // 4))
    _fill_shared(packed[model], weights)
    for r in range(ROWS):
        dh[r] = 0
        dc[r] = 0
        if j < hidden_size and first + r < batch_size:
            dh[r] = dh_n[model, first + r, j]
            dc[r] = dc_n[model, first + r, j]
    for t in range(seq_len - 1, -1, -1):
        for r in range(ROWS):
            b = first + r
            for gate in range(4):
                d_gates[(gate * units + j) * ROWS + r] = 0
            if j < hidden_size and b < batch_size:
                if wants_dy and t < lengths[model, b]:
                    dh[r] += dy[model, b, t, j]
                i, f, g, o = read_gates(gates[model, b, t], j)
                dz_i, dz_f, dz_g, dz_o, dc[r] = differentiate(
                    i, f, g, o, cell[model, b, t, j], tanh_cell[model, b, t, j], dh[r], dc[r]
                )
                write_gates(gates[model, b, t], j, dz_i, dz_f, dz_g, dz_o)
                d_gates[j * ROWS + r] = dz_i
                d_gates[(units + j) * ROWS + r] = dz_f
                d_gates[(2 * units + j) * ROWS + r] = dz_g
                d_gates[(3 * units + j) * ROWS + r] = dz_o
        cuda.syncthreads()
        for n in range(4):
            for r in range(ROWS):
                sums[n, r] = 0
        of_gate = own_gate * units
        _multiply(weights, resident, packed[model], of_gate + own_units, hidden_size, d_gates, of_gate * ROWS, sums)
        for n in range(4):
            for r in range(ROWS):
                parts[(of_gate + own_units + n) * ROWS + r] = sums[n, r]
        cuda.syncthreads()
        for r in range(ROWS):
            b = first + r
            if j < hidden_size and b < batch_size and t < lengths[model, b]:
                total = parts[j * ROWS + r]
                for gate in range(1, 4):
                    total += parts[(gate * units + j) * ROWS + r]
                dh[r] = total * mask_factor(mask, b * hidden_size + j, t)
    for r in range(ROWS):
        if j < hidden_size and first + r < batch_size:
            dh_0[model, first + r, j] = dh[r]
            dc_0[model, first + r, j] = dc[r]


@register_jitable
def _fill_shared(packed, weights):
    """Copy the first of the packed weights into the block's shared memory; the next barrier makes them visible."""
    thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    for index in range(thread, weights.shape[0], cuda.blockDim.x * cuda.blockDim.y):
        weights[index] = packed[index]


@register_jitable
def _multiply(weights, resident, packed, place, hidden_size, numbers, published, sums):
    """Add to a thread's sums what all units contribute: first those whose weights are in shared memory."""
    units = cuda.blockDim.x
    for k in range(resident):
        add_unit(four(weights, place + 4 * units * k), four(numbers, published + ROWS * k), sums)
    for k in range(resident, hidden_size):
        add_unit(four(packed, place + 4 * units * k), four(numbers, published + ROWS * k), sums)


@register_jitable
def add_unit(weights, numbers, sums):
    """``sums[n, r] += weights[n] * numbers[r]``: what one unit's 4 weights and 4 rows add to the sums."""
    for n in range(4):
        for r in range(ROWS):
            sums[n, r] = multiply_add(weights[n], numbers[r], sums[n, r])

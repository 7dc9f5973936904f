"""A sequence spread over the whole GPU in one launch, for layers whose recurrent weights fill many shared memories.

A block has some units and some rows. It keeps the weights that lead to its units in shared memory for all time steps,
and exchanges states through global memory with its fellows, the blocks with other units of the same rows. A step is::

    h_{t-1} of all units, of the block's rows           (from the fellows)
    z_t += w_hh @ h_{t-1} for the block's units         16 sums for 8 numbers read, each thread a part of the terms
    i, f, g, o, c_t, h_t                                `kernels.cuda.unit.activate`
    publish h_t; wait until all fellows have            (`_arrive`, `_wait`)

Backward a block multiplies the gradients of its own units' gates by the same weights, which gives it a part of dh_{t-1}
of all units; it publishes that, and adds up what all fellows have published for its units, in their order. Blocks that
wait for one another must run at once: the launch is cooperative, and `kernels.cuda.launch.plan_spread` makes no more
blocks than there are multiprocessors. The simulator runs one block after another, and so takes a launch per step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda
from numba.core import config
from numba.extending import register_jitable

from gatecast.kernels.cuda.arrays import copy_array, fill
from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.cuda.launch import ROWS, Device, SpreadPlan, launch, padded, plan_spread
from gatecast.kernels.cuda.sequence import add_unit
from gatecast.kernels.cuda.unit import activate, differentiate, mask_factor, read_gates, write_gates
from gatecast.kernels.cuda.vector import SHARED_ALIGNMENT, four
from gatecast.kernels.masks import Mask

__all__ = ["Spread", "backward_spread", "forward_spread", "make_spread"]

_MOST_THREADS = 512


class Spread(NamedTuple):
    """A plan, and the arrays through which its blocks exchange their results."""

    plan: SpreadPlan
    counters: Any
    """(models * row tiles,): how often the blocks of the same rows have published, all together"""
    hidden: Any
    """(2, models, H, rows): hidden states, of this step and of the next, rows padded to whole tiles"""
    partial: Any
    """(2, models, tiles, units, rows): parts of the hidden states' gradients, from each tile of units"""


def make_spread(
    models: int, batch_size: int, hidden_size: int, dtype: Any, training: bool, gpu: Device
) -> Spread | None:
    """Plan and allocate; None if a layer of these sizes is not to be spread."""
    plan = plan_spread(models, batch_size, hidden_size, dtype.itemsize, gpu)
    if plan is None:
        return None
    rows = plan.row_tiles * ROWS * plan.row_groups
    units = max(padded(hidden_size), plan.tiles * plan.units)
    return Spread(
        plan=plan,
        counters=new_array(models * plan.row_tiles, "int32"),
        hidden=new_array((2, models, hidden_size, rows), dtype),
        partial=new_array((2, models, plan.tiles, units, rows) if training else (0,) * 5, dtype),
    )


def forward_spread(
    spread: Spread, w_hh: Any, lengths: Any, mask: Mask, h_0: Any, c_0: Any, keeps: bool, gates: Any, entering: Any,
    cell: Any, tanh_cell: Any, wants_y: bool, y: Any, h_n: Any, c_n: Any,
) -> None:  # fmt: skip
    """Turn the inputs' part of z into activations; arguments as `kernels.cuda.sequence.forward_sequence`."""
    models, batch_size, hidden_size = h_n.shape
    copy_array(h_0, h_n)
    copy_array(c_0, c_n)
    launch(_begin, (models * batch_size, hidden_size), mask, h_n, c_n, keeps, entering, cell, spread.hidden)
    state = spread.counters, spread.hidden, keeps, lengths, mask, gates, entering, cell, tanh_cell, wants_y, y, h_n, c_n
    steps = gates.shape[2]
    for first in range(0, steps, _steps_of_a_launch(steps)):
        last = first + _steps_of_a_launch(steps)
        _run(_forward, spread, spread.plan.forward_bytes, w_hh, first, last, spread.plan.chunk, *state)


def backward_spread(
    spread: Spread, w_hh: Any, lengths: Any, mask: Mask, wants_dy: bool, dy: Any, dh_n: Any, dc_n: Any, gates: Any,
    cell: Any, tanh_cell: Any, dh_0: Any, dc_0: Any,
) -> None:  # fmt: skip
    """Turn the activations into gradients of z; arguments as `kernels.cuda.sequence.backward_sequence`."""
    copy_array(dh_n, dh_0)
    copy_array(dc_n, dc_0)
    state = spread.counters, spread.partial, lengths, mask, wants_dy, dy, gates, cell, tanh_cell, dh_0, dc_0
    steps = gates.shape[2] + 1  # the last one, -1, only takes what step 0 passes back
    for first in range(steps - 2, -2, -_steps_of_a_launch(steps)):
        last = first + 1 - _steps_of_a_launch(steps)
        _run(_backward, spread, spread.plan.backward_bytes, w_hh, first, last, *state)


def _steps_of_a_launch(steps: int) -> int:
    return 1 if config.ENABLE_CUDASIM else steps


def _run(function: Any, spread: Spread, shared_bytes: int, w_hh: Any, *arguments: Any) -> None:
    plan = spread.plan
    fill(spread.counters, 0)
    grid = (plan.tiles, plan.row_tiles, w_hh.shape[0])
    block = (plan.row_groups, plan.units, plan.parts)
    run(function, grid, block, shared_bytes, w_hh, *arguments, cooperative=True)


@kernel
def _begin(mask, h, c, keeps, entering, cell, hidden):
    """Publish the first state."""
    j, row = cuda.grid(2)
    if row < h.shape[0] * h.shape[1] and j < h.shape[2]:
        model = row // h.shape[1]
        b = row % h.shape[1]
        entering_h = h[model, b, j] * mask_factor(mask, b * h.shape[2] + j, 0)
        hidden[0, model, j, b] = entering_h
        if keeps:
            entering[model, b, 0, j] = entering_h
            cell[model, b, 0, j] = c[model, b, j]


@kernel(launch_bounds=(_MOST_THREADS,))
def _forward(
    w_hh, first_step, last_step, chunk, counters, hidden, keeps, lengths, mask, gates, entering, cell, tanh_cell,
    wants_y, y, h, c,
):  # fmt: skip
    """Run steps; `h` and `c` are the state before the first of them, and become that after the last."""
    group = cuda.threadIdx.x
    u = cuda.threadIdx.y
    part = cuda.threadIdx.z
    groups = cuda.blockDim.x
    units = cuda.blockDim.y
    parts = cuda.blockDim.z
    model = cuda.blockIdx.z
    counter = cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y
    batch_size = h.shape[1]
    hidden_size = h.shape[2]
    rows = ROWS * groups
    first_unit = cuda.blockIdx.x * units
    first_row = cuda.blockIdx.y * rows
    thread = (part * units + u) * groups + group
    threads = groups * units * parts
    shared = cuda.shared.array(0, dtype=w_hh.dtype, alignment=SHARED_ALIGNMENT)
    weights = shared[: 4 * units * hidden_size]
    size = 4 * units * hidden_size + chunk * rows
    stage = shared[4 * units * hidden_size : size]
    totals = shared[size:]
    # Rows are one number further apart than there are units, so that neighbouring threads access different banks.
    pitch = units + 1
    elements = units * rows
    area = rows * pitch
    states = totals[4 * (parts + 1) * area :]
    sums = cuda.local.array((4, ROWS), dtype=w_hh.dtype)
    zero = w_hh.dtype.type(0)
    one = w_hh.dtype.type(1)
    for gate in range(4):
        for unit in range(units):
            for k in range(thread, hidden_size, threads):
                row = gate * hidden_size + first_unit + unit
                weights[(k * units + unit) * 4 + gate] = (
                    w_hh[model, row, k] if first_unit + unit < hidden_size else zero
                )
    # Outside the products a thread has one unit, and every `step_own`-th row of the block.
    own = thread % units
    first_own = thread // units
    step_own = groups * parts
    j = first_unit + own
    for row in range(first_own, rows, step_own):
        if j < hidden_size and first_row + row < batch_size:
            e = row * units + own
            b = first_row + row
            states[e] = h[model, b, j]
            states[elements + e] = c[model, b, j]
    for t in range(first_step, last_step):
        for row in range(first_own, rows, step_own):
            if j < hidden_size and first_row + row < batch_size:
                for gate in range(4):
                    place = (4 * parts + gate) * area + row * pitch + own
                    totals[place] = gates[model, first_row + row, t, gate * hidden_size + j]
        if t == first_step:
            cuda.syncthreads()
        else:
            _wait(counters, counter, cuda.gridDim.x * (t - first_step))
        for n in range(4):
            for r in range(ROWS):
                sums[n, r] = 0
        for start in range(0, hidden_size, chunk):
            count = min(chunk, hidden_size - start)
            for k in range(part * units + u, count, units * parts):
                numbers = four(hidden[t % 2, model, start + k], first_row + ROWS * group)
                for r in range(ROWS):
                    stage[ROWS * (k * groups + group) + r] = numbers[r]
            cuda.syncthreads()
            for k in range(part, count, parts):
                place = 4 * ((start + k) * units + u)
                add_unit(four(weights, place), four(stage, ROWS * (k * groups + group)), sums)
            cuda.syncthreads()
        for n in range(4):
            for r in range(ROWS):
                totals[(4 * part + n) * area + (ROWS * group + r) * pitch + u] = sums[n, r]
        cuda.syncthreads()
        for row in range(first_own, rows, step_own):
            e = row * units + own
            b = first_row + row
            if j < hidden_size and b < batch_size:
                place = row * pitch + own
                h_before = states[e]
                c_before = states[elements + e]
                i, f, g, o, c_t, tanh_c, h_t = activate(
                    _total(totals, place, area, 0, parts), _total(totals, place, area, 1, parts),
                    _total(totals, place, area, 2, parts), _total(totals, place, area, 3, parts), c_before,
                )  # fmt: skip
                is_over = t >= lengths[model, b]
                if is_over:  # gates that leave the state unchanged, as on the CPU
                    i = zero
                    f = one
                    g = zero
                    o = zero
                    c_t = c_before
                    tanh_c = zero
                    h_t = h_before
                states[e] = h_t
                states[elements + e] = c_t
                entering_h = h_t * mask_factor(mask, b * hidden_size + j, t + 1)
                hidden[(t + 1) % 2, model, j, b] = entering_h
                if keeps:
                    write_gates(gates[model, b, t], j, i, f, g, o)
                    cell[model, b, t + 1, j] = c_t
                    tanh_cell[model, b, t, j] = tanh_c
                    if t + 1 < entering.shape[2]:
                        entering[model, b, t + 1, j] = entering_h
                if wants_y:
                    y[model, b, t, j] = zero if is_over else h_t
        _arrive(counters, counter)
    for row in range(first_own, rows, step_own):
        e = row * units + own
        b = first_row + row
        if j < hidden_size and b < batch_size:
            h[model, b, j] = states[e]
            c[model, b, j] = states[elements + e]


@kernel(launch_bounds=(_MOST_THREADS,))
def _backward(
    w_hh, first_step, last_step, counters, partial, lengths, mask, wants_dy, dy, gates, cell, tanh_cell, dh, dc
):
    """Run steps back from the first to the last; `dh` and `dc` as `h` and `c` of `_forward`."""
    group = cuda.threadIdx.x
    u = cuda.threadIdx.y
    part = cuda.threadIdx.z
    groups = cuda.blockDim.x
    units = cuda.blockDim.y
    parts = cuda.blockDim.z
    model = cuda.blockIdx.z
    counter = cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y
    batch_size = dh.shape[1]
    hidden_size = dh.shape[2]
    rows = ROWS * groups
    first_unit = cuda.blockIdx.x * units
    first_row = cuda.blockIdx.y * rows
    thread = (part * units + u) * groups + group
    threads = groups * units * parts
    columns = 4 * ((hidden_size + 3) // 4)
    pitch = units + 1
    elements = units * rows
    gate_pitch = rows + 4
    shared = cuda.shared.array(0, dtype=w_hh.dtype, alignment=SHARED_ALIGNMENT)
    size = 4 * units * columns
    weights = shared[:size]
    d_gates = shared[size : size + 4 * units * gate_pitch]
    totals = shared[size + 4 * units * gate_pitch :]
    states = totals[parts * rows * pitch :]
    sums = cuda.local.array((4, ROWS), dtype=w_hh.dtype)
    zero = w_hh.dtype.type(0)
    for gate in range(4):
        for unit in range(units):
            for k in range(thread, columns, threads):
                inside = first_unit + unit < hidden_size and k < hidden_size
                row = gate * hidden_size + first_unit + unit
                weights[(gate * units + unit) * columns + k] = w_hh[model, row, k] if inside else zero
    own = thread % units
    first_own = thread // units
    step_own = groups * parts
    j = first_unit + own
    for row in range(first_own, rows, step_own):
        if j < hidden_size and first_row + row < batch_size:
            e = row * units + own
            b = first_row + row
            states[e] = dh[model, b, j]
            states[elements + e] = dc[model, b, j]
    for t in range(first_step, last_step - 1, -1):
        if t + 1 < gates.shape[2]:
            if t < first_step:
                _wait(counters, counter, cuda.gridDim.x * (first_step - t))
            for r in range(ROWS):
                sums[0, r] = 0
            for tile in range(part, cuda.gridDim.x, parts):
                numbers = four(partial[(t + 1) % 2, model, tile, first_unit + u], first_row + ROWS * group)
                for r in range(ROWS):
                    sums[0, r] += numbers[r]
            for r in range(ROWS):
                totals[(part * rows + ROWS * group + r) * pitch + u] = sums[0, r]
            cuda.syncthreads()
        for row in range(first_own, rows, step_own):
            e = row * units + own
            b = first_row + row
            dz_i = zero
            dz_f = zero
            dz_g = zero
            dz_o = zero
            if j < hidden_size and b < batch_size:
                if t + 1 < lengths[model, b]:
                    total = totals[row * pitch + own]
                    for other in range(1, parts):
                        total += totals[(other * rows + row) * pitch + own]
                    states[e] = total * mask_factor(mask, b * hidden_size + j, t + 1)
                if t >= 0:
                    if wants_dy and t < lengths[model, b]:
                        states[e] += dy[model, b, t, j]
                    i, f, g, o = read_gates(gates[model, b, t], j)
                    dz_i, dz_f, dz_g, dz_o, states[elements + e] = differentiate(
                        i, f, g, o, cell[model, b, t, j], tanh_cell[model, b, t, j], states[e], states[elements + e]
                    )
                    write_gates(gates[model, b, t], j, dz_i, dz_f, dz_g, dz_o)
            place = own * gate_pitch + row
            step = units * gate_pitch
            d_gates[place] = dz_i
            d_gates[place + step] = dz_f
            d_gates[place + 2 * step] = dz_g
            d_gates[place + 3 * step] = dz_o
        cuda.syncthreads()
        if t >= 0:
            row = ROWS * group
            for column in range(4 * (part * units + u), columns, 4 * units * parts):
                for n in range(4):
                    for r in range(ROWS):
                        sums[n, r] = 0
                for k in range(4 * units):
                    add_unit(four(weights, k * columns + column), four(d_gates, k * gate_pitch + row), sums)
                for n in range(4):
                    for r in range(ROWS):
                        partial[t % 2, model, cuda.blockIdx.x, column + n, first_row + row + r] = sums[n, r]
            _arrive(counters, counter)
    for row in range(first_own, rows, step_own):
        e = row * units + own
        b = first_row + row
        if j < hidden_size and b < batch_size:
            dh[model, b, j] = states[e]
            dc[model, b, j] = states[elements + e]


@register_jitable
def _total(totals, place, area, gate, parts):
    """Return one gate's sum of what was given and of all parts, in this order."""
    total = totals[(4 * parts + gate) * area + place]
    for part in range(parts):
        total += totals[(4 * part + gate) * area + place]
    return total


@register_jitable
def _arrive(counters, counter):
    """Signal that this block has published its results of this step."""
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0 and cuda.threadIdx.z == 0:
        cuda.threadfence()
        cuda.atomic.add(counters, counter, 1)


@register_jitable
def _wait(counters, counter, goal):
    """Wait until all fellows together have published this often."""
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0 and cuda.threadIdx.z == 0:
        while cuda.atomic.add(counters, counter, 0) < goal:
            pass
        cuda.threadfence()
    cuda.syncthreads()

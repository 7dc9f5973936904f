"""How every CUDA kernel is launched: grids, blocks and shared memory, as functions of sizes, dtype and device."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import cuda
from numba.core import config

from gatecast.kernels.cuda.call import run

__all__ = [
    "ROWS",
    "Device",
    "SequencePlan",
    "SpreadPlan",
    "device",
    "launch",
    "launch_sequence",
    "padded",
    "plan_sequence",
    "plan_spread",
    "tiles",
]

ROWS = 4
"""Rows of the batch, or of a product, that one thread works on: each number it loads then serves four sums"""

_THREADS = 256
_SPREAD_UNITS = 16  # of a block, at most: more would leave multiprocessors without a block
_SPREAD_THREADS = 32 if config.ENABLE_CUDASIM else 256  # of a block, where sums can be parted; twice as many at most
_SPREAD_PARTS = 8
_TILE = (16, 16)
_SEQUENCE_THREADS = 256  # of a block that runs whole sequences: that leaves each all the registers its sums need


class Device(NamedTuple):
    """The properties of a GPU that the rules below depend on."""

    multiprocessors: int
    shared_bytes: int
    """Shared memory that a block may ask for"""


class SequencePlan(NamedTuple):
    """How blocks share a batch when each of them runs whole sequences."""

    row_groups: int
    """Groups of `ROWS` rows in a block"""
    resident: int
    """Units whose outgoing weights are in shared memory; those of the others are read from the GPU's cache"""
    shared_bytes: int


class SpreadPlan(NamedTuple):
    """How blocks share a layer's units and a batch's rows when a sequence is spread over the GPU."""

    units: int
    """Of a block"""
    row_groups: int
    """Groups of `ROWS` rows in a block"""
    parts: int
    """Into which the terms of a sum are dealt out among threads"""
    tiles: int
    """Blocks that share the units"""
    row_tiles: int
    """Blocks that share the rows"""
    chunk: int
    """Units whose hidden states are in shared memory at once"""
    forward_bytes: int
    """Of shared memory"""
    backward_bytes: int


def device() -> Device:
    """Return the present GPU; in the simulator one like Hopper, but with so few multiprocessors that the rules show."""
    return Device(multiprocessors=2, shared_bytes=227 * 1024) if config.ENABLE_CUDASIM else _gpu()


@cache
def _gpu() -> Device:
    gpu = cuda.get_current_device()
    return Device(gpu.MULTIPROCESSOR_COUNT, gpu.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def padded(units: int) -> int:
    """Return `units` rounded up to a multiple of the four numbers of one load."""
    return 4 * -(-units // 4)


def launch(kernel: Any, shape: int | tuple[int, int], *arguments: Any) -> None:
    """Run `kernel` with at least one thread for each index below `shape`; the kernel skips those beyond.

    Of two dimensions the last is CUDA's x, so that neighbouring threads work on neighbours in memory: a kernel says
    ``column, row = cuda.grid(2)``.
    """
    if isinstance(shape, int):
        run(kernel, max(1, -(-shape // _THREADS)), min(_THREADS, max(1, shape)), 0, *arguments)
        return
    shape = shape[::-1]
    block = tuple(max(1, min(size, limit)) for size, limit in zip(shape, _TILE, strict=True))
    grid = tuple(max(1, -(-size // threads)) for size, threads in zip(shape, block, strict=True))
    run(kernel, grid, block, 0, *arguments)


def tiles(rows: int, columns: int, copies: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Return grid and block of a product: a block per tile, a thread per 4 x 4 elements of it.

    Tiles have 64 x 64 elements, or 32 x 32 if that would leave multiprocessors without one. The choice does not change
    a bit of the result, since every element is one thread's sum.
    """
    threads = 16
    if -(-rows // 64) * -(-columns // 64) * copies < device().multiprocessors:
        threads = 8
    block = min(threads, -(-columns // 4)), min(threads, -(-rows // ROWS))
    return (-(-columns // (4 * block[0])), -(-rows // (ROWS * block[1])), copies), block


def plan_sequence(
    models: int, batch_size: int, hidden_size: int, itemsize: int, buffers: int, gpu: Device
) -> SequencePlan | None:
    """Decide whether blocks run whole sequences, and how; None leaves it to a launch per time step.

    A time step costs a block little more than reading the recurrent weights, so they should be in shared memory; if not
    all of them fit, at least half must. In float32 that is all of them up to hidden 112 or so, and half up to 160.

    Parameters
    ----------
    models, batch_size, hidden_size, itemsize : int
        Networks of these sizes, run at once; bytes of a number.
    buffers : int
        Numbers that a block exchanges through shared memory for each unit and group of rows.
    gpu : Device
    """
    units = padded(hidden_size)
    blocks_for_each = max(1, gpu.multiprocessors // models)
    row_groups = -(-batch_size // (ROWS * blocks_for_each))
    row_groups = max(1, min(row_groups, _SEQUENCE_THREADS // units))
    exchanged = row_groups * units * buffers * itemsize
    outgoing = 4 * units * itemsize
    resident = min(hidden_size, (gpu.shared_bytes - exchanged) // outgoing)
    if units > _SEQUENCE_THREADS or 2 * resident < hidden_size:
        return None
    return SequencePlan(row_groups, resident, exchanged + resident * outgoing)


def plan_spread(models: int, batch_size: int, hidden_size: int, itemsize: int, gpu: Device) -> SpreadPlan | None:
    """Decide how blocks share the units and rows of a layer; None if they would not all run at once.

    The weights of a block's units take up to five eighths of its shared memory, which is room for layers up to hidden
    1,000 or so, on a GPU with as many multiprocessors as an H100. Arguments as `plan_sequence`.
    """
    columns = padded(hidden_size)
    groups = -(-batch_size // ROWS)
    units = _SPREAD_UNITS
    while units > 1 and (units >= 2 * columns or 4 * units * columns * itemsize > gpu.shared_bytes * 5 // 8):
        units //= 2
    tiles = -(-hidden_size // units)
    if tiles * models > gpu.multiprocessors:
        return None
    row_groups = -(-groups // min(groups, gpu.multiprocessors // (tiles * models)))
    if units * row_groups > 2 * _SPREAD_THREADS:
        return None
    parts = max(1, min(_SPREAD_PARTS, _SPREAD_THREADS // (units * row_groups)))
    rows = ROWS * row_groups
    weights = 4 * units * columns
    states = 2 * units * rows
    totals = rows * (units + 1)
    forward = weights + 4 * (parts + 1) * totals + states
    backward = weights + 4 * units * (rows + 4) + parts * totals + states
    chunk = min(columns, (gpu.shared_bytes // itemsize - forward) // rows)
    if chunk < min(columns, 4 * parts) or backward * itemsize > gpu.shared_bytes:
        return None
    return SpreadPlan(
        units, row_groups, parts, tiles, -(-groups // row_groups), chunk, (forward + chunk * rows) * itemsize,
        backward * itemsize,
    )  # fmt: skip


def launch_sequence(
    kernel: Any, plan: SequencePlan, models: int, batch_size: int, hidden_size: int, *arguments: Any
) -> None:
    """Run `kernel` with a block for each model and tile of rows, a thread for each unit and group of rows."""
    grid = -(-batch_size // (ROWS * plan.row_groups)), models
    run(kernel, grid, (padded(hidden_size), plan.row_groups), plan.shared_bytes, *arguments)

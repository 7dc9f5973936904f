"""How every CUDA kernel is launched: grids, blocks and shared memory, as functions of sizes, dtype and device."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda
from numba.core import config
from numba.cuda.core import config as cuda_config

__all__ = ["ROWS", "Device", "SequencePlan", "device", "launch", "launch_sequence", "padded", "plan_sequence", "tiles"]

# numba-cuda warns of every launch of few blocks, as those of a small batch or a scalar must be.
cuda_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

ROWS = 4
"""Rows of the batch, or of a product, that one thread works on: each number it loads then serves four sums"""

_THREADS = 256
_TILE = (16, 16)
_SEQUENCE_THREADS = 256  # of a block that runs whole sequences: that leaves each all the registers its sums need
_DEFAULT_SHARED_BYTES = 48 * 1024


class Device(NamedTuple):
    """What of a GPU the rules below depend on."""

    multiprocessors: int
    shared_bytes: int
    """Shared memory that a block may ask for"""


class SequencePlan(NamedTuple):
    """How blocks share a batch when each of them runs whole sequences."""

    row_groups: int
    """Groups of `ROWS` rows in a block"""
    resident: int
    """Units whose outgoing weights lie in shared memory; those of the others are read from the GPU's cache"""
    shared_bytes: int


def device() -> Device:
    """Return the present GPU; in the simulator one like Hopper's, but with so few multiprocessors that rules show."""
    if config.ENABLE_CUDASIM:
        return Device(multiprocessors=2, shared_bytes=227 * 1024)
    gpu = cuda.get_current_device()
    return Device(gpu.MULTIPROCESSOR_COUNT, gpu.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def padded(units: int) -> int:
    """Return `units` rounded up to what one load of four numbers divides."""
    return 4 * -(-units // 4)


def launch(kernel: Any, shape: int | tuple[int, int], *arguments: Any) -> None:
    """Run `kernel` with at least one thread for each index below `shape`; the kernel skips those beyond.

    Of two dimensions the last is CUDA's x, so that neighbouring threads work on neighbours in memory: a kernel says
    ``column, row = cuda.grid(2)``.
    """
    if isinstance(shape, int):
        kernel[max(1, -(-shape // _THREADS)), min(_THREADS, max(1, shape))](*arguments)
        return
    shape = shape[::-1]
    block = tuple(max(1, min(size, limit)) for size, limit in zip(shape, _TILE, strict=True))
    grid = tuple(max(1, -(-size // threads)) for size, threads in zip(shape, block, strict=True))
    kernel[grid, block](*arguments)


def tiles(rows: int, columns: int, copies: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Return grid and block of a product: a block per tile, a thread per 4 x 4 elements of it.

    Tiles have 64 x 64 elements, or 32 x 32 where that would leave multiprocessors without one. Neither changes a bit
    of the result, since every element is one thread's sum.
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

    A time step costs a block little more than reading the recurrent weights, so they should lie in shared memory; where
    not all of them fit, at least half must. In float32 that is all of them up to hidden 112 or so, and half up to 160.

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
    exchanged, outgoing = row_groups * units * buffers * itemsize, 4 * units * itemsize
    resident = min(hidden_size, (gpu.shared_bytes - exchanged) // outgoing)
    if units > _SEQUENCE_THREADS or 2 * resident < hidden_size:
        return None
    return SequencePlan(row_groups, resident, exchanged + resident * outgoing)


def launch_sequence(
    kernel: Any, plan: SequencePlan, models: int, batch_size: int, hidden_size: int, *arguments: Any
) -> None:
    """Run `kernel` with a block for each model and tile of rows, a thread for each unit and group of rows."""
    grid = -(-batch_size // (ROWS * plan.row_groups)), models
    block = padded(hidden_size), plan.row_groups
    if plan.shared_bytes > _DEFAULT_SHARED_BYTES and not config.ENABLE_CUDASIM:
        kernel = _with_shared_memory(kernel, plan.shared_bytes, arguments)
    kernel[grid, block, 0, plan.shared_bytes](*arguments)


def _with_shared_memory(kernel: Any, shared_bytes: int, arguments: tuple[Any, ...]) -> Any:
    """Return the kernel compiled for these arguments and allowed more shared memory; numba-cuda does not ask for it."""
    from cuda.bindings import driver as binding
    from numba.cuda.cudadrv.driver import driver

    kernel = kernel.specialize(*arguments)
    (compiled,) = kernel.overloads.values()
    function = compiled._codelibrary.get_cufunc()
    attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)
    return kernel

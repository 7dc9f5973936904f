"""Matrix products on the GPU, tile by tile through shared memory.

Every element is one thread's sum in the order of its terms or, if the sum is long and the result small (a weight's
gradient: over all rows of a batch), the sum of several slices in their order. Their number depends on the shapes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import cuda
from numba.core import config

from gatecast.kernels.cuda.call import kernel, new_array, run
from gatecast.kernels.cuda.launch import device, launch, tiles
from gatecast.kernels.cuda.tensor import WARP_TILE, tensor_product
from gatecast.kernels.cuda.tile import DEPTH, EXTENT, PADDING, deal, load_tile
from gatecast.kernels.cuda.vector import SHARED_ALIGNMENT, four
from gatecast.kernels.scalar import multiply_add

__all__ = ["add_product", "affine", "column_sums", "partial_sums", "row_product", "transposed_product"]

_SLICE_DEPTH = 256
_MOST_TILES = 512
_SUM_DEPTH = 64
_MOST_SUMS = 128
_ZERO, _BIAS, _ITSELF = range(3)  # what a sum starts from


def affine(x: Any, weight: Any, bias: Any, y: Any, tf32: bool = False) -> None:
    """``y = x @ weight.T + bias``, model by model.

    Parameters
    ----------
    x : (models, rows, in) array
    weight : (models, out, in) array
    bias : (models, out) array
    y : (models, rows, out) array
        ``=``
    tf32 : bool
        Multiply on the tensor cores, float32 arrays only; see `kernels.cuda.tensor`. The same below.
    """
    _launch(x, False, weight, True, bias, _BIAS, y, x.shape[2], tf32)


def row_product(x: Any, weight: Any, y: Any, tf32: bool = False) -> None:
    """``y = x @ weight``, (models, rows, in) by (models, in, out), model by model."""
    _launch(x, False, weight, False, None, _ZERO, y, x.shape[2], tf32)


def add_product(x: Any, weight: Any, y: Any) -> None:
    """``y += x @ weight.T``, (models, rows, in) by (models, out, in), model by model."""
    _launch(x, False, weight, True, None, _ITSELF, y, x.shape[2])


def transposed_product(
    dy: Any, x: Any, partial: Any, d_weight: Any, accumulate: bool = False, tf32: bool = False
) -> None:
    """``d_weight (+)= dy.T @ x``, model by model, in slices of the rows.

    Parameters
    ----------
    dy : (models, rows, out) array
    x : (models, rows, in) array
    partial : from `partial_sums`
        Overwritten.
    d_weight : (models, out, in) array
    """
    models = d_weight.shape[0]
    columns = d_weight.shape[1] * d_weight.shape[2]
    slices = _slices(dy.shape[1], d_weight.shape[1], d_weight.shape[2])
    sums = partial[: models * slices * columns].reshape(models * slices, d_weight.shape[1], d_weight.shape[2])
    _launch(dy, True, x, False, None, _ZERO, sums, dy.shape[1], tf32)
    sums = sums.reshape(models, slices, columns)
    launch(_add_slices, (models, columns), sums, d_weight.reshape(models, columns), accumulate)


def column_sums(dy: Any, partial: Any, sums: Any, accumulate: bool = False) -> None:
    """``sums (+)= dy`` summed over its rows, (models, rows, out) to (models, out), in slices."""
    models, rows, columns = dy.shape
    slices = _sum_slices(rows)
    parts = partial[: models * slices * columns].reshape(models, slices, columns)
    launch(_column_sums, (models * slices, columns), dy, parts)
    launch(_add_slices, (models, columns), parts, sums, accumulate)


def partial_sums(models: int, rows: int, out: int, widths: Sequence[int], dtype: str) -> Any:
    """Allocate what `transposed_product` to (models, out, width) of all `widths`, and `column_sums`, need."""
    most = max(_slices(rows, out, width) * width for width in widths)  # narrower may need more, in more slices
    most = max(most, _sum_slices(rows))
    return new_array(models * most * out, dtype)


def _slices(depth: int, rows: int, columns: int) -> int:
    """Return into how many parts a sum of `depth` terms is cut, so that there are tiles enough for a whole GPU."""
    count = -(-rows // EXTENT) * -(-columns // EXTENT)
    return max(1, min(-(-depth // _SLICE_DEPTH), _MOST_TILES // count))


def _sum_slices(depth: int) -> int:
    """Return the same for sums of columns; one thread sums each of them, from load to load."""
    return max(1, min(-(-depth // _SUM_DEPTH), _MOST_SUMS))


def _launch(
    a: Any, a_is_transposed: bool, b: Any, b_is_transposed: bool, bias: Any | None, start: int, c: Any, depth: int,
    tf32: bool = False,
) -> None:  # fmt: skip
    copies, rows, columns = c.shape
    if bias is None:  # the kernel takes one, and does not look at it
        bias = b.reshape(b.shape[0], b.shape[1] * b.shape[2])
    if tf32:
        blocks = copies * -(-rows // EXTENT) * -(-columns // EXTENT)
        side = 2 if blocks >= device().multiprocessors and not config.ENABLE_CUDASIM else 1
        extent = WARP_TILE * side
        grid = -(-columns // extent), -(-rows // extent), copies
        shared_bytes = 2 * DEPTH * (extent + PADDING) * c.dtype.itemsize
        run(
            tensor_product, grid, (32, side * side), shared_bytes, a, a_is_transposed, b, b_is_transposed, bias,
            start == _BIAS, c, depth,
        )  # fmt: skip
        return
    grid, block = tiles(rows, columns, copies)
    shared_bytes = DEPTH * (4 * (block[0] + block[1]) + 2 * PADDING) * c.dtype.itemsize
    run(_product, grid, block, shared_bytes, a, a_is_transposed, b, b_is_transposed, bias, start, c, depth)


@kernel
def _product(a, a_is_transposed, b, b_is_transposed, bias, start, c, depth):
    """``c = a @ b``: a block per tile and slice, a thread per 4 x 4 elements.

    `c` holds the slices of a model one after another; each is the sum over its own part of the depth.
    """
    rows, columns = 4 * cuda.blockDim.y, 4 * cuda.blockDim.x
    shared = cuda.shared.array(0, dtype=c.dtype, alignment=SHARED_ALIGNMENT)
    a_tile = shared[: DEPTH * (rows + PADDING)]
    b_tile = shared[DEPTH * (rows + PADDING) :]
    sums = cuda.local.array((4, 4), dtype=c.dtype)
    first_row = cuda.blockIdx.y * rows
    first_column = cuda.blockIdx.x * columns
    slices = c.shape[0] // a.shape[0]
    model = cuda.blockIdx.z // slices
    part = cuda.blockIdx.z % slices
    row = first_row + 4 * cuda.threadIdx.y
    column = first_column + 4 * cuda.threadIdx.x
    for i in range(4):
        for j in range(4):
            sums[i, j] = 0
            if row + i < c.shape[1] and column + j < c.shape[2]:
                if start == _BIAS:
                    sums[i, j] = bias[model, column + j]
                elif start == _ITSELF:
                    sums[i, j] = c[cuda.blockIdx.z, row + i, column + j]
    size = (depth + slices - 1) // slices
    end = min(depth, (part + 1) * size)
    thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    threads = cuda.blockDim.x * cuda.blockDim.y
    a_dealt = deal(thread, threads, rows if a_is_transposed else DEPTH)
    b_dealt = deal(thread, threads, DEPTH if b_is_transposed else columns)
    for k in range(part * size, end, DEPTH):
        load_tile(a[model], not a_is_transposed, first_row, rows, k, end, a_tile, a_dealt)
        load_tile(b[model], b_is_transposed, first_column, columns, k, end, b_tile, b_dealt)
        cuda.syncthreads()
        for n in range(DEPTH):
            left = four(a_tile, n * (rows + PADDING) + 4 * cuda.threadIdx.y)
            right = four(b_tile, n * (columns + PADDING) + 4 * cuda.threadIdx.x)
            for i in range(4):
                for j in range(4):
                    sums[i, j] = multiply_add(left[i], right[j], sums[i, j])
        cuda.syncthreads()
    for i in range(4):
        for j in range(4):
            if row + i < c.shape[1] and column + j < c.shape[2]:
                c[cuda.blockIdx.z, row + i, column + j] = sums[i, j]


@kernel
def _column_sums(dy, parts):
    column, index = cuda.grid(2)
    slices = parts.shape[1]
    if column < dy.shape[2] and index < dy.shape[0] * slices:
        model = index // slices
        part = index % slices
        size = (dy.shape[1] + slices - 1) // slices
        total = parts.dtype.type(0)
        for row in range(part * size, min(dy.shape[1], (part + 1) * size)):
            total += dy[model, row, column]
        parts[model, part, column] = total


@kernel
def _add_slices(parts, sums, accumulate):
    """``sums (+)= parts`` added in their order, (models, slices, n) to (models, n)."""
    n, model = cuda.grid(2)
    if n < sums.shape[1] and model < sums.shape[0]:
        total = sums[model, n] if accumulate else sums.dtype.type(0)
        for part in range(parts.shape[1]):
            total += parts[model, part, n]
        sums[model, n] = total

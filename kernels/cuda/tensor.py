"""Matrix products on the tensor cores: TF32 operands, float32 sums.

A warp multiplies 16 x 8 by 8 x 8 numbers at a time with one instruction, ``mma.sync.m16n8k8`` (PTX ISA, "Warp-level
matrix instructions"). TF32 keeps 10 of float32's 23 bits behind the point: each operand is off by at most 2^-11 of
itself, and so a product by about 2^-10, or 0.1 %, of the sum of its terms' magnitudes; the sums themselves are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from gatecast.kernels.cuda.call import kernel
from gatecast.kernels.cuda.tile import DEPTH, PADDING, deal, load_tile
from gatecast.kernels.cuda.vector import SHARED_ALIGNMENT

__all__ = ["WARP_TILE", "tensor_product", "to_tf32"]

WARP_TILE = 32
"""Rows and columns that a warp works on: 2 x 4 of the instruction's"""

_INSTRUCTION = (
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
    "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
)


def to_tf32(values: Any) -> np.ndarray:
    """Return float32 numbers rounded as ``cvt.rna.tf32`` does: to 10 bits behind the point, halves away from zero."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def multiply_fragments(a_tile, a_pitch, row, b_tile, b_pitch, column, n, lane, sums):
    """Add 8 terms to the 4 of a warp's 16 x 8 sums that a lane has; here what the instruction is documented to do.

    Parameters
    ----------
    a_tile, b_tile : vectors in shared memory
        As `load_tile` fills them; `row`, `column` and `n` say where the 16 x 8 and the 8 x 8 numbers begin.
    lane : int
        0 to 31; it has the sums (lane // 4, 2 * (lane % 4)), the one next to it, and both 8 rows below.
    sums : tuple of 4
    """
    found = []
    for number, total in enumerate(sums):
        i = row + lane // 4 + 8 * (number // 2)
        j = column + 2 * (lane % 4) + number % 2
        left = [a_tile[(n + k) * a_pitch + i] for k in range(8)]
        right = [b_tile[(n + k) * b_pitch + j] for k in range(8)]
        found.append(total + np.dot(to_tf32(left), to_tf32(right)))
    return tuple(found)


@overload(multiply_fragments)
def _multiply_fragments_compiled(a_tile, a_pitch, row, b_tile, b_pitch, column, n, lane, sums):
    def generate(a_tile, a_pitch, row, b_tile, b_pitch, column, n, lane, sums):
        """Pick the lane's part of both tiles, and pass it to the instruction."""
        first = n + lane % 4
        second = n + lane % 4 + 4
        i = row + lane // 4
        j = column + lane // 4
        left = (
            a_tile[first * a_pitch + i],
            a_tile[first * a_pitch + i + 8],
            a_tile[second * a_pitch + i],
            a_tile[second * a_pitch + i + 8],
        )
        right = b_tile[first * b_pitch + j], b_tile[second * b_pitch + j]
        return _mma(left, right, sums)

    return generate


@intrinsic
def _mma(typing_context, left, right, sums):
    result = types.UniTuple(types.float32, 4)
    number = ir.FloatType()
    word = ir.IntType(32)

    def generate(context, builder, signature, arguments):
        """Emit the rounding of the operands, and the instruction."""
        round_to_tf32 = ir.InlineAsm(ir.FunctionType(word, [number]), "cvt.rna.tf32.f32 $0, $1;", "=r,f")
        left, right, sums = (cgutils.unpack_tuple(builder, argument) for argument in arguments)
        operands = [builder.call(round_to_tf32, [value]) for value in (*left, *right)]
        four = ir.LiteralStructType([number] * 4)
        kind = ir.FunctionType(four, [word] * 6 + [number] * 4)
        constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
        products = builder.call(ir.InlineAsm(kind, _INSTRUCTION, constraints, side_effect=True), [*operands, *sums])
        return context.make_tuple(
            builder, signature.return_type, [builder.extract_value(products, n) for n in range(4)]
        )

    return result(left, right, sums), generate


@kernel
def tensor_product(a, a_is_transposed, b, b_is_transposed, bias, has_bias, c, depth):
    """``c = a @ b (+ bias)`` as `kernels.cuda.product`: a block per tile and slice, 1 or 2 x 2 warps to a block."""
    lane = cuda.threadIdx.x
    warp = cuda.threadIdx.y
    side = 1 if cuda.blockDim.y == 1 else 2
    extent = WARP_TILE * side
    shared = cuda.shared.array(0, dtype=c.dtype, alignment=SHARED_ALIGNMENT)
    pitch = extent + PADDING
    a_tile = shared[: DEPTH * pitch]
    b_tile = shared[DEPTH * pitch :]
    sums = cuda.local.array((2, 4, 4), dtype=c.dtype)
    slices = c.shape[0] // a.shape[0]
    model = cuda.blockIdx.z // slices
    part = cuda.blockIdx.z % slices
    row = WARP_TILE * (warp // side)
    column = WARP_TILE * (warp % side)
    for i in range(2):
        for j in range(4):
            for number in range(4):
                sums[i, j, number] = 0
    size = (depth + slices - 1) // slices
    end = min(depth, (part + 1) * size)
    thread = warp * 32 + lane
    threads = 32 * cuda.blockDim.y
    a_dealt = deal(thread, threads, extent if a_is_transposed else DEPTH)
    b_dealt = deal(thread, threads, DEPTH if b_is_transposed else extent)
    for k in range(part * size, end, DEPTH):
        load_tile(a[model], not a_is_transposed, cuda.blockIdx.y * extent, extent, k, end, a_tile, a_dealt)
        load_tile(b[model], b_is_transposed, cuda.blockIdx.x * extent, extent, k, end, b_tile, b_dealt)
        cuda.syncthreads()
        for n in range(0, DEPTH, 8):
            for i in range(2):
                for j in range(4):
                    before = sums[i, j, 0], sums[i, j, 1], sums[i, j, 2], sums[i, j, 3]
                    after = multiply_fragments(
                        a_tile, pitch, row + 16 * i, b_tile, pitch, column + 8 * j, n, lane, before
                    )
                    sums[i, j, 0], sums[i, j, 1], sums[i, j, 2], sums[i, j, 3] = after
        cuda.syncthreads()
    for i in range(2):
        for j in range(4):
            for number in range(4):
                m = cuda.blockIdx.y * extent + row + 16 * i + lane // 4 + 8 * (number // 2)
                n = cuda.blockIdx.x * extent + column + 8 * j + 2 * (lane % 4) + number % 2
                if m < c.shape[1] and n < c.shape[2]:
                    c[cuda.blockIdx.z, m, n] = sums[i, j, number] + (bias[model, n] if has_bias else c.dtype.type(0))

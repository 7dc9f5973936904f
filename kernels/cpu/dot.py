"""Dot products of many rows with one vector.

A sum over neighbouring numbers has to wait for each of its terms, and without "fast" arithmetic no compiler may regroup
it. `row_dots` groups it in a way that suits a vector unit: each lane adds up every 16th product (or 8th, or 4th: one
vector's worth), the lanes are added in halves, and the rest of a row comes last. Eight rows side by side make the
multiply-adds independent of one another.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.cpu.tile import VECTOR_BYTES

__all__ = ["dot_rows"]

_ROWS = 8


@kernel
def dot_rows(rows, vector, products):
    """``products = rows @ vector``.

    Parameters
    ----------
    rows : (n, size) array, last axis contiguous
    vector : (size,) array, contiguous
    products : (n or more,) array, contiguous
        ``=`` in the first n elements.
    """
    row = 0
    while row + _ROWS <= rows.shape[0]:
        _row_dots(_ROWS, rows, row, vector, products)
        row += _ROWS
    while row < rows.shape[0]:
        _row_dots(1, rows, row, vector, products)
        row += 1


@intrinsic(prefer_literal=True)
def _row_dots(typing_context, height, rows, row, vector, products):
    """``products[row : row + height] = rows[row : row + height] @ vector``, `height` a literal."""
    if not isinstance(height, types.IntegerLiteral):
        raise TypingError("the number of rows is a literal integer")

    def generate(context, builder, signature, arguments):
        _emit(context, builder, signature, arguments, height.literal_value)
        return context.get_dummy_value()

    return types.void(height, rows, types.intp, vector, products), generate


def _emit(context, builder, signature, arguments, height):
    rows, vector, products = (
        context.make_array(signature.args[place])(context, builder, arguments[place]) for place in (1, 3, 4)
    )
    first = arguments[2]
    scalar = context.get_data_type(signature.args[1].dtype)
    item_bytes = context.get_abi_sizeof(scalar)
    lanes = VECTOR_BYTES // item_bytes
    packed = ir.VectorType(scalar, lanes)
    size_type = first.type
    depth = cgutils.unpack_tuple(builder, vector.shape)[0]
    row_stride = cgutils.unpack_tuple(builder, rows.strides)[0]
    bytes_type = ir.IntType(8).as_pointer()

    def constant(number):
        return ir.Constant(size_type, number)

    def load(base, element, of_type):
        place = builder.gep(base, [builder.mul(element, constant(item_bytes))])
        return builder.load(builder.bitcast(place, of_type.as_pointer()), align=item_bytes)

    def multiply_add(of_type, name, *operands):
        function_type = ir.FunctionType(of_type, [of_type] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), operands)

    data = builder.bitcast(rows.data, bytes_type)
    lines = [builder.gep(data, [builder.mul(builder.add(first, constant(m)), row_stride)]) for m in range(height)]
    factors = builder.bitcast(vector.data, bytes_type)
    sums = [cgutils.alloca_once_value(builder, ir.Constant(packed, None)) for _ in range(height)]
    whole = builder.and_(depth, constant(-lanes))
    with cgutils.for_range_slice(builder, constant(0), whole, constant(lanes)) as (k, _):
        factor = load(factors, k, packed)
        for line, total in zip(lines, sums, strict=True):
            name = f"llvm.fmuladd.v{lanes}f{8 * item_bytes}"
            builder.store(multiply_add(packed, name, load(line, k, packed), factor, builder.load(total)), total)
    totals = [cgutils.alloca_once_value(builder, _add_lanes(builder, builder.load(total), lanes)) for total in sums]
    with cgutils.for_range_slice(builder, whole, depth, constant(1)) as (k, _):
        factor = load(factors, k, scalar)
        for line, total in zip(lines, totals, strict=True):
            name = f"llvm.fmuladd.f{8 * item_bytes}"
            builder.store(multiply_add(scalar, name, load(line, k, scalar), factor, builder.load(total)), total)
    for m, total in enumerate(totals):
        builder.store(builder.load(total), builder.gep(products.data, [builder.add(first, constant(m))]))


def _add_lanes(builder, total, lanes):
    """Add a vector's upper half to its lower half until one number is left."""
    index = ir.IntType(32)
    while lanes > 1:
        lanes //= 2
        undefined = ir.Constant(total.type, ir.Undefined)
        halves = [
            builder.shuffle_vector(
                total, undefined, ir.Constant(ir.VectorType(index, lanes), list(range(start, start + lanes)))
            )
            for start in (0, lanes)
        ]
        total = builder.fadd(*halves)
    return builder.extract_element(total, ir.Constant(index, 0))

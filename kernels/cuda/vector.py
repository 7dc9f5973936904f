"""Shared memory, read four numbers at a time, which is needed to keep up with the arithmetic."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, overload

__all__ = ["SHARED_ALIGNMENT", "four"]

_WIDEST_LOAD = 16  # bytes
SHARED_ALIGNMENT = None if config.ENABLE_CUDASIM else _WIDEST_LOAD
"""The alignment of shared memory that `four` needs; the simulator accepts none"""


def four(array: Any, index: Any) -> Any:
    """Return ``array[index], ..., array[index + 3]``.

    Parameters
    ----------
    array : 1-dimensional, contiguous, aligned to 16 bytes
    index : int
        A multiple of 4.
    """
    return array[index], array[index + 1], array[index + 2], array[index + 3]


@overload(four)
def _four_compiled(array, index):
    return lambda array, index: _load_four(array, index)


@intrinsic
def _load_four(typing_context, array, index):
    result = types.UniTuple(array.dtype, 4)

    def generate(context, builder, signature, arguments):
        """Emit one load of four numbers."""
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(view.data, [arguments[1]])
        space = view.data.type.addrspace if isinstance(view.data.type, ir.PointerType) else 0
        vector = ir.VectorType(context.get_data_type(array.dtype), 4)
        values = builder.load(builder.bitcast(pointer, vector.as_pointer(space)), align=_WIDEST_LOAD)
        numbers = [builder.extract_element(values, cgutils.int32_t(n)) for n in range(4)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return result(array, types.int64), generate

"""A promise to LLVM that arrays do not overlap.

A loop that reads some arrays and writes others can only be vectorised if no array that is written overlaps another.
LLVM checks every pair each time the loop is entered: 25 checks for the gradients of a step's gates, which take longer
than the loop itself if there are few units. C has the keyword ``restrict`` to promise it beforehand; Numba does not.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["arrays_are_apart"]


@intrinsic
def arrays_are_apart(typing_context):
    """Promise that no array among the arguments of the function that calls this overlaps another.

    It holds for the whole function, for arrays of float32 and float64. If an array that is written does overlap
    another, results are silently wrong. Views that the function itself makes of one argument are still checked: pass it
    the views.
    """

    def generate(context, builder, signature, arguments):
        for argument in builder.function.args:
            if isinstance(argument.type, ir.PointerType) and _is_float(argument.type.pointee):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), generate


def _is_float(element):
    return isinstance(element, ir.FloatType | ir.DoubleType)

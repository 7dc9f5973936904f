"""A promise to LLVM that arrays do not overlap.

A loop that reads some arrays and writes others can only run in vectors where none that is written overlaps another.
LLVM asks that each time the loop is entered, of every pair: 25 questions for the gradients of a step's gates, which
over few units take longer than the loop itself. C has the word ``restrict`` for saying so beforehand, Numba has none.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["arrays_are_apart"]


@intrinsic
def arrays_are_apart(typing_context):
    """Promise that no array among the arguments of the function where this stands overlaps another.

    It holds for the whole function, for arrays of float32 and float64. Where one that is written does overlap, results
    are wrong without a word. Views that the function makes itself of one argument are still asked about: give it the
    views.
    """

    def generate(context, builder, signature, arguments):
        for argument in builder.function.args:
            if isinstance(argument.type, ir.PointerType) and _is_float(argument.type.pointee):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), generate


def _is_float(element):
    return isinstance(element, ir.FloatType | ir.DoubleType)

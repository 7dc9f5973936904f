"""Views that count no references.

Whenever a view of an array is made, Numba counts the reference with an atomic instruction, on a counter that all
threads share. A loop over time steps makes dozens of views a step, and at small sizes the counting takes as long as the
arithmetic. A borrowed array, and every view of it, owns nothing and counts nothing; the borrower keeps the owner alive.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["borrowed"]


@intrinsic
def borrowed(typing_context, array):
    """Return `array` without its owner, which must outlive the result."""
    if not isinstance(array, types.Array):
        raise TypingError("only an array can be borrowed")

    def generate(context, builder, signature, arguments):
        view = context.make_array(array)(context, builder, arguments[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        view.parent = ir.Constant(view.parent.type, None)
        return view._getvalue()

    return array(array), generate

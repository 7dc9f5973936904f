"""How every CPU kernel is compiled: one decorator, one set of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import config

from kernels import cache_folder

__all__ = ["kernel", "parallel_kernel"]

# Numba's own name for the folder of compiled code. A folder per state of the sources: a cached caller keeps the machine
# code of its callees, so an edit in one file must invalidate all.
config.CACHE_DIR = str(cache_folder())

# All of "fast" but the freedom to assume that NaN and infinity do not occur: a NaN must come out where one went in.
_ARITHMETIC = {"contract", "reassoc", "nsz", "arcp", "afn"}

# Numba would also look for array expressions to spread over threads; there are none, and the search takes seconds.
_ONLY_PRANGE = {
    "prange": True,
    **dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` to machine code that runs on one thread, without the interpreter lock, and keep it on disk."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_ARITHMETIC)(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Like `kernel`, with ``numba.prange`` loops spread over the threads.

    Such a function should do little but loop and call: what stands in it takes several times as long to compile.
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_ARITHMETIC, parallel=_ONLY_PRANGE)(
        function
    )

"""How every CPU kernel is compiled: three decorators, one set of options.

There is no ``fastmath``. It would let LLVM regroup sums, differently in the process that compiles a kernel and in those
that load it from the cache, and it would let LLVM assume that NaN does not occur.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from typing import Any

import numba
from numba import config
from numba.core.registry import cpu_target
from numba.np import linalg

from gatecast.kernels import cache_folder
from gatecast.kernels.collector import collector_paused

__all__ = ["inner_kernel", "kernel", "parallel_kernel", "start_threads"]

# Numba's own name for the folder of compiled code. A folder per state of the sources: a cached caller keeps the machine
# code of its callees, so an edit in one file must invalidate all.
config.CACHE_DIR = str(cache_folder())

# The highest optimisation level takes a fifth more time to compile and made no kernel faster.
if "NUMBA_OPT" not in os.environ:
    config.OPT = type(config.OPT)(2)

# How often an idle OpenMP thread looks for work before it sleeps. GNU's default spins for milliseconds: on two cores,
# any other busy process (Prefect's server is one) then makes a training step of half a millisecond take thirty. This
# long covers the pause between two kernels of a step, and costs nothing measurable on an idle machine.
_SPIN_COUNT = "3000"


def _load_thread_pool() -> None:
    """Load Numba's OpenMP layer with that spin count, unless the user has set one; the environment stays as it was."""
    if os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        return
    os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    # If the layer cannot be loaded, Numba chooses another when the first parallel kernel runs.
    with contextlib.suppress(ImportError):
        importlib.import_module("numba.np.ufunc.omppool")
    del os.environ["GOMP_SPINCOUNT"]


def _load_array_mathematics() -> None:
    """Load one of the tables without scipy.linalg, which it imports to find out whether SciPy has a BLAS.

    No kernel calls BLAS, and Numba checks again whenever it compiles something that does. Whether SciPy is installed at
    all is still checked here.
    """
    ensure_blas = linalg.ensure_blas
    linalg.ensure_blas = lambda: importlib.import_module("scipy")
    try:
        arraymath: Any = importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ensure_blas
    arraymath.ensure_blas = ensure_blas


def _load_tables() -> None:
    """Load the tables of what Numba can compile now, with the other imports, rather than at the first call."""
    with collector_paused():
        _load_array_mathematics()
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()


_load_thread_pool()
_load_tables()

# Numba would also look for array expressions to spread over threads; we have none, and the search takes seconds.
_ONLY_PRANGE = {
    "prange": True,
    **dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
}


def start_threads() -> None:
    """Start Numba's threads; required before calling a `kernel` that calls a `parallel_kernel`.

    Numba starts them when it loads a parallel kernel from disk, but not if another kernel was compiled with one that
    came from disk: such a caller, loaded by itself, would jump to address zero.
    """
    numba.get_num_threads()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` to machine code that runs on one thread, without the interpreter lock, and keep it on disk."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)


def inner_kernel(function: Callable[..., Any]) -> Any:
    """Like `kernel`, but only for other kernels to call: without an entry point for Python and without its own file."""
    return numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True)(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Like `kernel`, with ``numba.prange`` loops spread over the threads.

    Such a function should do little but loop and call: its body takes several times as long to compile, and Numba drops
    what a loop writes to an array that it took out of a tuple, as if nobody read it.
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True, parallel=_ONLY_PRANGE)(
        function
    )

"""Where the arithmetic runs: the one place that chooses between the CPU and the GPU."""

from __future__ import annotations

import importlib
import logging
import os
from types import ModuleType
from typing import Any

__all__ = ["BackendError", "describe", "get_backend"]

_LOGGER = logging.getLogger(__name__)


class BackendError(RuntimeError):
    """The backend asked for cannot run on this machine."""


def get_backend(name: str = "cpu") -> ModuleType:
    """Return the module whose functions are the operations of a backend.

    Parameters
    ----------
    name : {"cpu", "cuda", "auto"}
        "auto" takes the GPU where there is one and logs what it chose.

    Raises
    ------
    ValueError
        For another name.
    BackendError
        For "cuda" where there is no usable GPU; it is never replaced by the CPU.
    """
    if name == "auto":
        name = "cpu" if _cuda_problem() else "cuda"
        _LOGGER.info("backend auto: chose %s", name)
    if name == "cuda":
        problem = _cuda_problem()
        if problem:
            raise BackendError(problem)
    if name not in ("cpu", "cuda"):
        raise ValueError(f"backend {name!r} is unknown; choose cpu, cuda or auto")
    return importlib.import_module(f"kernels.{name}")


def _cuda_problem() -> str | None:
    """Return why the GPU cannot be used, in one sentence, or None where it can."""
    try:
        from numba import cuda
    except ImportError as error:
        return f"backend cuda needs numba-cuda, which is not installed ({error}); run: pip install 'gatecast[cuda]'"
    if not cuda.is_available():
        return "backend cuda needs an NVIDIA GPU and its driver, and none was found; use backend cpu"
    return None


def use_threads(count: int) -> None:
    """Let the kernels that the calling thread runs on the CPU use so many threads from now on."""
    import numba

    numba.set_num_threads(count)


def describe() -> dict[str, Any]:
    """Return what `gatecast doctor` shows of the kernels: CPU, vectors, threads, cache folder, GPU."""
    import llvmlite.binding
    import numba

    from kernels import cache_folder, code_version
    from kernels.cpu.tile import VECTOR_BYTES

    _run_one_kernel()
    return {
        "cpu": llvmlite.binding.get_host_cpu_name(),
        "vector_bits": 8 * VECTOR_BYTES,
        "cores": os.cpu_count(),
        "threads": numba.get_num_threads(),
        "threading_layer": numba.threading_layer(),
        "code_version": code_version(),
        "cache_folder": str(cache_folder()),
        "gpu": f"not used: {problem}" if (problem := _cuda_problem()) else "usable with backend cuda",
    }


def _run_one_kernel() -> None:
    """Numba chooses its threading layer when the first parallel kernel runs."""
    import numpy as np

    from kernels import cpu

    weights = cpu.LinearWeights(np.ones((1, 1), "float32"), np.zeros(1, "float32"))
    cpu.linear_forward(
        weights, np.ones((1, 1), "float32"), cpu.linear_workspace(1, 1, 1, "float32"), np.zeros((1, 1), "float32")
    )

"""Where the arithmetic runs: the one place that chooses between the CPU and the GPU."""

from __future__ import annotations

import importlib
import logging
import os
from types import ModuleType
from typing import Any

__all__ = ["BackendError", "describe", "describe_gpu", "get_backend", "thread_count", "use_threads"]

_LOGGER = logging.getLogger(__name__)


class BackendError(RuntimeError):
    """The backend asked for cannot run on this machine."""


def get_backend(name: str = "cpu") -> ModuleType:
    """Return the module whose functions are the operations of a backend.

    Parameters
    ----------
    name : {"cpu", "cuda", "auto"}
        "auto" takes the GPU if there is one, and logs its choice.

    Raises
    ------
    ValueError
        For another name.
    BackendError
        For "cuda" without a usable GPU; it is never replaced by the CPU.
    """
    if name == "auto":
        problem = _cuda_problem()
        name = "cpu" if problem else "cuda"
        _LOGGER.info("backend auto: chose %s, since %s", name, problem or f"there is {describe_gpu()}")
    if name == "cuda":
        problem = _cuda_problem()
        if problem:
            raise BackendError(problem)
    if name not in ("cpu", "cuda"):
        raise ValueError(f"backend {name!r} is unknown; choose cpu, cuda or auto")
    return importlib.import_module(f"gatecast.kernels.{name}")


def _cuda_problem() -> str | None:
    """Return why the GPU cannot be used, in one sentence, or None if it can."""
    try:
        from numba import cuda
    except ImportError as error:
        return f"backend cuda needs numba-cuda, which is not installed ({error}); run: pip install 'gatecast[cuda]'"
    if not cuda.is_available():
        problem = cuda.cuda_error()
        if problem is None:
            return "backend cuda needs NVIDIA's compiler libraries for CUDA 13; run: pip install 'gatecast[cuda]'"
        reason = " ".join(str(problem).split()).split(". ")[0]
        return f"backend cuda needs an NVIDIA GPU and its driver, and none was found ({reason}); use backend cpu"
    return None


def describe_gpu() -> str:
    """Describe the GPU that backend cuda uses, in one line."""
    from numba import cuda
    from numba.core import config

    if config.ENABLE_CUDASIM:
        return "Numba's simulator on the CPU, since NUMBA_ENABLE_CUDASIM is set"
    device = cuda.get_current_device()
    free, total = cuda.current_context().get_memory_info()
    major, minor = cuda.cudadrv.driver.driver.get_version()
    return (
        f"{device.name}, compute capability {'.'.join(map(str, device.compute_capability))}, "
        f"{total / 2**30:.1f} GiB of memory ({free / 2**30:.1f} free), driver for CUDA {major}.{minor}"
    )


def use_threads(count: int) -> None:
    """From now on, run the CPU kernels that the calling thread calls on `count` threads."""
    import numba

    numba.set_num_threads(count)


def thread_count() -> int:
    """Return on how many threads the CPU kernels run that the calling thread calls."""
    import numba

    return int(numba.get_num_threads())


def describe() -> dict[str, Any]:
    """Return what `gatecast doctor` shows of the kernels: CPU, vectors, threads, cache folder, GPU."""
    import llvmlite.binding
    import numba

    from gatecast.kernels import cache_folder, code_version
    from gatecast.kernels.cpu.tile import VECTOR_BYTES

    _run_one_kernel()
    problem = _cuda_problem()
    return {
        "cpu": llvmlite.binding.get_host_cpu_name(),
        "vector_bits": 8 * VECTOR_BYTES,
        "cores": os.cpu_count(),
        "threads": numba.get_num_threads(),
        "threading_layer": numba.threading_layer(),
        "code_version": code_version(),
        "cache_folder": str(cache_folder()),
        "gpu": f"not used: {problem}" if problem else f"usable with backend cuda: {describe_gpu()}",
    }


def _run_one_kernel() -> None:
    """Numba chooses its threading layer when the first parallel kernel runs."""
    import numpy as np

    from gatecast.kernels import cpu

    weights = cpu.LinearWeights(np.ones((1, 1), "float32"), np.zeros(1, "float32"))
    cpu.linear_forward(
        weights, np.ones((1, 1), "float32"), cpu.linear_workspace(1, 1, 1, "float32"), np.zeros((1, 1), "float32")
    )

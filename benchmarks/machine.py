"""What a run was measured on: the processor and the versions, but no names of hosts or folders."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.processes import run_program

__all__ = ["machine_facts", "processor_name", "sgemm_gflops", "versions"]

_PACKAGES = (
    "numba", "llvmlite", "numpy", "torch", "onnx", "onnxruntime", "neuralforecast", "pytorch-lightning",
    "statsforecast",
)  # fmt: skip


def machine_facts(threads: int) -> dict[str, Any]:
    """Return the processor, its cores and vectors, the memory, the system, and the threads that were used."""
    from gatecast.kernels.backend import describe

    kernels = describe()
    return {
        "processor": processor_name(),
        "llvm_cpu": kernels["cpu"],
        "vector_bits": kernels["vector_bits"],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "threading_layer": kernels["threading_layer"],
        "kernels": kernels["code_version"],
    }


def sgemm_gflops(threads: int) -> float:
    """Return the best rate of NumPy's float32 matrix product on this machine, in 10^9 operations a second.

    OpenBLAS chooses the code for this processor there, whatever the environment tells it to choose.
    """
    without = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return run_program("sgemm", str(threads), without=without)[1]["gflops"]


def versions() -> dict[str, str | None]:
    """Return the version of Python, Gatecast's libraries and the peers; None for one that is not installed."""
    return {"python": platform.python_version(), **{package: _version(package) for package in _PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    """Return what the processor calls itself."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()

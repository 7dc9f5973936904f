"""Measure the best rate of NumPy's float32 matrix product: ``python -m benchmarks.programs.sgemm THREADS``.

It runs in a separate process, since OpenBLAS chooses its code when it is loaded, and the environment of some machines
tells it to choose an older processor's. Prints 10^9 operations a second, and what OpenBLAS chose.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

_SIZES = (512, 1024, 2048)
_SECONDS = 0.4


def main() -> None:
    """Run the program; see the module."""
    threads = int(sys.argv[1])
    best = 0.0
    generator = np.random.default_rng(0)
    with threadpool_limits(threads, user_api="blas"):
        for size in _SIZES:
            a, b = (generator.normal(size=(size, size)).astype("float32") for _ in range(2))
            product = np.empty_like(a)
            np.matmul(a, b, out=product)
            end = time.perf_counter() + _SECONDS
            while time.perf_counter() < end:
                begun = time.perf_counter()
                np.matmul(a, b, out=product)
                best = max(best, 2 * size**3 / (time.perf_counter() - begun) / 1e9)
    libraries = [library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"]
    print(json.dumps({"gflops": best, "architecture": ", ".join(libraries)}))


if __name__ == "__main__":
    main()

"""Fixtures for all tests: seeded randomness, the backends, and the environment that compiled code needs."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import numpy as np
import pytest

# CUDA kernels run in the simulator unless `make test-gpu` says otherwise; numba reads this when it is imported.
os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

SIMULATED = os.environ["NUMBA_ENABLE_CUDASIM"] == "1"
if SIMULATED:
    # The simulator waits for a block's threads in a loop, and keeps the interpreter from them for this long each time.
    sys.setswitchinterval(1e-5)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that gives every test the same numbers on every run."""
    return np.random.default_rng(20180102)


@pytest.fixture(params=["cpu", "cuda"])
def ops(request: pytest.FixtureRequest) -> ModuleType:
    """The operations of each backend; the GPU's in the simulator where there is no GPU."""
    return get_ops(request.param)


def get_ops(name: str) -> ModuleType:
    """Return a backend, or skip the test where this machine has none."""
    from gatecast.kernels import BackendError, get_backend

    try:
        return get_backend(name)
    except BackendError as error:
        pytest.skip(str(error))


def on_device(ops: ModuleType, array: np.ndarray):
    """Return `array` where `ops` computes."""
    return ops.as_array(array, array.dtype.name)

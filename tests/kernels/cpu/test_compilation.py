from __future__ import annotations

import os
import subprocess
import sys

STEP = """
import hashlib
import numpy as np
from gatecast import kernels
ops = kernels.get_backend("cpu")
rng = np.random.default_rng(0)
draw = lambda *shape: rng.normal(size=shape).astype("float32")
weights = ops.LSTMWeights(draw(128, 4) / 5, draw(128, 32) / 5, draw(128) / 5)
gradients = ops.LSTMWeights(*(np.zeros_like(array) for array in weights))
workspace = ops.lstm_workspace(32, 12, 4, 32, "float32")
h_n, c_n, dh_0, dc_0 = (np.zeros((32, 32), "float32") for _ in range(4))
ops.lstm_forward(weights, draw(32, 12, 4), draw(32, 32), draw(32, 32), workspace, None, h_n, c_n)
ops.lstm_backward(weights, None, draw(32, 32), draw(32, 32), workspace, gradients, None, dh_0, dc_0)
results = (h_n, c_n, dh_0, dc_0, *gradients)
print(hashlib.sha256(b"".join(array.tobytes() for array in results)).hexdigest())
"""


def test_the_process_that_compiles_and_those_that_load_the_cache_compute_the_same_bits(tmp_path):
    """Machine code of the two differs in what is inlined, so nothing may be left to the optimiser's taste."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, env=environment, check=True)
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc"))
    assert runs[0].stdout == runs[1].stdout != ""


def test_scipy_is_loaded_where_a_users_own_function_multiplies_matrices():
    program = """
import sys
import numpy as np
import gatecast.kernels.cpu
assert "scipy" in sys.modules
assert not [name for name in sys.modules if name.startswith("scipy.linalg")]
import numba
import numba.np.arraymath
assert numba.np.arraymath.ensure_blas is numba.np.linalg.ensure_blas
assert numba.np.linalg.ensure_blas.__name__ == "ensure_blas"
a, line = np.arange(6.0).reshape(2, 3), np.arange(5.0)
np.testing.assert_array_equal(numba.njit(lambda a, b: np.dot(a, b))(a, a.T.copy()), a @ a.T)
np.testing.assert_array_equal(numba.njit(lambda x: np.convolve(x, x))(line), np.convolve(line, line))
import scipy.linalg
assert scipy.linalg.cython_blas is sys.modules["scipy.linalg.cython_blas"]
scipy.linalg.cython_blas.__pyx_capi__["dgemm"]
"""
    subprocess.run([sys.executable, "-c", program], check=True)

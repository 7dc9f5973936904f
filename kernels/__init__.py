"""Kernels: the arithmetic of LSTM networks, compiled by Numba. The only package that imports numba.

Call ``ops = kernels.get_backend("cpu")`` (or ``"cuda"``, ``"auto"``): both backends offer the same host-level
operations under the same names and arguments. The mathematics of one unit is in `kernels.scalar`, once, for both.

The contract
------------
Symbols: batch_size B, seq_len T, input_size I, hidden_size H.

Gates are in the order **i, f, g, o** (input, forget, candidate, output), as in torch. ``z`` is the pre-activation of
all four, so weights are (4H, I) and (4H, H) and the one trained bias per gate is (4H,).

Public arrays are batch-first and C-contiguous, ``x`` (B, T, I) and ``y`` (B, T, H), float32 or float64, all arguments
of one call of the same dtype. An operation writes the arrays that its docstring says it writes (``=`` or ``+=``) and
keeps what its backward needs in a workspace, which is opaque and reused.

Inside ``kernels.cpu`` the batch is cut into *shards* of rows; each shard runs the whole sequence on one thread, with no
barrier between time steps. A shard's layout is time-major: ``operand`` (T + 1, rows, H + I + 1) holds at step t the row
``[h_{t-1} | x_t | 1]``, so that recurrent product, input product and bias are one product (inputs that are looked up,
`kernels.lookup`, come from a table instead); ``gates`` (4, T, rows, P) holds the activations, and after the backward
pass their gradients, with the units padded to P, whole register tiles.

Sums are formed in an order that depends on shapes alone, never on the number of threads: the same input gives the same
bits. (On a GPU the order of a large layer's sums, `kernels.cuda.spread`, depends on the GPU as well.)
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from gatecast.kernels.backend import BackendError, get_backend

__all__ = ["BackendError", "cache_folder", "code_version", "get_backend"]


@cache
def code_version() -> str:
    """Return 16 hex digits that change with any source file of this package."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of compiled kernels, one per code version, in ``NUMBA_CACHE_DIR`` or ``~/.cache/gatecast``."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "gatecast")  # noqa: PTH111, PTH118
    return Path(base) / f"kernels-{code_version()}"

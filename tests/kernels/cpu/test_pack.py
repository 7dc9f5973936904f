from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gatecast.kernels.cpu.pack import pack, padded, panels_shape, product
from tests.reference import relative_error

PRODUCTS = """
import numpy as np
from gatecast.kernels.cpu.pack import pack, padded, panels_shape, product
from gatecast.kernels.cpu.tile import VECTOR_BYTES
rng = np.random.default_rng(0)
worst = 0
for rows, depth, columns in ((1, 1, 1), (1, 5, 200), (5, 3, 7), (16, 9, 40)):
    a, b = rng.normal(size=(rows, depth)), rng.normal(size=(depth, columns))
    panels = np.zeros(panels_shape(depth, columns, "float64"))
    pack(b, panels, 0)
    c = np.zeros((rows, padded(columns, "float64")))
    product(a, panels, c, False)
    worst = max(worst, np.abs(c[:, :columns] - a @ b).max())
print(VECTOR_BYTES, worst < 1e-12)
"""


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8, 13, 16, 23])
def test_products_of_every_height_are_right_and_write_only_their_rows(rng, dtype, tolerance, rows):
    for depth, columns in ((1, 1), (7, 28), (50, 60), (33, 129)):
        a = rng.normal(size=(rows, depth)).astype(dtype)
        b = rng.normal(size=(depth, columns)).astype(dtype)
        panels = np.zeros(panels_shape(depth, columns, dtype), dtype)
        pack(b, panels, 0)
        frame = np.full((rows + 20, padded(columns, dtype)), 7, dtype)
        product(a, panels, frame[10 : 10 + rows], False)
        assert relative_error(frame[10 : 10 + rows, :columns], a.astype(float) @ b.astype(float)) < tolerance
        assert (frame[:10] == 7).all()
        assert (frame[10 + rows :] == 7).all()
        product(a, panels, frame[10 : 10 + rows], True)
        assert relative_error(frame[10 : 10 + rows, :columns], 2 * (a.astype(float) @ b.astype(float))) < tolerance


def test_a_transposed_left_operand_needs_no_copy(rng):
    a = rng.normal(size=(9, 13))
    b = rng.normal(size=(9, 5))
    panels = np.zeros(panels_shape(9, 5, "float64"))
    pack(b, panels, 0)
    c = np.zeros((13, padded(5, "float64")))
    product(a.T, panels, c, False)
    np.testing.assert_allclose(c[:, :5], a.T @ b, atol=1e-13)


def test_blocks_packed_below_each_other_stand_where_they_belong(rng):
    upper, lower = rng.normal(size=(3, 57)), rng.normal(size=(2, 57))
    panels = np.zeros(panels_shape(5, 57, "float64"))
    pack(upper, panels, 0)
    pack(lower, panels, 3)
    whole = np.concatenate([upper, lower])
    np.testing.assert_array_equal(panels.transpose(1, 0, 2).reshape(5, -1)[:, :57], whole)


def test_blocks_packed_beside_each_other_may_begin_within_a_panel(rng):
    left, right = rng.normal(size=(3, 21)), rng.normal(size=(3, 40))
    panels = np.zeros(panels_shape(3, 61, "float64"))
    pack(left, panels, 0)
    pack(right, panels, 0, 21)
    whole = np.concatenate([left, right], axis=1)
    np.testing.assert_array_equal(panels.transpose(1, 0, 2).reshape(3, -1)[:, :61], whole)


def test_nan_reaches_its_row_and_no_other(rng):
    a = rng.normal(size=(9, 4))
    a[3, 2] = np.nan
    panels = np.zeros(panels_shape(4, 6, "float64"))
    pack(rng.normal(size=(4, 6)), panels, 0)
    c = np.zeros((9, padded(6, "float64")))
    product(a, panels, c, False)
    assert np.isnan(c[3, :6]).all()
    assert np.isfinite(np.delete(c, 3, axis=0)).all()


@pytest.mark.parametrize(("features", "vector_bytes"), [("+avx2,+fma", 32), ("+sse2", 16)])
def test_narrower_vectors_give_the_same_products(tmp_path, features, vector_bytes):
    """A machine without AVX-512, played by telling Numba and the tile which features to use."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    result = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, env=environment)
    assert result.stdout.split() == [str(vector_bytes), "True"], result.stderr

from __future__ import annotations

import numpy as np

from tests.conftest import on_device


def test_windows_are_slices_of_the_values(ops, rng):
    values = rng.normal(size=(12, 3)).astype("float32")
    starts = np.array([9, 0, 4], np.int64)
    for columns in (3, 1):
        windows = ops.zeros((3, 3, columns), "float32")
        ops.gather_windows(on_device(ops, values), on_device(ops, starts), windows)
        expected = np.stack([values[start : start + 3, :columns] for start in starts])
        np.testing.assert_array_equal(ops.to_host(windows), expected)

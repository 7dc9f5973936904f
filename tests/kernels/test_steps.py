from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import on_device


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_are_copied_turned_and_added(ops, rng, reverse, accumulate):
    source = rng.normal(size=(3, 4, 5)).astype("float32")
    before = rng.normal(size=(3, 4, 6)).astype("float32")
    lengths = np.array([4, 1, 3], np.int64)
    destination = on_device(ops, before.copy())
    ops.copy_steps(on_device(ops, source), 1, destination, 2, 3, on_device(ops, lengths), reverse, accumulate)
    expected = before.copy()
    for b, length in enumerate(lengths):
        steps = np.zeros((4, 3), "float32")
        steps[:length] = source[b, :length][::-1, 1:4] if reverse else source[b, :length, 1:4]
        expected[b, :, 2:5] = steps + (before[b, :, 2:5] if accumulate else 0)
    np.testing.assert_array_equal(ops.to_host(destination), expected)


@pytest.mark.parametrize("accumulate", [False, True])
def test_columns_are_copied_and_added(ops, rng, accumulate):
    source = rng.normal(size=(4, 5)).astype("float32")
    before = rng.normal(size=(4, 6)).astype("float32")
    destination = on_device(ops, before.copy())
    ops.copy_columns(on_device(ops, source), 1, destination, 2, 3, accumulate)
    expected = before.copy()
    expected[:, 2:5] = source[:, 1:4] + (before[:, 2:5] if accumulate else 0)
    np.testing.assert_array_equal(ops.to_host(destination), expected)

"""Calls of kernels: on a GPU the arrays keep what a call needs of them, and launches are recorded as a graph."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import SIMULATED, get_ops

CUDA = get_ops("cuda")

from numba import cuda  # noqa: E402

from gatecast.kernels.cuda.call import as_device_array, kernel, record, run  # noqa: E402
from gatecast.kernels.masks import Mask  # noqa: E402

on_a_gpu_only = pytest.mark.skipif(SIMULATED, reason="no GPU here: arrays are the simulator's")


@kernel
def _add(left, right, factor, mask, total):
    n = cuda.grid(1)
    if n < total.shape[0]:
        total[n] += left[n] + factor * right[n]
        if mask.per_step:
            total[n] += mask.scale


def make_arrays():
    left, right = (as_device_array(np.arange(5, dtype="float32") + n) for n in (0, 10))
    return left, right, as_device_array(np.zeros(5, "float32"))


HALF = Mask(1, 2, np.float32(0.5), True)


def add(left, right, total, mask=HALF):
    run(_add, 2, 3, 0, left, right, np.float32(2), mask, total)


def test_a_kernel_is_run_with_arrays_numbers_and_named_tuples():
    left, right, total = make_arrays()
    add(left, right, total)
    np.testing.assert_array_equal(total.copy_to_host(), 3 * np.arange(5) + 20.5)
    add(left, right, total, Mask(1, 2, np.float32(9), False))
    np.testing.assert_array_equal(total.copy_to_host(), 6 * np.arange(5) + 40.5)


def test_views_that_are_no_whole_arrays_are_worked_on_where_they_lie():
    whole = as_device_array(np.zeros((3, 5), "float32"))
    left, right, _ = make_arrays()
    for _ in range(2):
        add(left, right, whole[1])
    expected = np.zeros((3, 5))
    expected[1] = 6 * np.arange(5) + 41
    np.testing.assert_array_equal(whole.copy_to_host(), expected)
    add(as_device_array(np.ones((5, 2), "float32"))[:, 1], right, whole[2])
    np.testing.assert_array_equal(whole.copy_to_host()[2], 1 + 2 * (np.arange(5) + 10) + 0.5)


def test_what_is_recorded_runs_again_on_the_same_arrays():
    left, right, total = make_arrays()

    def work():
        for _ in range(2):
            add(left, right, total)

    work()
    replay = record(work)
    np.testing.assert_array_equal(total.copy_to_host(), 2 * (3 * np.arange(5) + 20.5), "recording runs nothing")
    for _ in range(3):
        replay()
    np.testing.assert_array_equal(total.copy_to_host(), 8 * (3 * np.arange(5) + 20.5))
    CUDA.copy_into(np.zeros(5, "float32"), total)
    replay()
    np.testing.assert_array_equal(total.copy_to_host(), 2 * (3 * np.arange(5) + 20.5))


def test_what_work_allocates_while_it_is_recorded_outlives_it():
    left, right, total = make_arrays()

    def work():
        between = CUDA.zeros((5,), "float32")
        add(left, right, between)
        add(between, right, total)

    work()
    replay = record(work)
    for times in (2, 3):
        replay()
        for _ in range(50):
            CUDA.ones((5,), "float32")
        expected = times * (3 * np.arange(5) + 20.5 + 2 * (np.arange(5) + 10) + 0.5)
        np.testing.assert_array_equal(total.copy_to_host(), expected)


@on_a_gpu_only
def test_an_array_has_one_view_for_each_shape_and_part():
    array = CUDA.zeros((4, 6), "float32")
    assert array.reshape(24) is array.reshape(24)
    assert array[1:3] is array[1:3]
    assert array[1:3] is not array[1:4]
    assert array[1] is array[1]
    assert array[1].shape == (6,)
    assert array[1:2].shape == (1, 6)
    assert array[1, 2] == 0
    CUDA.copy_into(np.ones((4, 6), "float32"), array)
    assert array[1, 2] == 1, "a number is read again"

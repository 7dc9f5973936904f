from __future__ import annotations

import numpy as np
import pytest
from numba import float32, njit

from gatecast.kernels.cpu.alias import arrays_are_apart
from gatecast.kernels.cpu.gates import activate_cell, activate_output, differentiate

# Not `kernel`: of code that comes from disk Numba shows nothing.
compiled = njit(error_model="numpy")
# LLVM's name of the block that asks whether arrays overlap.
QUESTIONS = "vector.memcheck"


@compiled
def add_promised(x, y, total, difference):
    arrays_are_apart()
    for n in range(total.shape[0]):
        total[n] = x[n] + y[n]
        difference[n] = x[n] - y[n]


@compiled
def add_asked(x, y, total, difference):
    for n in range(total.shape[0]):
        total[n] = x[n] + y[n]
        difference[n] = x[n] - y[n]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loop_over_arrays_that_are_apart_begins_at_once(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 37)).astype(dtype)
    for add, is_asked in ((add_promised, False), (add_asked, True)):
        total, difference = np.empty((2, 37), dtype)
        add(x, y, total, difference)
        np.testing.assert_array_equal([total, difference], [x + y, x - y])
        code = add.inspect_llvm(add.signatures[-1])
        assert "fadd <" in code
        assert (QUESTIONS in code) == is_asked


def test_arrays_of_whole_numbers_are_let_be():
    @compiled
    def shift(source, destination):
        arrays_are_apart()
        for n in range(source.shape[0]):
            destination[n] = source[n] + 1

    line = np.zeros(9, np.int64)
    shift(line[:-1], line[1:])
    np.testing.assert_array_equal(line, np.arange(9))


@pytest.mark.parametrize(("loop", "arrays"), [(activate_cell, 5), (activate_output, 4), (differentiate, 8)])
def test_the_loops_over_the_units_of_a_step_ask_nothing(loop, arrays):
    loop.compile((float32[::1],) * arrays)
    assert all(QUESTIONS not in code for code in loop.inspect_llvm().values())

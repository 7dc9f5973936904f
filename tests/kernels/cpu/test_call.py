from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pytest

from gatecast.kernels import cpu
from gatecast.kernels.cpu.call import RecordedNumber, record, run
from gatecast.kernels.cpu.compilation import kernel, parallel_kernel
from gatecast.kernels.masks import NO_MASK, mask
from gatecast.kernels.varying import ReplayedSteps, VaryingFloat, VaryingInt


class Pair(NamedTuple):
    scale: float
    is_doubled: bool


@kernel
def _add(source, nothing, pair, single, number, total):
    """Add to `total`; return its sum."""
    found = 0.0
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            term = source[row, column] * pair.scale * single * number
            total[row, column] += 2 * term if pair.is_doubled and nothing is None else term
            found += total[row, column]
    return found


@kernel
def _refuse(number):
    if number > 2:
        raise ValueError("more than 2")


@parallel_kernel
def _fill(numbers, value):
    for n in numba.prange(numbers.shape[0]):
        numbers[n] = value


def steps(first, last):
    numbers = np.arange(first, last)
    return ReplayedSteps(numbers, numbers - first, 0.5 + numbers / 8)


def varying(steps):
    number = VaryingInt(int(steps.numbers[0]), lambda steps: steps.numbers)
    rate = VaryingFloat(float(steps.learning_rates[0]), lambda steps: steps.learning_rates)
    return number, rate


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_replay_calls_the_same_kernels_with_the_numbers_of_its_steps(rng, order):
    source = np.asarray(rng.normal(size=(4, 3)), order=order)[1:]
    total = np.zeros((3, 3))
    expected = np.zeros((3, 3))

    def step():
        number, rate = varying(steps(1, 2))
        return run(_add, source, None, Pair(rate, True), np.float32(0.3), number, total)

    first, replay = record(step)
    assert isinstance(first, RecordedNumber)
    results = [first, *replay(steps(2, 6))[:, first.column]]
    for n, result in enumerate(results, start=1):
        assert _add(source, None, Pair(0.5 + n / 8, True), np.float32(0.3), n, expected) == result
    np.testing.assert_array_equal(total, expected)


def test_zeros_are_zero_in_every_step():
    counts = np.zeros((1, 1))

    def step():
        fresh = cpu.zeros((1, 1), "float64")
        run(_add, np.ones((1, 1)), None, Pair(1.0, False), np.float32(1), 1, fresh)
        run(_add, fresh, None, Pair(1.0, False), np.float32(1), 1, counts)

    _, replay = record(step)
    replay(steps(0, 4))
    assert counts == 5


def test_parallel_kernels_are_replayed_too():
    numbers = np.zeros(1000)
    _, replay = record(lambda: run(_fill, numbers, varying(steps(0, 1))[0]))
    replay(steps(3, 8))
    assert (numbers == 7).all()


def test_a_kernel_that_fails_ends_the_replay():
    _, replay = record(lambda: run(_refuse, varying(steps(0, 1))[0]))
    replay(steps(1, 3))
    with pytest.raises(RuntimeError, match="failed"):
        replay(steps(1, 9))


def test_nothing_is_recorded_after_an_error():
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        record(fail)
    assert type(run(_add, np.ones((1, 1)), None, Pair(1.0, False), np.float32(1), 1, np.zeros((1, 1)))) is float


@pytest.mark.parametrize("seed", [3, 2**62 + 5])
def test_the_keys_of_masks_are_those_of_each_step(seed):
    number = VaryingInt(4, lambda steps: steps.numbers)
    found = mask(0.3, True, seed, number, 2, 1)
    assert found == mask(0.3, True, seed, 4, 2, 1)
    assert isinstance(found.key, VaryingInt)
    keys = [mask(0.3, True, seed, step, 2, 1).key for step in range(9)]
    np.testing.assert_array_equal(found.key.find(steps(0, 9)), keys)
    assert mask(0, True, seed, number) is NO_MASK
    assert not isinstance(mask(0.3, True, seed, 4).key, VaryingInt)

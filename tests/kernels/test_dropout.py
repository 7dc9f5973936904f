from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.masks import NO_MASK, mask
from gatecast.kernels.scalar import random_word
from tests import reference
from tests.conftest import on_device
from tests.gradcheck import central_difference
from tests.kernels.test_lstm import TOLERANCE, Case, sizes_for
from tests.reference import relative_error


@pytest.mark.parametrize(
    ("counter", "key", "word"),
    [  # the authors' known answers for Philox2x32-10, first word
        ((0, 0), 0, 0xFF1DAE59),
        ((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, 0x2C3F628B),
        ((0x243F6A88, 0x85A308D3), 0x13198A2E, 0xDD7CE038),
    ],
)
def test_random_words_are_those_of_philox(counter, key, word):
    assert random_word(*counter, key) == word
    assert reference.philox(*counter, key) == word


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per_step", [False, True])
def test_dropout_multiplies_by_the_mask(ops, rng, per_step, dtype):
    x = rng.normal(size=(3, 4, 5)).astype(dtype)
    drawn = mask(0.4, per_step, 7, 8)
    y = ops.zeros(x.shape, dtype)
    ops.dropout(on_device(ops, x), y, drawn)
    factors = reference.dropout_mask(3, 4, 5, drawn).astype(dtype)
    np.testing.assert_array_equal(ops.to_host(y), x * factors)
    assert (factors == 0).any()
    assert (factors != 0).any()


def test_dropout_may_write_over_its_input_and_no_mask_changes_nothing(ops, rng):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    drawn = mask(0.5, True, 1)
    y = on_device(ops, x.copy())
    ops.dropout(y, y, drawn)
    np.testing.assert_array_equal(ops.to_host(y), x * reference.dropout_mask(2, 3, 4, drawn).astype("float32"))
    z = on_device(ops, x.copy())
    ops.dropout(z, z, NO_MASK)
    np.testing.assert_array_equal(ops.to_host(z), x)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate):
    from gatecast.kernels import get_backend

    y = np.empty((64, 50, 64), "float64")
    for seed in range(3):
        get_backend("cpu").dropout(np.ones(y.shape), y, mask(rate, True, seed))
        assert abs((y == 0).mean() - rate) < 4 * (rate * (1 - rate) / y.size) ** 0.5
        # Neighbours in each direction are dropped independently of each other.
        kept = (y != 0) - (1 - rate)
        for axis in range(3):
            after = np.split(np.moveaxis(kept, axis, 0), [1])[1]
            before = np.moveaxis(kept, axis, 0)[:-1]
            correlation = (after * before).mean() / (rate * (1 - rate))
            assert abs(correlation) < 4 / before.size**0.5


def test_masks_of_different_numbers_differ_and_the_same_numbers_give_the_same():
    keys = {mask(0.5, False, seed, step, role).key for seed in range(10) for step in range(100) for role in range(3)}
    assert len(keys) == 3000
    assert mask(0.5, False, 1, 2, 3) == mask(0.5, False, 1, 2, 3)
    assert mask(0, True, 1, 2, 3) == NO_MASK


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per_step", [False, True])
def test_lstm_with_masks_agrees_with_the_oracle(ops, rng, per_step, dtype):
    for sizes in sizes_for(ops):
        masks = mask(0.3, per_step, 1), mask(0.4, per_step, 2)
        case = Case(rng, sizes, dtype, masks)
        batch_size, seq_len, input_size, hidden_size = sizes
        x_mask = reference.dropout_mask(batch_size, seq_len, input_size, masks[0])
        h_mask = reference.dropout_mask(batch_size, seq_len, hidden_size, masks[1])
        y, h_n, c_n, steps = reference.lstm_forward(*case.weights, case.x * x_mask, case.h_0, case.c_0, h_mask)
        dw_ih, dw_hh, dbias, dx, dh_0, dc_0 = reference.lstm_backward(
            *case.weights[:2], steps, case.dy, case.dh_n, case.dc_n, h_mask
        )
        for ours, expected in zip(case.forward(ops), (y, h_n, c_n), strict=True):
            assert relative_error(ours, expected) < TOLERANCE[dtype], sizes
        gradients = dw_ih, dw_hh, dbias, dx * x_mask, dh_0, dc_0
        for ours, expected in zip(case.backward(ops), gradients, strict=True):
            assert relative_error(ours, expected) < TOLERANCE[dtype], sizes


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
def test_lstm_with_masks_agrees_with_central_differences(ops, rng, per_step, ragged):
    case = Case(rng, (2, 3, 2, 3), "float64", (mask(0.3, per_step, 1), mask(0.4, per_step, 2)))
    lengths = np.array([3, 2]) if ragged else None
    if ragged:
        case.dy[1, 2] = 0

    def loss():
        y, h_n, c_n = case.forward(ops, lengths=lengths)
        return float((y * case.dy).sum() + (h_n * case.dh_n).sum() + (c_n * case.dc_n).sum())

    case.forward(ops, lengths=lengths)
    gradients = case.backward(ops, lengths=lengths)
    for array, gradient in zip([*case.weights, case.x, case.h_0, case.c_0], gradients, strict=True):
        assert relative_error(gradient, central_difference(loss, array)) < 1e-7

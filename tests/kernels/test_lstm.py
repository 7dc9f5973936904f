from __future__ import annotations

import numba
import numpy as np
import pytest

from gatecast.kernels.lookup import Lookup
from tests import reference
from tests.conftest import SIMULATED, on_device
from tests.gradcheck import central_difference
from tests.reference import relative_error

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


class Case:
    """Random inputs of one layer, and what a backend makes of them."""

    def __init__(self, rng, sizes, dtype, masks=()):
        self.masks = masks  # of x_t and of h_{t-1}
        batch_size, seq_len, input_size, hidden_size = self.sizes = sizes
        self.dtype = dtype

        def draw(*shape, scale=1.0):
            return rng.normal(0, scale, shape).astype(dtype)

        bound = hidden_size**-0.5
        self.weights = [
            draw(4 * hidden_size, input_size, scale=bound),
            draw(4 * hidden_size, hidden_size, scale=bound),
            draw(4 * hidden_size, scale=bound),
        ]
        self.x = draw(batch_size, seq_len, input_size)
        self.dy = draw(batch_size, seq_len, hidden_size)
        self.h_0, self.c_0, self.dh_n, self.dc_n = (draw(batch_size, hidden_size) for _ in range(4))

    def forward(self, ops, workspace=None, every_step=True, lengths=None):
        batch_size, seq_len, _, hidden_size = self.sizes
        self.workspace = workspace or ops.lstm_workspace(*self.sizes, self.dtype)
        weights = ops.LSTMWeights(*(on_device(ops, array) for array in self.weights))
        y = ops.zeros((batch_size, seq_len, hidden_size), self.dtype) if every_step else None
        h_n, c_n = (ops.zeros((batch_size, hidden_size), self.dtype) for _ in range(2))
        inputs = (on_device(ops, array) for array in (self.x, self.h_0, self.c_0))
        lengths = None if lengths is None else on_device(ops, lengths)
        ops.lstm_forward(weights, *inputs, self.workspace, y, h_n, c_n, True, lengths, *self.masks)
        return ops.to_host(y) if every_step else None, ops.to_host(h_n), ops.to_host(c_n)

    def backward(self, ops, every_step=True, input_grad=True, lengths=None):
        weights = ops.LSTMWeights(*(on_device(ops, array) for array in self.weights))
        gradients = ops.LSTMWeights(*(ops.zeros(array.shape, self.dtype) for array in self.weights))
        dx = ops.zeros(self.x.shape, self.dtype) if input_grad else None
        dh_0, dc_0 = (ops.zeros(self.h_0.shape, self.dtype) for _ in range(2))
        dy = on_device(ops, self.dy) if every_step else None
        d_final = on_device(ops, self.dh_n), on_device(ops, self.dc_n)
        lengths = None if lengths is None else on_device(ops, lengths)
        ops.lstm_backward(weights, dy, *d_final, self.workspace, gradients, dx, dh_0, dc_0, lengths, *self.masks)
        dx = [ops.to_host(dx)] if input_grad else []
        return [*(ops.to_host(array) for array in gradients), *dx, ops.to_host(dh_0), ops.to_host(dc_0)]

    def oracle(self):
        y, h_n, c_n, steps = reference.lstm_forward(*self.weights, self.x, self.h_0, self.c_0)
        gradients = reference.lstm_backward(*self.weights[:2], steps, self.dy, self.dh_n, self.dc_n)
        return (y, h_n, c_n), gradients


def sizes_for(ops):
    if ops.name == "cuda" and SIMULATED:
        return [(1, 1, 1, 1), (3, 4, 2, 5)]
    return [(1, 1, 1, 1), (3, 5, 2, 7), (8, 4, 1, 32), (17, 3, 33, 20), (70, 6, 5, 50), (2, 2, 1, 63), (9, 2, 70, 130)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_and_every_gradient_agree_with_the_oracle(ops, rng, dtype):
    for sizes in sizes_for(ops):
        case = Case(rng, sizes, dtype)
        outputs, gradients = case.oracle()
        for ours, expected in zip(case.forward(ops), outputs, strict=True):
            assert relative_error(ours, expected) < TOLERANCE[dtype], sizes
        for ours, expected in zip(case.backward(ops), gradients, strict=True):
            assert relative_error(ours, expected) < TOLERANCE[dtype], sizes


def test_sequences_of_different_lengths_are_each_as_if_alone(ops, rng):
    for sizes in sizes_for(ops):
        case = Case(rng, sizes, "float64")
        lengths = rng.integers(1, sizes[1] + 1, sizes[0])
        y, *final = case.forward(ops, lengths=lengths)
        *weights, dx, dh_0, dc_0 = case.backward(ops, lengths=lengths)
        total = [np.zeros_like(weight) for weight in weights]
        for b, length in enumerate(lengths):
            one = slice(b, b + 1)
            y_b, h_n, c_n, steps = reference.lstm_forward(
                *case.weights, case.x[one, :length], case.h_0[one], case.c_0[one]
            )
            *dw, dx_b, dh_b, dc_b = reference.lstm_backward(
                *case.weights[:2], steps, case.dy[one, :length], case.dh_n[one], case.dc_n[one]
            )
            total = [so_far + part for so_far, part in zip(total, dw, strict=True)]
            pairs = [(y[one, :length], y_b), (final[0][one], h_n), (final[1][one], c_n)]
            pairs += [(dx[one, :length], dx_b), (dh_0[one], dh_b), (dc_0[one], dc_b)]
            assert max(relative_error(ours, expected) for ours, expected in pairs) < 1e-9, (sizes, b)
            assert not y[b, length:].any()
            assert not dx[b, length:].any()
        for ours, expected in zip(weights, total, strict=True):
            assert relative_error(ours, expected) < 1e-9, sizes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_that_are_looked_up_give_what_their_embeddings_give(ops, rng, dtype):
    for batch_size, seq_len, input_size, hidden_size in sizes_for(ops):
        case = Case(rng, (batch_size, seq_len, input_size, hidden_size), dtype)
        embedding = rng.normal(size=(5, input_size)).astype(dtype)
        indices = rng.integers(5, size=(batch_size, seq_len))
        indices[indices == 3] = 4  # an entry that does not occur
        case.x = embedding[indices]
        lengths = rng.integers(1, seq_len + 1, size=batch_size)
        results = case.forward(ops, lengths=lengths)
        d_w_ih, d_w_hh, d_bias, dx, *d_first = case.backward(ops, lengths=lengths)

        w_ih, _, bias = case.weights
        workspace = ops.lstm_workspace(*case.sizes, dtype, vocabulary_size=5)
        on_backend = [on_device(ops, array) for array in (embedding @ w_ih.T + bias, indices)]
        looked_up = LookedUp(case, Lookup(*on_backend), workspace)
        tolerance = TOLERANCE[dtype]
        for ours, theirs in zip(looked_up.forward(ops, lengths), results, strict=True):
            assert relative_error(ours, theirs) < tolerance
        d_table, ours_w_hh, *ours_first = looked_up.backward(ops, lengths)
        assert relative_error(ours_w_hh, d_w_hh) < tolerance
        assert relative_error(d_table.T @ embedding, d_w_ih) < tolerance
        assert relative_error(d_table.sum(axis=0), d_bias) < tolerance
        d_embedding = np.zeros_like(embedding)
        np.add.at(d_embedding, indices, dx)
        assert relative_error(d_table @ w_ih, d_embedding) < tolerance
        assert not d_table[3].any()
        for ours, theirs in zip(ours_first, d_first, strict=True):
            assert relative_error(ours, theirs) < tolerance

        # Without the steps that only the backward pass needs; for one sequence the weights lie in another way.
        inference = ops.lstm_workspace(*case.sizes, dtype, training=False, vocabulary_size=5)
        again = LookedUp(case, Lookup(*on_backend), inference).forward(ops, lengths)
        for ours, theirs in zip(again, results, strict=True):
            assert relative_error(ours, theirs) < tolerance


class LookedUp:
    """A case whose inputs are looked up; what a lookup leaves alone is checked to be left alone."""

    def __init__(self, case, lookup, workspace):
        self.case = case
        self.lookup = lookup
        self.workspace = workspace
        self.weights = [np.full_like(array, np.nan) for array in case.weights]
        self.weights[1] = case.weights[1]

    def forward(self, ops, lengths):
        y = ops.zeros(self.case.dy.shape, self.case.dtype)
        h_n, c_n = (ops.zeros(self.case.h_0.shape, self.case.dtype) for _ in range(2))
        weights = ops.LSTMWeights(*(on_device(ops, array) for array in self.weights))
        state = (on_device(ops, array) for array in (self.case.h_0, self.case.c_0))
        ops.lstm_forward(weights, self.lookup, *state, self.workspace, y, h_n, c_n, True, on_device(ops, lengths))
        return [ops.to_host(array) for array in (y, h_n, c_n)]

    def backward(self, ops, lengths):
        weights = ops.LSTMWeights(*(on_device(ops, array) for array in self.weights))
        gradients = ops.LSTMWeights(*(on_device(ops, np.full_like(array, 7)) for array in self.weights))
        d_table = on_device(ops, np.full(self.lookup.table.shape, 7, self.case.dtype))
        d_first = [ops.zeros(self.case.h_0.shape, self.case.dtype) for _ in range(2)]
        d_state = (on_device(ops, array) for array in (self.case.dy, self.case.dh_n, self.case.dc_n))
        ops.lstm_backward(
            weights, *d_state, self.workspace, gradients, Lookup(d_table, self.lookup.indices), *d_first,
            on_device(ops, lengths),
        )  # fmt: skip
        d_w_ih, d_w_hh, d_bias = (ops.to_host(array) for array in gradients)
        assert (d_w_ih == 7).all()
        assert (d_bias == 7).all()
        return [ops.to_host(d_table), d_w_hh, *(ops.to_host(array) for array in d_first)]


def test_the_oracle_itself_agrees_with_central_differences(rng):
    case = Case(rng, (2, 3, 2, 3), "float64")

    def loss():
        y, h_n, c_n, _ = reference.lstm_forward(*case.weights, case.x, case.h_0, case.c_0)
        return float((y * case.dy).sum() + (h_n * case.dh_n).sum() + (c_n * case.dc_n).sum())

    _, gradients = case.oracle()
    for array, gradient in zip([*case.weights, case.x, case.h_0, case.c_0], gradients, strict=True):
        assert relative_error(gradient, central_difference(loss, array)) < 1e-8


def test_gradients_agree_with_central_differences_of_the_kernel_itself(ops, rng):
    case = Case(rng, (2, 2, 1, 2), "float64")

    def loss():
        y, h_n, c_n = case.forward(ops)
        return float((y * case.dy).sum() + (h_n * case.dh_n).sum() + (c_n * case.dc_n).sum())

    case.forward(ops)
    gradients = case.backward(ops)
    for array, gradient in zip([*case.weights, case.x, case.h_0, case.c_0], gradients, strict=True):
        assert relative_error(gradient, central_difference(loss, array)) < 1e-7


def test_a_workspace_serves_again_and_a_backward_leaves_no_trace(ops, rng):
    first, second = (Case(rng, (3, 2, 2, 4), "float32") for _ in range(2))
    expected = second.forward(ops), second.backward(ops)
    first.forward(ops)
    first.backward(ops)
    again = second.forward(ops, workspace=first.workspace), second.backward(ops)
    for ours, theirs in zip([*again[0], *again[1]], [*expected[0], *expected[1]], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("sizes", [(3, 4, 2, 5), (2, 3, 4, 33)])
def test_a_workspace_in_the_memory_of_another_computes_the_same_bits(ops, rng, sizes):
    case = Case(rng, sizes, "float32")
    lengths = rng.integers(1, sizes[1] + 1, sizes[0])
    expected = [*case.forward(ops, lengths=lengths), *case.backward(ops, lengths=lengths)]
    former = ops.lstm_workspace(7, 6, 3, 70, "float32")
    if ops.name == "cpu":
        former.shards[:] = np.nan
    workspace = ops.lstm_workspace(*sizes, "float32", former=former)
    if ops.name == "cpu":
        assert np.shares_memory(workspace.shards, former.shards)
        assert workspace.shards.ctypes.data % 64 == 0
        assert not np.shares_memory(ops.lstm_workspace(9, 9, 3, 70, "float32", former=former).shards, former.shards)
    results = [*case.forward(ops, workspace, lengths=lengths), *case.backward(ops, lengths=lengths)]
    assert all(map(np.array_equal, results, expected))


def test_last_state_alone_and_no_input_gradient_change_nothing_else(ops, rng):
    case = Case(rng, (3, 3, 2, 4), "float32")
    case.dy[:] = 0
    _, h_n, c_n = case.forward(ops)
    full = case.backward(ops)
    _, h_n_alone, c_n_alone = case.forward(ops, every_step=False)
    part = case.backward(ops, every_step=False, input_grad=False)
    np.testing.assert_array_equal(h_n, h_n_alone)
    np.testing.assert_array_equal(c_n, c_n_alone)
    for ours, theirs in zip(part, [*full[:3], *full[4:]], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_gates_are_those_of_the_equations(ops, rng):
    case = Case(rng, (3, 2, 2, 4), "float64")
    case.forward(ops)
    *_, steps = reference.lstm_forward(*case.weights, case.x, case.h_0, case.c_0)
    expected = np.stack([np.concatenate(step[3:7], axis=1) for step in steps], axis=1)
    np.testing.assert_allclose(ops.lstm_gates(case.workspace), expected, atol=1e-12)


def test_nan_in_one_row_stays_in_that_row(ops, rng):
    case = Case(rng, (3, 2, 2, 4), "float32")
    case.x[1, 0, 0] = np.nan
    y, h_n, _ = case.forward(ops)
    assert np.isnan(y[1]).all()
    assert np.isnan(h_n[1]).all()
    assert np.isfinite(y[[0, 2]]).all()
    gradients = case.backward(ops)
    assert np.isnan(gradients[0]).any()


def test_bits_do_not_depend_on_the_number_of_threads(rng):
    from gatecast.kernels import get_backend

    ops = get_backend("cpu")
    case = Case(rng, (70, 6, 5, 24), "float32")
    threads = numba.get_num_threads()
    results = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            results.append([*case.forward(ops), *case.backward(ops)])
    finally:
        numba.set_num_threads(threads)
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden_size", [1, 10, 50, 64, 100])
def test_a_row_has_the_same_bits_in_any_batch_and_by_itself(rng, hidden_size, dtype):
    from gatecast.kernels import get_backend

    ops = get_backend("cpu")
    whole = Case(rng, (19, 4, 3, hidden_size), dtype)
    y, *_ = whole.forward(ops)
    for row in (0, 7, 18):
        part = Case(rng, (1, 4, 3, hidden_size), dtype)
        part.weights = whole.weights
        part.x, part.h_0, part.c_0 = (array[row : row + 1].copy() for array in (whole.x, whole.h_0, whole.c_0))
        np.testing.assert_array_equal(part.forward(ops)[0][0], y[row])
        # Inference on one sequence has its weights laid out in another way.
        inference = ops.lstm_workspace(*part.sizes, dtype, training=False)
        np.testing.assert_array_equal(part.forward(ops, inference)[0][0], y[row])

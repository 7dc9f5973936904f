from __future__ import annotations

import numba
import numpy as np
import pytest

from tests.conftest import on_device
from tests.gradcheck import central_difference
from tests.reference import cross_entropy, relative_error


def run(ops, weight, bias, x, targets, row_weights, *, training=True):
    """Return loss, losses, and (d_weight, d_bias, dx) or the predictions."""
    dtype = weight.dtype.name
    rows = len(x)
    workspace = ops.softmax_workspace(rows, x.shape[1], len(weight), dtype)
    losses = ops.zeros((rows,), dtype)
    predictions = ops.zeros((rows,), "int64")
    weights = ops.LinearWeights(on_device(ops, weight), on_device(ops, bias))
    gradients = ops.LinearWeights(ops.zeros(weight.shape, dtype), ops.zeros(bias.shape, dtype)) if training else None
    dx = ops.zeros(x.shape, dtype) if training else None
    loss = ops.softmax_cross_entropy(
        weights, on_device(ops, x), on_device(ops, targets), on_device(ops, row_weights.astype(dtype)),
        workspace, losses, predictions, gradients, dx,
    )  # fmt: skip
    last = [ops.to_host(array) for array in (*gradients, dx)] if training else ops.to_host(predictions)
    return float(loss), ops.to_host(losses), last


def draw(rng, rows, input_size, vocabulary, dtype):
    weight, bias, x = (
        rng.normal(size=shape).astype(dtype) for shape in ((vocabulary, input_size), (vocabulary,), (rows, input_size))
    )
    weights = np.where(rng.random(rows) < 0.2, 0.0, rng.random(rows))
    weights[0] = 1
    return weight, bias, x, rng.integers(0, vocabulary, rows), weights


def sizes_for(ops):
    return [(1, 1, 2), (9, 4, 6)] if ops.name == "cuda" else [(1, 1, 2), (130, 9, 5), (700, 33, 65), (3000, 8, 40)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-12)])
def test_loss_and_gradients_are_those_of_the_separate_operations(ops, rng, dtype, tolerance):
    for sizes in sizes_for(ops):
        weight, bias, x, targets, row_weights = draw(rng, *sizes, dtype)
        loss, _, gradients = run(ops, weight, bias, x, targets, row_weights)
        weight, bias, x = (array.astype(np.float64) for array in (weight, bias, x))
        expected, d_logits = cross_entropy(x @ weight.T + bias, targets, row_weights)
        assert loss == pytest.approx(expected, rel=tolerance)
        for ours, theirs in zip(gradients, [d_logits.T @ x, d_logits.sum(axis=0), d_logits @ weight], strict=True):
            assert relative_error(ours, theirs) < tolerance


def test_gradients_agree_with_central_differences(ops, rng):
    weight, bias, x, targets, row_weights = draw(rng, 3, 2, 4, "float64")
    _, _, gradients = run(ops, weight, bias, x, targets, row_weights)
    for array, gradient in zip((weight, bias, x), gradients, strict=True):
        expected = central_difference(lambda: run(ops, weight, bias, x, targets, row_weights)[0], array)
        np.testing.assert_allclose(gradient, expected, atol=1e-9)


def test_scoring_gives_the_loss_of_each_row_and_the_most_probable_entry(ops, rng):
    weight, bias, x, targets, row_weights = draw(rng, 9, 4, 6, "float64")
    loss, losses, predictions = run(ops, weight, bias, x, targets, row_weights, training=False)
    logits = x @ weight.T + bias
    np.testing.assert_array_equal(predictions, logits.argmax(axis=1))
    each = [cross_entropy(logits[[n]], targets[[n]], [1])[0] if row_weights[n] else 0 for n in range(9)]
    np.testing.assert_allclose(losses, each, atol=1e-12)
    assert loss == pytest.approx((losses * row_weights).sum() / row_weights.sum(), rel=1e-12)
    assert loss == pytest.approx(run(ops, weight, bias, x, targets, row_weights)[0], rel=1e-12)


def test_the_gradient_may_take_the_place_of_the_input(ops, rng):
    weight, bias, x, targets, row_weights = draw(rng, 9, 4, 6, "float64")
    _, _, expected = run(ops, weight, bias, x, targets, row_weights)
    weights = ops.LinearWeights(on_device(ops, weight), on_device(ops, bias))
    gradients = ops.LinearWeights(ops.zeros(weight.shape, "float64"), ops.zeros(bias.shape, "float64"))
    shared = on_device(ops, x.copy())
    ops.softmax_cross_entropy(
        weights, shared, on_device(ops, targets), on_device(ops, row_weights),
        ops.softmax_workspace(9, 4, 6, "float64"), ops.zeros((9,), "float64"), ops.zeros((9,), "int64"),
        gradients, shared,
    )  # fmt: skip
    for ours, theirs in zip((*gradients, shared), expected, strict=True):
        np.testing.assert_array_equal(ops.to_host(ours), theirs)


def test_blocks_of_the_gpu_add_up(rng, monkeypatch):
    from gatecast.kernels import cuda

    arguments = draw(rng, 7, 3, 4, "float64")
    whole = run(cuda, *arguments)
    monkeypatch.setattr("gatecast.kernels.cuda.softmax._BLOCK_ROWS", 3)
    blocks = run(cuda, *arguments)
    assert blocks[0] == whole[0]
    for ours, theirs in zip(blocks[2], whole[2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


def test_the_number_of_threads_does_not_change_a_bit(rng):
    from gatecast.kernels import cpu

    arguments = draw(rng, 3000, 8, 40, "float32")
    many = run(cpu, *arguments)
    numba.set_num_threads(1)
    try:
        one = run(cpu, *arguments)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert one[0] == many[0]
    for ours, theirs in zip(one[2], many[2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_memory_does_not_grow_with_rows_times_vocabulary():
    from gatecast.kernels import cpu

    workspace = cpu.softmax_workspace(8192, 128, 20_000, "float32")
    size = sum(array.nbytes for array in workspace if isinstance(array, np.ndarray))
    assert size < 8192 * 20_000 * 4 / 4

"""Products on the tensor cores. The simulator runs what the instruction is documented to do, in its place."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast import LSTM
from tests.conftest import SIMULATED, get_ops
from tests.reference import relative_error

CUDA = get_ops("cuda")

from gatecast.kernels.cuda import product  # noqa: E402
from gatecast.kernels.cuda.tensor import to_tf32  # noqa: E402

SIZES = [(1, 1, 1, 1), (1, 7, 3, 5), (2, 33, 9, 35)] if SIMULATED else [(2, 33, 9, 35), (3, 700, 130, 515)]
BOUND = 2.0**-10 + 2.0**-22  # each operand is off by at most 2^-11 of itself; and a little for float32 sums


def on_gpu(array):
    return CUDA.as_array(array, "float32")


def test_rounding_to_tf32_keeps_ten_bits_and_is_off_by_half_a_step_at_most(rng):
    values = (rng.normal(size=10_000) * 10.0 ** rng.integers(-30, 30, 10_000)).astype("float32")
    rounded = to_tf32(values)
    assert not (rounded.view(np.uint32) & 0x1FFF).any()
    error = np.abs(rounded.astype(float) - values) / np.abs(values)
    assert 2.0**-12 < error.max() <= 2.0**-11
    assert to_tf32(1 + 2.0**-11) == 1 + 2.0**-10, "halves go away from zero"
    np.testing.assert_array_equal(to_tf32(rounded), rounded)


@pytest.mark.parametrize("sizes", SIZES)
def test_products_are_off_by_no_more_than_the_rounding_of_their_operands(rng, sizes):
    models, rows, width, out = sizes
    x, weight, bias, dy = (
        rng.normal(size=shape).astype("float32")
        for shape in ((models, rows, width), (models, out, width), (models, out), (models, rows, out))
    )
    y, dx, d_weight = (on_gpu(np.zeros_like(like)) for like in (dy, x, weight))
    product.affine(on_gpu(x), on_gpu(weight), on_gpu(bias), y, tf32=True)
    product.row_product(on_gpu(dy), on_gpu(weight), dx, tf32=True)
    partial = product.partial_sums(models, rows, out, (width,), "float32")
    product.transposed_product(on_gpu(dy), on_gpu(x), partial, d_weight, tf32=True)
    x, weight, bias, dy = (array.astype(float) for array in (x, weight, bias, dy))
    for found, (left, right), rest in (
        (y, (x, weight.swapaxes(1, 2)), bias[:, None]),
        (dx, (dy, weight), 0),
        (d_weight, (dy.swapaxes(1, 2), x), 0),
    ):
        error = np.abs(found.copy_to_host() - (left @ right + rest))
        assert (error <= BOUND * (np.abs(left) @ np.abs(right)) + 1e-6 * np.abs(rest)).all()
        rounded = to_tf32(left).astype(float) @ to_tf32(right).astype(float) + rest
        assert relative_error(found.copy_to_host(), rounded) < 1e-5, "nothing but the operands is rounded"


def test_a_layer_in_tf32_is_near_the_one_in_float32_and_not_the_same(rng):
    x, dy = (rng.normal(size=(3, 4, size)).astype("float32") for size in (2, 5))
    results = []
    for precision in ("float32", "tf32"):
        layer = LSTM(2, 5, precision=precision, backend="cuda")
        y, _ = layer.forward(x, training=True)
        dx, _ = layer.backward(dy)
        results.append([CUDA.to_host(y), CUDA.to_host(dx), *layer.grads.values()])
    errors = [relative_error(rough, fine) for fine, rough in zip(*results, strict=True)]
    assert 0 < max(errors) < 2e-3


def test_tf32_is_refused_where_it_makes_no_sense(rng):
    x = rng.normal(size=(1, 2, 3)).astype("float32")
    with pytest.raises(ValueError, match="precision is 'half'; choose float32 or tf32"):
        LSTM(3, 2, precision="half")
    with pytest.raises(ValueError, match="needs the tensor cores of backend cuda"):
        LSTM(3, 2, precision="tf32").forward(x)
    with pytest.raises(ValueError, match="dtype is float64"):
        LSTM(3, 2, precision="tf32", dtype="float64", backend="cuda").forward(x)


@pytest.mark.skipif(SIMULATED, reason="no GPU here: mma.sync was compiled to PTX, and has not multiplied anything")
def test_the_instruction_itself_multiplies(rng):
    a, b = (rng.normal(size=(1, 256, 256)).astype("float32") for _ in range(2))
    c = on_gpu(np.zeros_like(a))
    product.row_product(on_gpu(a), on_gpu(b), c, tf32=True)
    exact = to_tf32(a).astype(float) @ to_tf32(b).astype(float)
    np.testing.assert_allclose(c.copy_to_host(), exact, atol=1e-3)

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import get_ops

get_ops("cuda")

from gatecast.kernels.cuda import product  # noqa: E402

SIZES = [(1, 1, 1, 1), (1, 7, 3, 5), (2, 9, 10, 6), (3, 1, 2, 17)]  # models, rows, in, out
DTYPES = [("float32", 1e-5), ("float64", 1e-12)]


def on_gpu(array):
    return get_ops("cuda").as_array(array, array.dtype.name)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_products_and_their_gradients_are_those_of_numpy(rng, sizes, dtype, tolerance):
    models, rows, width, out = sizes
    x, weight, bias, dy = (
        rng.normal(size=shape).astype(dtype)
        for shape in ((models, rows, width), (models, out, width), (models, out), (models, rows, out))
    )
    y = on_gpu(np.zeros_like(dy))
    dx = on_gpu(np.zeros_like(x))
    product.affine(on_gpu(x), on_gpu(weight), on_gpu(bias), y)
    expected = x @ weight.swapaxes(1, 2) + bias[:, None]
    np.testing.assert_allclose(y.copy_to_host(), expected, atol=tolerance)
    product.add_product(on_gpu(x), on_gpu(weight), y)
    np.testing.assert_allclose(y.copy_to_host(), 2 * expected - bias[:, None], atol=2 * tolerance)
    product.row_product(on_gpu(dy), on_gpu(weight), dx)
    np.testing.assert_allclose(dx.copy_to_host(), dy @ weight, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("rows", [3, 1100])  # one slice, and several
def test_weight_gradients_are_those_of_numpy_in_one_slice_and_in_several(rng, rows, dtype, tolerance):
    models = 2
    width = 2
    out = 3
    x, dy = (rng.normal(size=(models, rows, n)).astype(dtype) for n in (width, out))
    partial = product.partial_sums(models, rows, out, (width,), dtype)
    before = rng.normal(size=(models, out, width)).astype(dtype)
    for accumulate in (False, True):
        d_weight = on_gpu(before)
        d_bias = on_gpu(before[:, :, 0].copy())
        product.transposed_product(on_gpu(dy), on_gpu(x), partial, d_weight, accumulate)
        product.column_sums(on_gpu(dy), partial, d_bias, accumulate)
        expected = dy.swapaxes(1, 2).astype(float) @ x + accumulate * before
        np.testing.assert_allclose(d_weight.copy_to_host(), expected, atol=tolerance * rows)
        expected = dy.sum(axis=1, dtype=float) + accumulate * before[:, :, 0]
        np.testing.assert_allclose(d_bias.copy_to_host(), expected, atol=tolerance * rows)


@pytest.mark.parametrize(
    ("rows", "out", "widths"), [(12000, 876, (60, 219)), (12000, 876, (219, 60)), (500, 8, (3, 2))]
)
def test_there_is_room_for_the_slices_of_every_width_also_of_a_narrow_one_that_is_cut_into_more(rows, out, widths):
    partial = product.partial_sums(1, rows, out, widths, "float32")
    assert product._sum_slices(rows) * out <= partial.size
    for width in widths:
        assert product._slices(rows, out, width) * out * width <= partial.size


def test_steps_of_a_sequence_are_multiplied_where_they_lie(rng):
    x = rng.normal(size=(1, 3, 12))
    weight = rng.normal(size=(1, 5, 4))
    y = on_gpu(np.zeros((1, 3, 15)))
    product.add_product(on_gpu(x)[:, :, 4:8], on_gpu(weight), y[:, :, 5:10])
    expected = np.zeros((1, 3, 15))
    expected[:, :, 5:10] = x[:, :, 4:8] @ weight.swapaxes(1, 2)
    np.testing.assert_allclose(y.copy_to_host(), expected, atol=1e-12)


def test_nothing_beyond_the_matrices_is_looked_at(rng):
    """NaN next to a matrix must not come in through the zeros that fill a tile."""
    x = np.full((1, 5, 6), np.nan)
    x[:, :, :3] = rng.normal(size=(1, 5, 3))
    weight = rng.normal(size=(1, 2, 3))
    y = on_gpu(np.zeros((1, 5, 2)))
    product.add_product(on_gpu(x)[:, :, :3], on_gpu(weight), y)
    np.testing.assert_allclose(y.copy_to_host(), x[:, :, :3] @ weight.swapaxes(1, 2), atol=1e-12)

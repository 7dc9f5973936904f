from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.cpu.dot import dot_rows
from tests.reference import relative_error


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
def test_rows_of_any_length_and_number(rng, dtype, tolerance):
    for rows in (1, 7, 8, 9, 21):
        for size in (1, 3, 8, 16, 17, 70):
            wide = rng.normal(size=(rows, size + 3)).astype(dtype)
            vector = rng.normal(size=size).astype(dtype)
            products = np.full(rows + 1, 9, dtype)
            dot_rows(wide[:, 2 : size + 2], vector, products)
            assert relative_error(products[:rows], wide[:, 2 : size + 2].astype("f8") @ vector) <= tolerance
            assert products[rows] == 9


def test_a_row_gives_the_same_bits_wherever_it_stands(rng):
    steps = np.repeat(rng.normal(size=(1, 37)), 11, axis=0).astype("float32")
    vector = rng.normal(size=37)
    products = np.empty(11, "float32")
    dot_rows(steps, vector.astype("float32"), products)
    assert len(set(products.tolist())) == 1

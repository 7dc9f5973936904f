from __future__ import annotations

from gatecast.kernels import get_backend
from gatecast.lstm.nn.kept_arrays import KeptArrays


def test_a_kept_array_serves_again_until_all_are_let_go():
    kept = KeptArrays(get_backend("cpu"), "float32")
    array = kept.get("output", 2, 3)
    assert (array.shape, array.dtype) == ((2, 3), "float32")
    assert kept.get("output", 2, 3) is array
    assert kept.get("output", 3, 2) is not array
    assert kept.get("input", 2, 3) is not array
    kept.clear()
    assert kept.get("output", 2, 3) is not array

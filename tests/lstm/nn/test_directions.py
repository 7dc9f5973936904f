from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels import get_backend
from gatecast.lstm.nn.directions import Directions
from gatecast.lstm.nn.kept_arrays import KeptArrays

OPS = get_backend("cpu")


def make(count: int) -> Directions:
    return Directions(count, 2, OPS, KeptArrays(OPS, "float64"))


def turned(x, lengths):
    """Turn each sequence round within its true length; zeros after it."""
    result = np.zeros_like(x)
    for row, length in enumerate(lengths):
        result[row, :length] = x[row, :length][::-1]
    return result


@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 3])])
def test_the_second_direction_reads_from_the_true_end(rng, lengths):
    x = rng.normal(size=(3, 4, 5))
    forward, reverse = make(2).read(x, lengths)
    assert forward is x
    np.testing.assert_array_equal(reverse, turned(x, [4, 4, 4] if lengths is None else lengths))


@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 3])])
def test_joining_and_splitting_undo_each_other(rng, lengths):
    whole = [4, 4, 4] if lengths is None else lengths
    true = np.arange(4) < np.array(whole)[:, None]
    outputs = [rng.normal(size=(3, 4, 2)) * true[..., None] for _ in range(2)]
    directions = make(2)
    joined = directions.join(outputs, lambda *shape: np.full(shape, np.nan), lengths)
    np.testing.assert_array_equal(joined, np.concatenate([outputs[0], turned(outputs[1], whole)], axis=2))
    for part, output in zip(directions.split(joined, lengths), outputs, strict=True):
        np.testing.assert_array_equal(part, output)


@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 3])])
def test_gradients_are_added_step_by_step(rng, lengths):
    first, second = rng.normal(size=(2, 3, 4, 5))
    expected = first + turned(second, [4, 4, 4] if lengths is None else lengths)
    np.testing.assert_array_equal(make(2).add([first, second], lengths), expected)


def test_one_direction_returns_what_it_was_given(rng):
    x = rng.normal(size=(3, 4, 2))
    directions = make(1)
    assert directions.read(x, None)[0] is x
    assert directions.join([x], np.empty, None) is x
    assert directions.split(x, None)[0] is x
    assert directions.add([x], None) is x


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_not_wanted_stays_away(count):
    directions = make(count)
    assert directions.join([None] * count, np.empty, None) is None
    assert directions.split(None, None) == [None] * count
    assert directions.add([None] * count, None) is None

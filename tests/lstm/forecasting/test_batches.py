from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatecast.kernels import get_backend
from gatecast.lstm.forecasting.batches import StreamBatches, WindowBatches

OPS = get_backend("cpu")
PROPERTY = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def numbered(rows):
    """Values that say where they come from: column 0 is the row's number, column 1 its negative."""
    number = np.arange(rows, dtype="float64")
    return np.stack([number, -number], axis=1)


def windows(count, lookback=3, horizon=2, batch_size=4, seed=0, steps_per_epoch=None):
    ends = np.arange(lookback, lookback + count)
    values = numbered(lookback + count + horizon)
    options = {"lookback": lookback, "horizon": horizon, "batch_size": batch_size, "seed": seed, "ops": OPS}
    return WindowBatches(values, ends, **options, steps_per_epoch=steps_per_epoch), ends


def order(batches, epoch):
    return [int(row) for batch in batches.epoch(epoch) for row in batch.y[:, 0]]


@PROPERTY
@given(
    count=st.integers(1, 60),
    lookback=st.integers(1, 9),
    horizon=st.integers(1, 4),
    batch_size=st.integers(1, 70),
    epoch=st.integers(1, 30),
)
def test_every_window_comes_once_in_an_epoch_with_its_own_inputs_and_targets(
    count, lookback, horizon, batch_size, epoch
):
    batches, ends = windows(count, lookback, horizon, batch_size)
    seen = list(batches.epoch(epoch))
    assert len(seen) == batches.steps_per_epoch
    assert sorted(order(batches, epoch)) == ends.tolist()
    for x, y, weights, every_step, *_ in seen:
        assert not every_step
        end = y[:, 0]
        assert 0 < len(end) <= batch_size
        assert np.array_equal(x[..., 0], end[:, None] + np.arange(-lookback, 0))
        assert np.array_equal(x[..., 1], -x[..., 0])
        assert np.array_equal(y, end[:, None] + np.arange(horizon))
        assert weights.tolist() == [1] * len(end)


def test_the_order_is_a_function_of_seed_and_epoch():
    (batches, _), (again, _), (other, _) = windows(40), windows(40), windows(40, seed=1)
    assert order(batches, 5) == order(batches, 5) == order(again, 5)
    assert order(batches, 5) != order(batches, 6)
    assert order(batches, 5) != order(other, 5)
    assert order(batches, 5) != sorted(order(batches, 5))


@PROPERTY
@given(count=st.integers(1, 60), batch_size=st.integers(1, 20), steps=st.integers(1, 9), epochs=st.integers(1, 9))
def test_capped_epochs_show_all_windows_before_one_comes_twice(count, batch_size, steps, epochs):
    batches, ends = windows(count, batch_size=batch_size, steps_per_epoch=steps)
    seen = [order(batches, epoch) for epoch in range(1, epochs + 1)]
    size = min(count, steps * batch_size)
    assert {len(epoch) for epoch in seen} == {size}
    assert batches.steps_per_epoch == -(-size // batch_size)
    shown = np.concatenate(seen)
    for first in range(0, len(shown), count):
        piece = shown[first : first + count]
        assert len(set(piece.tolist())) == len(piece)
    assert set(shown.tolist()) <= set(ends.tolist())


def test_a_capped_epoch_is_a_function_of_seed_and_number():
    (batches, _), (again, _), (other, _) = (windows(50, steps_per_epoch=4, seed=seed) for seed in (0, 0, 1))
    backwards = [order(again, epoch) for epoch in range(7, 0, -1)][::-1]
    assert [order(batches, epoch) for epoch in range(1, 8)] == backwards
    assert order(batches, 2) != order(other, 2)


def test_a_cap_that_is_no_cap_changes_nothing():
    (batches, _), (capped, _) = windows(30), windows(30, steps_per_epoch=8)
    assert [order(batches, epoch) for epoch in (1, 2)] == [order(capped, epoch) for epoch in (1, 2)]


@st.composite
def streams(draw):
    """Series of several lengths; of each, the windows from its beginning on are training windows."""
    lookback = draw(st.integers(1, 8))
    horizon = draw(st.integers(1, 3))
    counts = draw(st.lists(st.integers(1, 25), min_size=1, max_size=3))
    later = draw(st.integers(0, 10))
    series = []
    ends = []
    offsets = [0]
    for number, count in enumerate(counts):
        first = offsets[-1] + lookback
        ends.extend(range(first, first + count))
        series.extend([number] * count)
        offsets.append(first + count - 1 + horizon + later)
    options = {"lookback": lookback, "horizon": horizon, "batch_size": draw(st.integers(1, 20)), "seed": 0}
    return numbered(offsets[-1]), np.array(series), np.array(ends), np.array(offsets), options


@PROPERTY
@given(made=streams(), epoch=st.integers(1, 1000))
def test_streams_are_contiguous_stay_in_their_series_and_count_training_targets_alone(made, epoch):
    values, series, ends, offsets, options = made
    batches = StreamBatches(values, series, ends, ops=OPS, **options)
    lookback = options["lookback"]
    horizon = options["horizon"]
    seen = list(batches.epoch(epoch))
    assert 0 < len(seen) <= batches.steps_per_epoch
    counted = []
    former = None
    for x, y, weights, every_step, *_ in seen:
        assert every_step
        counts = weights.reshape(x.shape[:2]) > 0
        assert counts.any()
        assert set(weights.tolist()) <= {0, 1}
        rows = x[..., 0]
        for stream, mask in enumerate(counts):
            numbers = rows[stream, mask].astype(int)
            counted.extend((stream, row) for row in numbers)
            targets = y.reshape(*x.shape[:2], horizon)[stream, mask]
            assert np.array_equal(targets, numbers[:, None] + 1 + np.arange(horizon))
        if former is not None:
            going_on = counts.any(axis=1)
            assert np.array_equal(rows[going_on, 0], former[going_on, -1] + 1)
        former = rows
    places = [row for _, row in counted]
    assert len(set(places)) == len(places)
    assert set(places) <= set((ends - 1).tolist())
    for stream in {stream for stream, _ in counted}:
        first = int(seen[0].x[stream, 0, 0])
        last = max(row for number, row in counted if number == stream)
        assert np.searchsorted(offsets, first, side="right") == np.searchsorted(offsets, last, side="right")
    assert seen[0].x.shape[1:] == (lookback, 2)


@PROPERTY
@given(made=streams())
def test_streams_are_no_shorter_than_the_lookback(made):
    values, series, ends, _, options = made
    batches = StreamBatches(values, series, ends, ops=OPS, **options)
    assert (batches._stops - batches._starts).min() >= options["lookback"]


def test_no_epoch_is_empty_where_a_series_is_a_little_longer_than_the_lookback():
    batches = StreamBatches(
        numbered(95), np.zeros(31, int), np.arange(60, 91), lookback=60, horizon=1, batch_size=32, seed=0, ops=OPS
    )
    assert all(list(batches.epoch(epoch)) for epoch in range(60))


def test_every_training_target_counts_in_some_epoch():
    values = numbered(100)
    ends = np.arange(6, 90)
    batches = StreamBatches(values, np.zeros(84, int), ends, lookback=6, horizon=2, batch_size=3, seed=0, ops=OPS)
    counted = {int(y) for epoch in range(40) for b in batches.epoch(epoch) for y in b.y[b.weights > 0, 0]}
    assert counted == set(ends.tolist())


def test_streams_are_about_as_many_as_the_batch_size_asks_for():
    values = numbered(1000)
    ends = np.arange(10, 990)
    batches = StreamBatches(values, np.zeros(980, int), ends, lookback=10, horizon=1, batch_size=7, seed=0, ops=OPS)
    assert {len(batch.x) for batch in batches.epoch(1)} == {7}


def test_epochs_of_streams_begin_at_their_own_offsets_the_same_for_the_same_seed():
    def starts(seed):
        batches = StreamBatches(
            numbered(100), np.zeros(80, int), np.arange(8, 88), lookback=8, horizon=1, batch_size=2, seed=seed, ops=OPS
        )
        return [int(next(batches.epoch(epoch)).x[0, 0, 0]) for epoch in range(10)]

    assert starts(0) == starts(0)
    assert starts(0) != starts(1)
    assert len(set(starts(0))) > 3
    assert max(starts(0)) < 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_have_the_dtype_of_the_values(dtype):
    values = numbered(30).astype(dtype)
    ends = np.arange(4, 25)
    options = {"lookback": 4, "horizon": 1, "batch_size": 4, "seed": 0, "ops": OPS}
    for batches in (WindowBatches(values, ends, **options), StreamBatches(values, np.zeros(21, int), ends, **options)):
        assert {array.dtype.name for array in next(batches.epoch(1))[:3]} == {dtype}

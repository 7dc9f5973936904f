from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import TEST, TRAIN, VALIDATION
from gatecast.data.sequences.windows import assign_windows, make_sequences, prepare_time_series
from tests.data.frames import REPRODUCIBLE

DAYS = pd.date_range("2020-01-01", periods=40)


@st.composite
def layouts(draw):
    """Some series on parts of the same 40 days, with gaps, and how to cut them."""
    of_days = st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True).map(sorted)
    series = draw(st.lists(of_days, min_size=1, max_size=4))
    train_end, validation_end = sorted(draw(st.lists(st.integers(0, 39), min_size=2, max_size=2, unique=True)))
    return {
        "ds": DAYS[np.concatenate(series)],
        "offsets": np.cumsum([0, *map(len, series)]),
        "lookback": draw(st.integers(1, 5)),
        "horizon": draw(st.integers(1, 4)),
        "boundaries": (DAYS[train_end], DAYS[validation_end]),
        "purge": draw(st.integers(0, 3)),
    }


def expected_windows(ds, offsets, lookback, horizon, boundaries, purge):
    """Walk over every window of every series and every target row of it."""
    windows = []
    for series, (first, stop) in enumerate(pairwise(offsets)):
        part = [sum(day > boundary for boundary in boundaries) for day in ds[first:stop]]
        split_of = [code if code == TRAIN or part[:row].count(code) >= purge else None for row, code in enumerate(part)]
        for end in range(lookback, stop - first - horizon + 1):
            splits = set(split_of[end : end + horizon])
            if len(splits) == 1 and splits != {None}:
                windows.append((series, first + end - lookback, first + end, splits.pop()))
    return windows


@REPRODUCIBLE
@given(layouts())
def test_windows_are_those_a_plain_walk_finds(layout):
    windows = assign_windows(**layout)
    found = list(zip(windows.series, windows.start, windows.end, windows.split, strict=True))
    assert found == expected_windows(**layout)


@REPRODUCIBLE
@given(layouts())
def test_no_target_of_a_split_lies_outside_it(layout):
    windows = assign_windows(**layout)
    targets = layout["ds"].to_numpy()[windows.end[:, None] + np.arange(layout["horizon"])]
    train_end, validation_end = (boundary.to_datetime64() for boundary in layout["boundaries"])
    assert (targets[windows.split == TRAIN] <= train_end).all()
    assert (targets[windows.split == VALIDATION] > train_end).all()
    assert (targets[windows.split == VALIDATION] <= validation_end).all()
    assert (targets[windows.split == TEST] > validation_end).all()


@REPRODUCIBLE
@given(layouts())
def test_no_window_leaves_its_series(layout):
    windows = assign_windows(**layout)
    offsets = layout["offsets"]
    assert (windows.start >= offsets[windows.series]).all()
    assert (windows.end + layout["horizon"] <= offsets[windows.series + 1]).all()
    assert (windows.end - windows.start == layout["lookback"]).all()


def test_purged_rows_are_no_targets_but_may_be_inputs():
    windows = assign_windows(DAYS[:12], np.array([0, 12]), 3, 1, (DAYS[5], DAYS[8]), purge=2)
    assert windows.end.tolist() == [3, 4, 5, 8, 11]
    assert windows.split.tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION, TEST]
    assert windows.of(VALIDATION).start.tolist() == [5]


def test_windows_have_the_types_of_the_contract():
    windows = assign_windows(DAYS, np.array([0, 40]), 3, 2, (DAYS[20], DAYS[30]), purge=1)
    types = (windows.series.dtype, windows.start.dtype, windows.end.dtype, windows.split.dtype)
    assert types == (np.int32, np.int64, np.int64, np.int8)


def test_make_sequences_by_hand():
    values = np.array([[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]])
    x, y = make_sequences(values, lookback=2, horizon=2)
    assert x.tolist() == [[[0, 10], [1, 11]], [[1, 11], [2, 12]]]
    assert y.tolist() == [[2, 3], [3, 4]]


def test_make_sequences_returns_fresh_arrays():
    values = np.arange(5.0)
    x, y = make_sequences(values, lookback=2)
    x[:] = -1
    y[:] = -1
    assert values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("lookback", "horizon"), [(-1, 1), (0, 1), (2, 0)])
def test_lengths_below_one_are_refused(lookback, horizon):
    with pytest.raises(InputError, match="have to be at least 1"):
        make_sequences(np.arange(10), lookback, horizon)


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="4 rows are fewer than lookback 4 plus horizon 1"):
        make_sequences(np.arange(4), 4)


def test_prepare_time_series_scales_by_the_training_part_only():
    values = np.stack([np.arange(10.0), np.arange(10.0)[::-1]], axis=1)
    x, y, scaler = prepare_time_series(values, lookback=3, train_fraction=0.5)
    assert scaler.center.tolist() == [0, 5]
    assert scaler.scale.tolist() == [4, 4]
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((7, 3, 2), (7, 1), np.float32, np.float32)
    np.testing.assert_allclose(y[:, 0] * 4, values[3:, 0])


def test_prepare_time_series_takes_a_frame_and_keeps_its_names():
    scaler = prepare_time_series(pd.DataFrame({"close": range(9), "volume": range(9)}), lookback=3)[2]
    assert scaler.columns == ("close", "volume")


@pytest.mark.parametrize("train_fraction", [0, 1.5, 0.01])
def test_a_training_part_without_rows_is_refused(train_fraction):
    with pytest.raises(InputError, match=r"train_fraction|training row"):
        prepare_time_series(np.arange(10.0), 3, train_fraction)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(value):
    frame = pd.DataFrame({"close": [1.0, 2.0, value, 4.0]})
    with pytest.raises(InputError, match=r"Row 3 of column close is (nan|inf), which is not a finite number"):
        prepare_time_series(frame, 2)

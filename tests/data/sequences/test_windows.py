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


@st.composite
def layouts(draw):
    """Some series of up to 40 rows, with missing values, and how to cut them."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    bounds = [sorted(draw(st.lists(st.integers(0, rows), min_size=2, max_size=2))) for rows in lengths]
    missing = draw(st.sets(st.integers(0, sum(lengths) - 1)))
    return {
        "offsets": np.cumsum([0, *lengths]),
        "lookback": draw(st.integers(1, 5)),
        "horizon": draw(st.integers(1, 4)),
        "train_rows": np.array([train for train, _ in bounds]),
        "validation_rows": np.array([until for _, until in bounds]),
        "purge": draw(st.integers(0, 3)),
        "known": ~np.isin(np.arange(sum(lengths)), list(missing)),
    }


def expected_windows(offsets, lookback, horizon, train_rows, validation_rows, purge, known):
    """Walk over every window of every series and every target row of it."""
    windows = []
    for series, (first, stop) in enumerate(pairwise(offsets)):
        part = [int(row >= train_rows[series]) + int(row >= validation_rows[series]) for row in range(stop - first)]
        split_of = [code if code == TRAIN or part[:row].count(code) >= purge else None for row, code in enumerate(part)]
        whole, short = [], []
        for end in range(min(lookback, 2), stop - first - horizon + 1):
            splits = set(split_of[end : end + horizon])
            if len(splits) == 1 and splits != {None}:
                window = (series, first + end - lookback, first + end, int(splits.pop()))
                (whole if end >= lookback else short).append(window)
        windows += sorted([*whole, *(window for window in short if window[3] not in {each[3] for each in whole})])
    return [
        (series, start, end, split)
        for series, start, end, split in windows
        if known[max(start, offsets[series]) : end].sum() >= min(lookback, 2) and known[end : end + horizon].any()
    ]


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
    own_row = windows.end - layout["offsets"][windows.series]
    train, until = (layout[name][windows.series] for name in ("train_rows", "validation_rows"))
    last = own_row + layout["horizon"] - 1
    assert (last[windows.split == TRAIN] < train[windows.split == TRAIN]).all()
    assert (own_row[windows.split == VALIDATION] >= train[windows.split == VALIDATION]).all()
    assert (last[windows.split == VALIDATION] < until[windows.split == VALIDATION]).all()
    assert (own_row[windows.split == TEST] >= until[windows.split == TEST]).all()


@REPRODUCIBLE
@given(layouts())
def test_windows_begin_before_their_series_only_in_splits_without_a_whole_one(layout):
    windows = assign_windows(**{**layout, "known": None})
    offsets = layout["offsets"]
    of_part = windows.series * 3 + windows.split
    is_short = windows.start < offsets[windows.series]
    assert not set(of_part[is_short]) & set(of_part[~is_short])
    assert (windows.end + layout["horizon"] <= offsets[windows.series + 1]).all()
    assert (windows.end - windows.start == layout["lookback"]).all()


def test_purged_rows_are_no_targets_but_may_be_inputs():
    windows = assign_windows(np.array([0, 12]), 3, 1, np.array([6]), np.array([9]), purge=2)
    assert windows.end.tolist() == [3, 4, 5, 8, 11]
    assert windows.split.tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION, TEST]
    assert windows.of(VALIDATION).start.tolist() == [5]


def test_windows_have_the_types_of_the_contract():
    windows = assign_windows(np.array([0, 40]), 3, 2, np.array([21]), np.array([31]), purge=1)
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

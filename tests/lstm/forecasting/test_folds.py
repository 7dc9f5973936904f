from __future__ import annotations

import numpy as np
import pytest

from gatecast.data.sequences.windows import Windows
from gatecast.lstm.forecasting.folds import NO_FOLD, folds_of


def windows_of(*counts):
    """Consecutive windows of several series."""
    series = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    end = np.concatenate([1_000 * number + np.arange(count) for number, count in enumerate(counts)]).astype(np.int64)
    return Windows(series, end - 10, end, np.ones(len(end), np.int8))


@pytest.mark.parametrize("horizon", [1, 3])
def test_few_series_are_cut_in_time_and_no_target_is_in_both_folds(horizon):
    windows = windows_of(40, 24)
    folds = folds_of(windows, horizon)
    for number in range(2):
        own = windows.series == number
        early, late = (windows.end[own & (folds == fold)] for fold in (0, 1))
        assert early.max() + horizon <= late.min()
        assert len(early) == len(late) - horizon + 1
    assert (folds == NO_FOLD).sum() == 2 * (horizon - 1)


def test_many_series_and_those_with_few_windows_are_in_one_fold_each():
    for windows in (windows_of(*[40] * 30), windows_of(5, 6, 4)):
        folds = folds_of(windows, horizon=3)
        assert set(folds) == {0, 1}
        for number in np.unique(windows.series):
            assert len(set(folds[windows.series == number])) == 1


def test_every_window_counts_where_there_are_few():
    assert folds_of(windows_of(3), horizon=4).tolist() == [0, 1, 1]
    assert folds_of(windows_of(1, 1), horizon=4).tolist() == [0, 1]
    assert folds_of(windows_of(1), horizon=4).tolist() == [NO_FOLD]
    assert folds_of(windows_of(0), horizon=4).tolist() == []


def test_series_without_windows_leave_no_fold_empty():
    windows = windows_of(2, 0, 3, 0, 2)
    assert set(folds_of(windows, horizon=5)) == {0, 1}

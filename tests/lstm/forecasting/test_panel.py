from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.lstm.forecasting.panel import Panel


@pytest.fixture
def frame() -> pd.DataFrame:
    """Two series whose rows alternate, the second of which begins later."""
    days = pd.date_range("2024-01-01", periods=6)
    rows = [("b", day, 10.0 + number) for number, day in enumerate(days)]
    rows += [("a", day, 20.0 + number) for number, day in enumerate(days[2:])]
    return pd.DataFrame(rows, columns=["unique_id", "ds", "y"]).sort_values("ds", kind="stable", ignore_index=True)


def test_series_lie_one_after_another(frame):
    panel = Panel.of_frame(frame)
    assert list(panel.unique_ids) == ["b", "a"]
    assert panel.offsets.tolist() == [0, 6, 10]
    assert panel.y.tolist() == [10, 11, 12, 13, 14, 15, 20, 21, 22, 23]
    assert panel.series.tolist() == [0] * 6 + [1] * 4
    assert panel.times.tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5]


def test_training_ends_with_a_timestamp(frame):
    panel = Panel.of_frame(frame, pd.Timestamp("2024-01-04"))
    assert panel.trained.tolist() == [4, 2]
    assert panel.y[panel.training_rows].tolist() == [10, 11, 12, 13, 20, 21]
    assert Panel.of_frame(frame).trained.tolist() == [6, 4]
    assert Panel.of_frame(frame, pd.Timestamp("2020-01-01")).trained.tolist() == [0, 0]


def test_an_origin_is_the_row_of_its_cutoff(frame):
    keys = pd.DataFrame(
        {"unique_id": ["a", "b", "a"], "cutoff": pd.to_datetime(["2024-01-03", "2024-01-06", "2024-01-06"])}
    )
    panel = Panel.of_frame(frame)
    assert panel.origins_of(keys).tolist() == [6, 5, 9]
    assert panel.known(np.array([6, 5, 9])).tolist() == [1, 6, 4]


def test_rows_may_have_numbers_instead_of_dates():
    frame = pd.DataFrame({"unique_id": ["x"] * 3 + ["y"] * 2, "ds": [1, 2, 3, 1, 2], "y": np.arange(5.0)})
    panel = Panel.of_frame(frame, 2)
    assert panel.trained.tolist() == [2, 2]
    assert panel.origins_of(pd.DataFrame({"unique_id": ["y", "x"], "cutoff": [2, 3]})).tolist() == [4, 2]


def test_time_zones_are_kept():
    ds = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"unique_id": "x", "ds": ds, "y": np.arange(72.0)})
    panel = Panel.of_frame(frame, ds[50])
    assert panel.trained.tolist() == [51]
    assert panel.origins_of(pd.DataFrame({"unique_id": ["x"], "cutoff": [ds[60]]})).tolist() == [60]


def test_windows_end_at_the_origin_and_do_not_reach_into_another_series(frame):
    windows = Panel.of_frame(frame).windows(np.array([5, 6, 8]), 3)
    np.testing.assert_array_equal(windows, [[13, 14, 15], [np.nan, np.nan, 20], [20, 21, 22]])


def test_a_missing_value_is_filled_by_the_one_before_it_of_its_own_series():
    y = [1.0, np.nan, 3.0, np.nan, 5.0]
    panel = Panel.of_frame(pd.DataFrame({"unique_id": list("xxxyy"), "ds": [0, 1, 2, 0, 1], "y": y}))
    np.testing.assert_array_equal(panel.y, y)
    np.testing.assert_array_equal(panel.filled, [1, 1, 3, np.nan, 5])


@pytest.mark.parametrize("change", [{"cutoff": pd.Timestamp("2031-01-01")}, {"unique_id": "gamma"}])
def test_a_key_that_is_not_in_the_frame_is_refused(frame, change):
    keys = pd.DataFrame({"unique_id": ["a", "b"], "cutoff": pd.to_datetime(["2024-01-03", "2024-01-06"])})
    with pytest.raises(ValueError, match=str(next(iter(change.values())))[:10]):
        Panel.of_frame(frame).origins_of(keys.assign(**change))


def test_a_cutoff_before_the_series_begins_is_refused(frame):
    keys = pd.DataFrame({"unique_id": ["a"], "cutoff": pd.to_datetime(["2024-01-01"])})
    with pytest.raises(ValueError, match="'a' has no row at the cutoff 2024-01-01"):
        Panel.of_frame(frame).origins_of(keys)

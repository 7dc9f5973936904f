from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.splits import SplitSettings, boundaries_of, split_series


def split(ds, settings, known=None, lookback=5, horizon=2):
    return split_series(ds, np.ones(len(ds), bool) if known is None else known, settings, lookback, horizon)


def boundaries(ds, settings):
    return boundaries_of([split(ds, settings)])


def test_days_count_whole_and_boundaries_are_timestamps_of_the_data():
    ds = pd.date_range("2020-01-01", periods=100, freq="h")
    settings = SplitSettings(train_end=date(2020, 1, 2), validation_end=date(2020, 1, 3))
    assert boundaries(ds, settings) == (pd.Timestamp("2020-01-02 23:00"), pd.Timestamp("2020-01-03 23:00"))


def test_days_are_those_of_the_data_s_time_zone():
    ds = pd.date_range("2020-01-01", periods=100, freq="h", tz="Asia/Tokyo")
    settings = SplitSettings(train_end=date(2020, 1, 2), validation_end=date(2020, 1, 3))
    assert boundaries(ds, settings)[0] == pd.Timestamp("2020-01-02 23:00", tz="Asia/Tokyo")


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2022, 10, 30), 25)])
def test_days_on_which_clocks_change_count_whole(day, hours):
    ds = pd.date_range(str(day), periods=100, freq="h", tz="Europe/Berlin")
    settings = SplitSettings(train_end=day, validation_end=date(day.year, day.month, day.day + 1))
    assert boundaries(ds, settings)[0] == ds[hours - 1]


def test_shares_are_of_the_rows_of_each_series():
    ds = pd.date_range("2020-01-01", periods=200)
    long, short = split(ds, SplitSettings()), split(ds[100:150], SplitSettings())
    assert (long.train_rows, long.validation_rows) == (140, 160)
    assert (short.train_rows, short.validation_rows) == (35, 40)
    assert boundaries_of([long, short]) == (ds[139], ds[159])


def test_validation_and_test_hold_a_window_each_where_the_series_has_the_rows():
    ds = pd.date_range("2020-01-01", periods=60)
    wide = split(ds, SplitSettings(purge=2), horizon=14)
    assert (wide.train_rows, wide.validation_rows) == (28, 44)
    narrow = split(ds[:40], SplitSettings(purge=2), horizon=14)
    assert (narrow.train_rows, narrow.validation_rows) == (24, 24)  # a test, and no validation
    least = split(ds[:10], SplitSettings(purge=2), horizon=14)
    assert (least.train_rows, least.validation_rows) == (10, 10)


def test_shares_are_counted_from_the_first_value_to_the_last():
    ds = pd.date_range("2020-01-01", periods=160)
    known = np.ones(160, bool)
    known[:20] = known[120:] = known[50] = False
    found = split(ds, SplitSettings(), known)
    assert (found.train_rows, found.validation_rows) == (20 + 70, 20 + 80)


def test_without_a_test_fraction_validation_lasts_to_the_end():
    ds = pd.date_range("2020-01-01", periods=100)
    settings = SplitSettings(test_fraction=0)
    assert boundaries(ds, settings) == (ds[89], ds[99])
    assert not settings.has_test


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_end": "2020-01-01"}, "Give both"),
        ({"validation_end": "2020-01-01"}, "Give both"),
        ({"train_end": "2020-01-02", "validation_end": "2020-01-02"}, "must come before"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"test_fraction": -0.1}, "greater than or equal to 0"),
        ({"purge": -1}, "greater than or equal to 0"),
        ({"gap": 1}, "Split has no setting 'gap'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        SplitSettings(**settings)


@pytest.mark.parametrize(
    ("train_end", "validation_end", "message"),
    [
        (
            date(2019, 1, 1),
            date(2020, 2, 1),
            r"from 2020-01-01 to 2020-04-09 leave 0 for training and 32 for validation",
        ),
        (date(2021, 1, 1), date(2021, 2, 1), r"leave 100 for training and 0 for validation"),
    ],
)
def test_boundaries_outside_the_data_are_refused(train_end, validation_end, message):
    ds = pd.date_range("2020-01-01", periods=100)
    with pytest.raises(InputError, match=message):
        boundaries(ds, SplitSettings(train_end=train_end, validation_end=validation_end))


def test_two_rows_cannot_be_split_in_three():
    with pytest.raises(InputError, match="leave 2 for training and 0 for validation"):
        boundaries(pd.date_range("2020-01-01", periods=2), SplitSettings())

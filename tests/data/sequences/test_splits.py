from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.splits import SplitSettings, split_boundaries


def test_days_count_whole_and_boundaries_are_timestamps_of_the_data():
    ds = pd.date_range("2020-01-01", periods=100, freq="h")
    settings = SplitSettings(train_end=date(2020, 1, 2), validation_end=date(2020, 1, 3))
    assert split_boundaries(ds, settings) == (pd.Timestamp("2020-01-02 23:00"), pd.Timestamp("2020-01-03 23:00"))


def test_days_are_those_of_the_data_s_time_zone():
    ds = pd.date_range("2020-01-01", periods=100, freq="h", tz="Asia/Tokyo")
    settings = SplitSettings(train_end=date(2020, 1, 2), validation_end=date(2020, 1, 3))
    assert split_boundaries(ds, settings)[0] == pd.Timestamp("2020-01-02 23:00", tz="Asia/Tokyo")


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2022, 10, 30), 25)])
def test_days_on_which_clocks_change_count_whole(day, hours):
    ds = pd.date_range(str(day), periods=100, freq="h", tz="Europe/Berlin")
    settings = SplitSettings(train_end=day, validation_end=date(day.year, day.month, day.day + 1))
    assert split_boundaries(ds, settings)[0] == ds[hours - 1]


def test_fractions_are_of_the_distinct_timestamps():
    ds = pd.date_range("2020-01-01", periods=100)
    boundaries = split_boundaries(pd.DatetimeIndex([*ds, *ds[50:]]), SplitSettings())
    assert boundaries == (ds[69], ds[79])


def test_without_a_test_fraction_validation_lasts_to_the_end():
    ds = pd.date_range("2020-01-01", periods=100)
    settings = SplitSettings(test_fraction=0)
    assert split_boundaries(ds, settings) == (ds[89], ds[99])
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
        split_boundaries(ds, SplitSettings(train_end=train_end, validation_end=validation_end))


def test_two_rows_cannot_be_split_in_three():
    with pytest.raises(InputError, match="leave 0 for training"):
        split_boundaries(pd.date_range("2020-01-01", periods=2), SplitSettings())

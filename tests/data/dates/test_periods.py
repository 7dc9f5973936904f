from __future__ import annotations

import pandas as pd
import pytest

from gatecast.data.dates.periods import next_dates, period_name, spacing
from gatecast.data.dates.timestamps import start_of_day
from gatecast.data.errors import InputError


def test_daily_data_without_weekends_go_on_over_business_days():
    ds = pd.date_range("2024-01-01", "2024-01-05", freq="B")
    assert next_dates(ds, 2).tolist() == [pd.Timestamp("2024-01-08"), pd.Timestamp("2024-01-09")]


def test_a_holiday_does_not_hide_business_days():
    ds = pd.date_range("2024-01-01", "2024-01-19", freq="B").delete(6)
    assert next_dates(ds, 1).tolist() == [pd.Timestamp("2024-01-22")]


def test_daily_data_with_weekends_go_on_over_weekends():
    ds = pd.date_range("2024-01-01", "2024-01-07", freq="D").delete(2)
    assert next_dates(ds[:5], 1).tolist() == [pd.Timestamp("2024-01-07")]


@pytest.mark.parametrize("freq", ["ME", "MS", "BME", "BMS", "2ME", "QE", "QS", "BQE", "BQS", "YE", "YS", "BYE", "BYS"])
@pytest.mark.parametrize("timezone", [None, "America/New_York"])
def test_months_go_on_at_the_same_end(freq, timezone):
    ds = pd.date_range("2010-01-01", periods=36, freq=freq, tz=timezone).as_unit("ns")
    assert next_dates(ds[:24], 12).equals(ds[24:])


def test_a_day_of_the_month_stays_that_day():
    ds = pd.DatetimeIndex(["2023-11-15", "2023-12-15", "2024-01-15", "2024-02-15"])
    assert next_dates(ds, 1).tolist() == [pd.Timestamp("2024-03-15")]


@pytest.mark.parametrize("known", [4, 5, 6])
def test_a_day_that_a_month_lacks_is_its_last_day(known):
    days = ["2022-10-29", "2022-11-29", "2022-12-29", "2023-01-29", "2023-02-28", "2023-03-29", "2023-04-29"]
    ds = pd.DatetimeIndex(days).as_unit("ns")
    assert next_dates(ds[:known], 7 - known).equals(ds[known:])


def test_a_holiday_does_not_hide_the_last_business_day():
    ds = pd.DatetimeIndex(["2023-11-30", "2023-12-29", "2024-01-31", "2024-02-29", "2024-03-28"])  # then Good Friday
    assert next_dates(ds, 2).strftime("%m-%d").tolist() == ["04-30", "05-31"]


def test_a_holiday_does_not_hide_the_first_business_day():
    ds = pd.DatetimeIndex(["2023-10-02", "2023-11-01", "2023-12-01", "2024-01-02"])
    assert next_dates(ds, 2).strftime("%m-%d").tolist() == ["02-01", "03-01"]


def test_months_without_a_rule_are_not_skipped():
    third_fridays = pd.date_range("2020-01-01", periods=24, freq="WOM-3FRI")
    months = next_dates(third_fridays, 40).tz_localize(None).to_period("M")
    assert months.equals(pd.period_range("2022-01", periods=40, freq="M"))


def test_six_or_seven_weeks_are_no_month():
    ds = pd.DatetimeIndex(["2024-01-31", "2024-03-20", "2024-05-01", "2024-06-12", "2024-07-31"])
    assert next_dates(ds, 1)[0] - ds[-1] == pd.Timedelta(days=42)


def test_four_weeks_are_no_month():
    ds = pd.date_range("2024-01-01", periods=4, freq="28D")
    assert next_dates(ds, 1).tolist() == [ds[-1] + pd.Timedelta(days=28)]


def test_irregular_data_go_on_at_their_most_frequent_spacing():
    ds = pd.DatetimeIndex(["2024-01-01 09:00", "2024-01-01 09:15", "2024-01-01 09:30", "2024-01-01 10:30"])
    assert next_dates(ds, 2).tolist() == [pd.Timestamp("2024-01-01 10:45"), pd.Timestamp("2024-01-01 11:00")]


def test_time_zones_are_kept():
    ds = pd.date_range("2024-03-07", periods=2, freq="B", tz="America/New_York")
    assert next_dates(ds, 1).tolist() == [pd.Timestamp("2024-03-11", tz="America/New_York")]


@pytest.mark.parametrize(
    ("freq", "timezone", "change"),
    [
        ("D", "America/New_York", "2023-11-05"),
        ("D", "Europe/Berlin", "2023-03-26"),
        ("B", "Europe/Berlin", "2022-10-30"),
        ("W-SUN", "Europe/Berlin", "2022-10-30"),
        ("10D", "America/New_York", "2023-03-12"),
    ],
)
def test_days_keep_their_local_time_when_clocks_change(freq, timezone, change):
    ds = pd.date_range(end=change, periods=20, freq=freq, tz=timezone)
    ds = ds.append(pd.date_range(ds[-1], periods=9, freq=freq)[1:]).as_unit("ns")
    assert len({moment.utcoffset() for moment in ds}) == 2
    for known in (14, 19, 20, 21, 24):
        assert next_dates(ds[:known], 4).equals(ds[known : known + 4])


@pytest.mark.parametrize(
    ("timezone", "change"),
    [("America/Sao_Paulo", "2018-11-04"), ("America/Havana", "2023-03-12"), ("America/Havana", "2023-11-05")],
)
def test_a_midnight_that_clocks_skip_or_repeat_is_the_start_of_its_day(timezone, change):
    days = pd.date_range(end=pd.Timestamp(change) + pd.Timedelta(days=6), periods=20)
    ds = pd.DatetimeIndex([start_of_day(day, timezone) for day in days]).as_unit("ns")
    for first, known in ((0, 12), (0, 13), (0, 14), (0, 15), (12, 14)):
        assert next_dates(ds[first:known], 5).equals(ds[known : known + 5])


def test_hours_go_on_when_clocks_change():
    ds = pd.date_range("2022-10-29 12:00", periods=24, freq="h", tz="Europe/Berlin").as_unit("ns")
    assert next_dates(ds[:12], 12).equals(ds[12:])


def test_one_timestamp_has_no_spacing():
    with pytest.raises(InputError, match="at least 2 rows"):
        spacing(pd.DatetimeIndex(["2024-01-01"]))


@pytest.mark.parametrize(
    ("freq", "name"),
    [
        ("h", "hourly"),
        ("B", "daily"),
        ("W-SUN", "weekly"),
        ("ME", "monthly"),
        ("BME", "monthly"),
        ("2MS", "2-month"),
        ("QE", "quarterly"),
        ("QS", "quarterly"),
        ("2QE", "half-yearly"),
        ("YE", "yearly"),
        ("YS", "yearly"),
        ("10D", "10-day"),
        ("15min", "15-minute"),
    ],
)
def test_the_period_has_a_name(freq, name):
    assert period_name(pd.date_range("2024-01-01", periods=10, freq=freq)) == name

from __future__ import annotations

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import dateutil.tz
import pandas as pd
import pytest

from gatecast.data.dates.timestamps import end_of_day, format_date, parse_dates, start_of_day
from gatecast.data.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2020-01-31", "2020-01-31"), ("20200131", "2020-01-31"), ("2020-01-31T15:30:00", "2020-01-31 15:30")],
)
def test_iso_dates_are_read_to_the_nanosecond(text, expected):
    parsed = parse_dates(pd.Series([text]))
    assert parsed.dtype == "datetime64[ns]"
    assert parsed[0] == pd.Timestamp(expected)


@pytest.mark.parametrize("text", ["01/02/2020", "yesterday", "", "17", "9999-12-31", "0001-01-01"])
def test_ambiguous_or_unrepresentable_dates_become_nat(text):
    assert parse_dates(pd.Series(["2020-01-01", text])).isna().tolist() == [False, True]


def test_numbers_are_not_dates():
    assert parse_dates(pd.Series([20200131])).isna().all()


def test_date_objects_are_dates():
    objects = pd.Series([pd.Timestamp("2020-01-31").date()], dtype=object)
    assert parse_dates(objects)[0] == pd.Timestamp("2020-01-31")


def test_midnights_with_an_offset_are_plain_dates():
    parsed = parse_dates(pd.Series(["2024-01-02 00:00:00-05:00", "2024-07-02 00:00:00-04:00"]))
    assert parsed.tolist() == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-07-02")]


def test_times_with_an_offset_become_utc():
    parsed = parse_dates(pd.Series(["2024-01-02 09:30:00-05:00", "2024-07-02 09:30:00-04:00"]))
    assert parsed.tolist() == [pd.Timestamp("2024-01-02 14:30", tz="UTC"), pd.Timestamp("2024-07-02 13:30", tz="UTC")]


def test_a_time_without_an_offset_among_others_is_unreadable():
    parsed = parse_dates(pd.Series(["2024-01-02 09:30:00-05:00", "2024-01-03 09:30:00"]))
    assert parsed.isna().tolist() == [False, True]


def test_dates_are_written_without_midnight():
    assert format_date(pd.Timestamp("2020-01-31")) == "2020-01-31"
    assert format_date(pd.Timestamp("2020-01-31 15:30")) == "2020-01-31 15:30:00"


def test_a_day_starts_at_midnight_in_its_zone():
    day = pd.Timestamp("2024-01-02").date()
    assert start_of_day(day, "America/New_York") == pd.Timestamp("2024-01-02 05:00", tz="UTC")
    assert start_of_day(day, None) == pd.Timestamp("2024-01-02")


@pytest.mark.parametrize(("day", "hours"), [("2023-03-26", 23), ("2022-10-30", 25), ("2023-01-01", 24)])
def test_a_day_on_which_clocks_change_ends_at_the_next_midnight(day, hours):
    day = pd.Timestamp(day).date()
    length = end_of_day(day, "Europe/Berlin") - start_of_day(day, "Europe/Berlin")
    assert length == pd.Timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (dateutil.tz.gettz("Europe/Berlin"), "Europe/Berlin"),
        (dateutil.tz.tzutc(), "UTC"),
        (dateutil.tz.tzoffset("IST", 19800), "UTC+05:30"),
        (timezone(timedelta(hours=-5)), "UTC-05:00"),
        (ZoneInfo("America/New_York"), "America/New_York"),
        ("Asia/Tokyo", "Asia/Tokyo"),
    ],
)
def test_a_zone_without_a_name_gets_one_that_gives_it_back(zone, name):
    column = pd.Series(pd.date_range("2024-01-01", periods=200, tz=zone))
    parsed = parse_dates(column)
    assert str(parsed.dt.tz) == name
    assert parsed.tolist() == column.tolist()
    assert parsed.dt.tz_convert("UTC").dt.tz_convert(name).dt.hour.tolist() == column.dt.hour.tolist()


@pytest.mark.parametrize("zone", [dateutil.tz.tzstr("EST5EDT"), dateutil.tz.tzoffset("odd", 19815)])
def test_a_zone_that_no_name_gives_back_is_refused(zone):
    with pytest.raises(InputError, match="has no name that a model could keep; convert them first"):
        parse_dates(pd.Series(pd.date_range("2024-01-01", periods=2, tz="UTC").tz_convert(zone)))

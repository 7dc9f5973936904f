from __future__ import annotations

import pandas as pd
import pytest

from gatecast.data.dates.calendar import final_at, infer_calendar, require_calendar, sessions
from gatecast.data.dates.periods import next_dates
from gatecast.data.errors import InputError


def days(first: str, last: str, *without: str) -> pd.DatetimeIndex:
    return pd.bdate_range(first, last).difference(pd.DatetimeIndex(without)).as_unit("ns")


def test_sessions_know_holidays():
    found = sessions("XNYS", pd.Timestamp("2018-12-24"), pd.Timestamp("2019-01-02"))
    assert [day.day for day in found] == [24, 26, 27, 28, 31, 2]


def test_sessions_end_where_the_calendar_does():
    assert len(sessions("XHKG", pd.Timestamp("2060-01-01"), pd.Timestamp("2060-02-01"))) == 0
    assert sessions("XHKG", pd.Timestamp("2049-12-01"), pd.Timestamp("2060-02-01"))[-1].year == 2049


@pytest.mark.parametrize(
    ("name", "day", "expected"),
    [
        ("XNYS", "2024-02-28", "2024-02-28 21:00Z"),
        ("XNYS", "2024-07-03", "2024-07-03 17:00Z"),  # closes early
        ("XNYS", "2024-12-25", "2024-12-26 05:00Z"),  # no session: the end of the day
        (None, "2024-02-28", "2024-02-29 05:00Z"),
        ("24/7", "2024-02-28", "2024-02-29 00:00Z"),
    ],
)
def test_a_bar_is_final_at_the_close(name, day, expected):
    assert final_at(name, pd.Timestamp(day), "America/New_York") == pd.Timestamp(expected)


def test_the_exchange_is_known_by_its_holidays():
    new_york = days("2018-10-01", "2018-12-31", "2018-11-22", "2018-12-05", "2018-12-25")
    assert infer_calendar(new_york) == "XNYS"
    assert infer_calendar(new_york.tz_localize("America/New_York")) == "XNYS"
    assert infer_calendar(days("2018-10-01", "2018-12-31", "2018-12-25", "2018-12-26")) == "XLON"


@pytest.mark.parametrize(
    "ds",
    [
        days("2018-10-01", "2018-12-31"),  # no holiday tells nothing
        days("2018-10-01", "2018-12-31", "2018-11-07"),  # nobody's holiday
        pd.date_range("2018-10-01", "2018-12-31"),
        pd.date_range("2018-10-01", periods=64, freq="h"),
        pd.DatetimeIndex(["2018-10-01"]),
    ],
    ids=["weekdays", "own holiday", "weekends", "hours", "one"],
)
def test_what_follows_no_exchange_has_none(ds):
    assert infer_calendar(ds) is None


def test_the_next_days_are_sessions():
    new_york = days("2018-10-01", "2018-12-31", "2018-11-22", "2018-12-05", "2018-12-25")
    assert next_dates(new_york, 3).strftime("%m-%d").tolist() == ["01-02", "01-03", "01-04"]
    assert next_dates(days("2018-10-01", "2018-12-31"), 1)[0] == pd.Timestamp("2019-01-01")


def test_an_unknown_calendar_is_named():
    assert require_calendar("XTKS") == "XTKS"
    with pytest.raises(InputError, match="no calendar 'NYSE2'; name one of exchange_calendars, such as XNYS"):
        require_calendar("NYSE2")

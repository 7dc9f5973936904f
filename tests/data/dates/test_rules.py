"""What a person says of the dates."""

from __future__ import annotations

import pandas as pd
import pytest

from gatecast.data.dates.periods import infer_schedule, next_dates
from gatecast.data.dates.rules import DateRules, require_freq
from gatecast.data.errors import InputError

FREQUENCIES = [
    "D",
    "B",
    "W",
    "W-FRI",
    "2W-MON",
    "10D",
    "h",
    "2h",
    "30min",
    "s",
    "ME",
    "MS",
    "BME",
    "BMS",
    "3MS",
    "QE",
    "QS",
    "BQE",
    "BQS",
    "QE-NOV",
    "QS-FEB",
    "2QE",
    "YE",
    "YS",
    "BYE",
    "YS-APR",
    "SME",
    "SMS",
    "SME-10",
    "WOM-3FRI",
    "WOM-1MON",
]


@pytest.mark.parametrize("freq", FREQUENCIES)
def test_a_frequency_is_what_pandas_means_by_it(freq: str) -> None:
    ds = pd.date_range("2020-01-01", periods=40, freq=freq).as_unit("ns")
    schedule = DateRules(freq=freq).schedule_of(ds[:20].asi8)
    assert next_dates(ds[:20], 20, schedule).equals(ds[20:])


@pytest.mark.parametrize(
    ("old", "new"),
    [("M", "ME"), ("Q", "QE"), ("Q-DEC", "QE-DEC"), ("A", "YE"), ("Y", "YE"), ("H", "h"), ("15T", "15min")],
)
def test_older_names_of_frequencies_are_known(old: str, new: str) -> None:
    ds = pd.date_range("2020-01-01", periods=9, freq=new).as_unit("ns").asi8
    assert DateRules(freq=old).schedule_of(ds) == DateRules(freq=new).schedule_of(ds)


@pytest.mark.parametrize(
    "freq", ["", "daily", "0D", "-1D", "5B", "C", "W-FOO", "B-FRI", "D-", "QE-MON", "WOM-5FRI", "2SME"]
)
def test_what_is_no_frequency_is_refused(freq: str) -> None:
    with pytest.raises(InputError, match="is no frequency that Gatecast knows; write one of pandas'"):
        require_freq(freq)


def test_closed_days_are_left_out() -> None:
    ds = pd.date_range("2024-01-01", periods=6).as_unit("ns")  # Monday to Saturday: a Sunday was not seen yet
    schedule = DateRules(closed=("SUN",)).restrict(infer_schedule(ds), ds.asi8)
    assert schedule.in_words() == "Monday to Saturday"
    assert next_dates(ds, 1, schedule)[0] == pd.Timestamp("2024-01-08")


def test_closed_days_are_left_out_of_hours_on_their_grid() -> None:
    ds = pd.date_range("2024-01-05 00:30", periods=24, freq="h").as_unit("ns")
    schedule = DateRules(closed=("SAT", "SUN")).restrict(infer_schedule(ds), ds.asi8)
    assert next_dates(ds, 2, schedule).tolist() == [pd.Timestamp("2024-01-08 00:30"), pd.Timestamp("2024-01-08 01:30")]


def test_a_calendar_leaves_only_its_sessions() -> None:
    ds = pd.bdate_range("2024-12-02", "2024-12-24").as_unit("ns")
    schedule = DateRules(calendar="XNYS").restrict(infer_schedule(ds), ds.asi8)
    assert schedule.in_words() == "business days of XNYS"
    assert next_dates(ds, 2, schedule).strftime("%m-%d").tolist() == ["12-26", "12-27"]


def test_a_frequency_of_months_has_no_closed_days() -> None:
    ds = pd.date_range("2020-01-31", periods=20, freq="ME").as_unit("ns")
    schedule = DateRules(freq="ME", closed=("SUN",)).schedule_of(ds.asi8)
    assert schedule == DateRules(freq="ME").schedule_of(ds.asi8)


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        (("SUNDAY",), "closed 'SUNDAY' is not a day of the week; write MON, TUE"),
        (("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"), "closed names all days of the week"),
    ],
)
def test_wrong_days_are_named(closed: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DateRules(closed=closed)


def test_days_that_leave_none_of_the_data_are_refused() -> None:
    ds = pd.date_range("2024-01-01", periods=60).as_unit("ns")
    shop = ds[ds.day_of_week.isin([1, 3])]
    with pytest.raises(InputError, match="closed TUE, THU leaves no day on which the data has rows"):
        DateRules(closed=("TUE", "THU")).restrict(infer_schedule(shop), shop.asi8)


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(InputError, match="no calendar 'MARS'"):
        DateRules(calendar="MARS")

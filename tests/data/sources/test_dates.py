"""Timestamps in the forms that people and programs write."""

from __future__ import annotations

import pandas as pd
import pytest

from gatecast.data.dates.timestamps import parse_dates
from gatecast.data.errors import InputError
from gatecast.data.sources.dates import are_dates, read_dates

MONTHS = pd.date_range("2019-11-01", periods=30, freq="MS")
DAYS = pd.date_range("2020-01-01", periods=40)
HOURS = pd.date_range("2020-01-30 09:30", periods=40, freq="h")


def read(column: pd.Series, date_format: str | None = None) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(parse_dates(read_dates(column, date_format, "f.csv")))


@pytest.mark.parametrize(
    ("expected", "written"),
    [
        (DAYS, [f"{day.day}/{day.month}/{day:%y}" for day in DAYS]),
        (DAYS, [f"{day.month}/{day.day}/{day.year}" for day in DAYS]),
        (DAYS, [f"{day:%b} {day.day} {day.year}" for day in DAYS]),
        (DAYS, [f"{day:%B} {day.day}, {day.year}" for day in DAYS]),
        (DAYS, [f"{day:%d-%b-%y}" for day in DAYS]),
        (DAYS, [f"{day:%Y.%m.%d}  " for day in DAYS]),
        (MONTHS, [f"{day:%Y%m}" for day in MONTHS]),
        (MONTHS, [f"{day:%Y-%m}" for day in MONTHS]),
        (MONTHS, [f"{day:%b %Y}" for day in MONTHS]),
        (MONTHS[2::3], [f"{day.year}-Q{day.quarter}" for day in MONTHS[2::3]]),
        (MONTHS[2::3], [f"Q{day.quarter} {day.year}" for day in MONTHS[2::3]]),
        (DAYS[5::7], [f"{day:%G-W%V}" for day in DAYS[5::7]]),
        (HOURS, [f"{day:%d.%m.%Y %H:%M}" for day in HOURS]),
        (HOURS, [f"{day:%m/%d/%Y %I:%M %p}" for day in HOURS]),
        (HOURS, [str(day.value // 10**9) for day in HOURS]),
        (HOURS, [str(day.value // 10**6) for day in HOURS]),
        (HOURS, [str(day.value) for day in HOURS]),
    ],
    ids=lambda written: str(written[0]),
)
def test_a_form_is_found(expected, written):
    assert read(pd.Series(written)).tolist() == expected.tolist()


@pytest.mark.parametrize("numbers", [[20200131, 20200201], [202001, 202002], [2019, 2020], [1580342400, 1580346000]])
def test_numbers_are_read_as_if_written(numbers):
    assert read(pd.Series(numbers)).notna().all()


def test_steps_are_days_if_that_is_said():
    steps = pd.Series(range(30))
    assert read(steps, "steps").tolist() == pd.date_range("2000-01-01", periods=30).tolist()
    with pytest.raises(InputError, match=r"the timestamp 0 is a bare number; .* --date-format steps"):
        read_dates(steps, None, "f.csv")


def test_one_date_that_fits_one_form_decides_for_all():
    days = pd.date_range("2020-01-01", periods=13).repeat(24)[:-12]  # a twenty-fifth is of the 13th
    for form in ("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y %I:%M:%S %p"):
        assert read(pd.Series(days.strftime(form))).tolist() == days.tolist()


@pytest.mark.parametrize("dtype", [float, str])
def test_counts_since_1970_may_have_been_written_as_decimals(dtype):
    hours = pd.date_range("2020-01-01", periods=30, freq="h")
    assert read(pd.Series([float(hour.timestamp()) for hour in hours]).astype(dtype)).tolist() == hours.tolist()


def test_days_that_can_be_months_are_asked_about():
    with pytest.raises(InputError, match="date 1/2/20 can be read as %d/%m/%y and as %m/%d/%y"):
        read_dates(pd.Series(["1/2/20", "2/2/20", "3/2/20"]), None, "f.csv")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2020-01-01", "2020-01-02"], True),
        (["1.1.2020", "2.1.2020"], True),
        ([20200101, 20200102], True),
        (["2020-W01", "2020-W02"], True),
        (["2020Q1", "2020Q2"], True),
        ([1.5, 2.5], False),
        ([1, 2], False),
        ([20209999, 20200101], False),
        (["1.5", "2"], False),
        (["north", "south"], False),
        ([True, False], False),
        ([], False),
    ],
)
def test_columns_of_dates_are_told_from_others(cells, expected):
    assert are_dates(pd.Series(cells)) is expected

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.dates.ages import MOST, age_of, rows_overdue
from gatecast.data.dates.rules import DateRules

NONE = DateRules()


def frame_of(**series: pd.DatetimeIndex) -> pd.DataFrame:
    parts = [pd.DataFrame({"unique_id": name, "ds": ds, "y": np.arange(float(len(ds)))}) for name, ds in series.items()]
    return pd.concat(parts, ignore_index=True)


def overdue(ds: pd.DatetimeIndex, now: str, rules: DateRules = NONE) -> tuple[int, int]:
    found = rows_overdue(frame_of(a=ds), rules, pd.Timestamp(now, tz="UTC")).loc["a"]
    return int(found["overdue"]), int(found["limit"])


@pytest.mark.parametrize(
    ("freq", "end", "now", "expected"),
    [
        ("D", "2024-03-10", "2024-03-11 09:00", 0),  # today's row comes tonight
        ("D", "2024-03-10", "2024-03-12 09:00", 1),
        ("D", "2024-03-10", "2027-02-08", 1064),
        ("B", "2024-03-08", "2024-03-11 09:00", 0),  # a weekend
        ("B", "2024-03-08", "2024-03-19 09:00", 6),
        ("W-SUN", "2024-03-10", "2024-03-20", 0),
        ("W-SUN", "2024-03-10", "2024-04-02", 2),
        ("MS", "2024-01-01", "2024-02-29", 0),
        ("MS", "2024-01-01", "2024-06-02", 4),
        ("ME", "2024-01-31", "2024-06-02", 3),
        ("QE", "2024-03-31", "2025-04-02", 3),
        ("YS", "1990-01-01", "2024-06-02", 33),
    ],
)
def test_rows_are_overdue_by_the_calendar_of_the_series(freq: str, end: str, now: str, expected: int) -> None:
    assert overdue(pd.date_range(end=end, periods=60, freq=freq), now) == (expected, 5)


def test_rows_that_come_often_are_due_within_three_days() -> None:
    ds = pd.date_range("2024-01-01", periods=24 * 30, freq="h", tz="Europe/Berlin")
    last = ds[-1].tz_convert("UTC")
    assert overdue(ds, str((last + pd.Timedelta(hours=40)).tz_localize(None))) == (39, 72)


def test_hours_of_business_days_rest_over_the_weekend() -> None:
    days = pd.bdate_range("2024-01-01", "2024-03-08")
    ds = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(9, 17)])
    assert overdue(ds, "2024-03-11 09:30") == (0, 24)
    assert overdue(ds, "2024-03-12 09:30") == (8, 24)


def test_days_without_a_session_are_not_due() -> None:
    rules = DateRules(calendar="XNYS")
    ds = pd.bdate_range("2023-09-01", "2023-12-22")
    # Monday the 25th is a holiday.
    assert overdue(ds, "2023-12-27 09:00", rules) == (1, 5)
    assert overdue(ds, "2023-12-27 09:00") == (2, 5)


def test_rows_without_a_calendar_are_expected_after_their_longest_steps(rng: np.random.Generator) -> None:
    ds = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(1, 15, 200)), unit="D")
    found, _ = overdue(pd.DatetimeIndex(ds), str(ds[-1] + pd.Timedelta(days=29)))
    assert found == 1


def test_a_row_without_a_value_has_not_come() -> None:
    frame = frame_of(a=pd.date_range("2024-01-01", "2024-03-10"))
    frame.loc[frame.index[-20:], "y"] = np.nan
    found = rows_overdue(frame, NONE, pd.Timestamp("2024-03-11 09:00", tz="UTC"))
    assert found.loc["a", "overdue"] == 20


def test_dates_in_the_future_and_single_rows_are_not_overdue() -> None:
    frame = frame_of(a=pd.date_range("2024-01-01", "2024-06-10"), b=pd.DatetimeIndex(["2020-01-01"]))
    found = rows_overdue(frame, NONE, pd.Timestamp("2024-03-11", tz="UTC"))
    assert found["overdue"].to_dict() == {"a": 0}
    assert rows_overdue(frame.tail(1), NONE, pd.Timestamp("2024-03-11", tz="UTC")).empty


def test_a_count_has_an_end() -> None:
    found, _ = overdue(pd.date_range("1990-01-01", periods=100, freq="min"), "2024-01-01")
    assert found == MOST


def ages(*rows: int) -> pd.DataFrame:
    last = pd.Timestamp("2024-03-10")
    names = [f"s{number}" for number in range(len(rows))]
    return pd.DataFrame({"last": last, "overdue": rows, "limit": 5}, index=pd.Index(names))


@pytest.mark.parametrize(
    ("rows", "is_stale", "late", "ended"),
    [
        ((5,), False, 0, 0),
        ((6,), True, 1, 0),
        ((1000,), True, 1, 0),
        ((0, 6), True, 1, 0),  # one of two meters is silent
        ((0, 51), False, 0, 1),  # it has been for long: it has ended
        ((1000, 2000), True, 2, 0),  # nothing goes on
        ((0,) * 30 + (6, 7), False, 2, 0),  # a few of many
        ((0,) * 30 + (6,) * 10, True, 10, 0),
        ((0,) * 3 + (1000,) * 30, False, 0, 30),
        ((8,) * 3 + (1000,) * 30, True, 3, 30),
    ],
)
def test_a_source_is_stale_if_what_goes_on_is_late(
    rows: tuple[int, ...], is_stale: bool, late: int, ended: int
) -> None:
    age = age_of(ages(*rows))
    assert (age.is_stale, age.late, age.ended) == (is_stale, late, ended)
    assert ("old data" in age.sentence) == is_stale


def test_the_sentence_names_what_is_old() -> None:
    assert age_of(ages(1064)).sentence == "old data: the last row is of 2024-03-10, 1,064 are overdue"
    many = age_of(ages(0, 0, *[90] * 4)).sentence
    assert many == "4 (s2, s3, s4, ...) of 6 series ended earlier"
    assert age_of(ages(0, 1)).sentence == ""


def test_many_series_that_end_together_are_counted_once() -> None:
    ds = pd.date_range("2020-01-01", "2024-03-10")
    frame = frame_of(**{f"s{number:03}": ds for number in range(200)}, late=ds[:-7])
    found = rows_overdue(frame, NONE, pd.Timestamp("2024-03-11 09:00", tz="UTC"))
    assert found["overdue"].drop("late").unique().tolist() == [0]
    assert found.loc["late", "overdue"] == 7

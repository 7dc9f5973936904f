from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.dates.rules import DateRules
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sources.source import SampleSource, Selection

HOURS = pd.date_range("2020-01-01", periods=2000, freq="h")
BUSINESS_DAYS = pd.date_range("2020-01-01", periods=400, freq="B")
SESSIONS = pd.DatetimeIndex(
    [day + pd.Timedelta(minutes=30 * half) for day in BUSINESS_DAYS[:100] for half in range(19, 32)]
)


def series(ds: pd.DatetimeIndex, unique_id: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"unique_id": unique_id, "ds": ds, "y": np.arange(float(len(ds))), "x": 1.0})


def regular(frame, *arguments):
    return regular_frame(validate_series(frame, "f"), *arguments)


@pytest.mark.parametrize(
    "ds",
    [
        HOURS,
        HOURS.tz_localize("UTC").tz_convert("Europe/Berlin"),
        pd.date_range("2020-03-01", periods=300, tz="Europe/Berlin"),
        BUSINESS_DAYS,
        pd.date_range("2020-01-05", periods=200, freq="W"),
        pd.date_range("2000-01-31", periods=150, freq="ME"),
        pd.date_range("2000-01-31", periods=150, freq="BME"),
        pd.date_range("2000-01-01", periods=150, freq="QS"),
        SESSIONS,
    ],
    ids=lambda ds: f"{ds.freqstr or 'sessions'}{'' if ds.tz is None else ' with a zone'}",
)
def test_rows_that_are_missing_are_put_in_and_no_others(ds, rng):
    whole = validate_series(series(ds), "f")
    found = regular(whole)
    assert (found.inserted, found.series, found.sparse) == (0, 0, ())
    gone = rng.choice(np.arange(1, len(ds) - 1), len(ds) // 10, replace=False)
    gone = np.union1d(gone, np.arange(60, 80))
    found = regular(whole.drop(index=gone))
    assert (found.inserted, found.series) == (len(gone), 1)
    assert pd.DatetimeIndex(found.frame["ds"]).equals(pd.DatetimeIndex(whole["ds"]))
    assert np.flatnonzero(found.frame["y"].isna()).tolist() == gone.tolist()
    assert found.frame["x"].isna().equals(found.frame["y"].isna())
    pd.testing.assert_frame_equal(found.frame.dropna(ignore_index=True), whole.drop(index=gone).reset_index(drop=True))


def test_a_complete_frame_is_returned_itself():
    frame = validate_series(series(HOURS), "f")
    assert regular_frame(frame).frame is frame


def test_each_series_is_put_on_its_own_calendar():
    days = series(pd.date_range("2020-01-01", periods=100).delete([10, 11]), "days")
    months = series(pd.date_range("2019-01-31", periods=40, freq="ME").delete(5), "months")
    found = regular(pd.concat([days, months, series(BUSINESS_DAYS[:1], "one")]))
    assert (found.inserted, found.series) == (3, 2)
    missing = found.frame[found.frame["y"].isna()]
    assert missing["unique_id"].tolist() == ["days", "days", "months"]
    assert missing["ds"].dt.strftime("%m-%d").tolist() == ["01-11", "01-12", "06-30"]


def test_bars_of_an_exchange_keep_their_rows():
    bars = SampleSource().read(Selection())
    frame = validate_series(bars[["unique_id", "ds"]].assign(y=bars["close"]), "f")
    assert regular_frame(frame).frame is frame


def test_rows_without_a_calendar_stay_as_they_are(rng):
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 10**7, 500)), unit="s")
    assert regular(series(moments.unique())).inserted == 0


def test_a_calendar_of_many_more_rows_is_not_filled(rng):
    days = pd.date_range("2000-01-01", periods=5000)
    rare = np.sort(rng.choice(5000, 300, replace=False))
    found = regular(pd.concat([series(days[rare], "rare"), series(days[:100].delete(7), "usual")]))
    assert found.sparse == ("rare",)
    assert found.inserted == 1
    far = days[:50].append(pd.DatetimeIndex(["2200-01-01"]))
    assert regular(series(far)).sparse == ("a",)


def test_days_that_a_series_had_not_yet_are_not_missing():
    days = pd.date_range("2018-01-01", periods=1000)
    weekday = days.day_of_week
    opened = days[(weekday < 5) | ((weekday == 5) & (days > "2020-07-01"))]
    assert regular(series(opened)).inserted == 0
    assert regular(series(opened.delete([100, len(opened) - 5]))).inserted == 2


def test_a_row_near_its_date_stands_for_it():
    ds = pd.date_range("2020-01-01", periods=60, freq="D").to_series()
    ds.iloc[30] += pd.Timedelta(hours=5)
    assert regular(series(pd.DatetimeIndex(ds))).inserted == 0
    hours = HOURS[:200].to_series()
    hours.iloc[50] += pd.Timedelta(minutes=10)
    assert regular(series(pd.DatetimeIndex(hours))).inserted == 0


def test_a_person_may_say_what_the_calendar_is():
    days = pd.date_range("2020-01-01", periods=100)
    without_sundays = days[days.day_of_week != 6]
    assert regular(series(without_sundays), DateRules(freq="D")).inserted == (days.day_of_week == 6).sum() - (
        days[-1].day_of_week == 6
    )


def test_a_schedule_from_before_holds_where_rows_are_few():
    few = series(pd.DatetimeIndex(["2020-01-03", "2020-01-07", "2020-01-08"]))
    schedules = [DateRules(freq="B").schedule_of(np.zeros(2, np.int64))]
    found = regular(few, DateRules(), schedules, {"a": 0})
    assert found.frame["ds"].dt.day.tolist() == [3, 6, 7, 8]

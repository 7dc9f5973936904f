from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.quality.inspection import inspect
from gatecast.data.quality.overview import overview, problems_in_words, sparkline
from gatecast.data.quality.validation import sentence
from tests.data.frames import make_bars, make_series


def new_york_bars(rows: int = 60) -> pd.DataFrame:
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start="2020-01-01", end="2020-12-31")
    return make_bars(rows=rows).assign(ds=calendar.sessions[:rows])


def test_good_bars_have_no_problem():
    assert inspect(new_york_bars(), "XNYS").empty


def test_gaps_are_found_with_their_length():
    bars = new_york_bars().drop(index=[10, 20, 21, 22])
    problems = inspect(bars, "XNYS")
    assert [sentence(problem) for _, problem in problems.iterrows()] == [
        f"A: ds is {new_york_bars()['ds'][10].date()}, a session of XNYS without a row",
        f"A: ds is {new_york_bars()['ds'][20].date()}, the first of 3 sessions of XNYS without a row",
    ]


def test_a_row_on_a_holiday_is_found():
    bars = make_bars(rows=30, start="2020-01-02")
    problems = inspect(bars, "XNYS")
    assert problems["rule"].tolist() == ["no session"]
    assert problems["ds"].tolist() == [pd.Timestamp("2020-01-20")]


def at(ds: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame({"unique_id": "A", "ds": ds, "y": np.arange(len(ds), dtype=float)})


def test_a_hole_is_found_without_a_calendar():
    days = pd.date_range("2020-01-01", periods=200)
    problems = inspect(at(days.delete(slice(41, 91)).tz_localize("Europe/Berlin")))
    assert problems["severity"].tolist() == ["warning"]
    assert sentence(problems.iloc[0]) == "A: ds is 2020-02-11, the first of 50 days without a row, until 2020-03-31"


def test_a_hole_between_hours_is_counted_in_hours():
    hours = pd.date_range("2020-01-01", periods=500, freq="h")
    assert sentence(inspect(at(hours.delete(slice(100, 130)))).iloc[0]) == (
        "A: ds is 2020-01-05 04:00:00, the first of 30 hourly times without a row, until 2020-01-06 09:00:00"
    )


@pytest.mark.parametrize("minutes", [1, 15, 60])
def test_nights_are_no_holes_but_weeks_are(minutes):
    days = pd.bdate_range("2020-01-01", periods=60)
    times = pd.timedelta_range("09:30:00", "16:00:00", freq=f"{minutes}min")
    ds = pd.DatetimeIndex([day + time for day in days for time in times]).tz_localize("America/New_York")
    assert inspect(at(ds)).empty
    outside = (ds < pd.Timestamp("2020-02-03", tz=ds.tz)) | (ds >= pd.Timestamp("2020-02-24", tz=ds.tz))
    assert inspect(at(ds[outside]))["problem"].tolist() == ["the first of 23 days without a row, until 2020-02-23"]


@pytest.mark.parametrize(
    "ds",
    [
        pd.bdate_range("2020-01-01", periods=100).delete(slice(16, 23)),  # the new year of China, two weekends with it
        pd.date_range("2020-01-01", periods=100).delete(slice(50, 59)),
        pd.date_range("2000-01-01", periods=100, freq="BME").delete(slice(50, 59)),
        pd.DatetimeIndex(np.cumsum(np.resize([1, 1, 30], 90)).astype("datetime64[D]")),
    ],
    ids=["weekends", "nine days", "nine months", "pauses every month"],
)
def test_what_is_not_much_longer_than_the_usual_step_is_no_hole(ds):
    assert inspect(at(ds)).empty


def test_an_outlier_stands_against_both_neighbours_and_a_step_does_not():
    bars = new_york_bars()
    bars.loc[30, "high"] *= 3
    bars.loc[40:, ["open", "high", "low", "close"]] *= 0.5
    problems = inspect(bars)
    assert problems[["rule", "column", "ds"]].to_numpy().tolist() == [["outlier", "high", bars["ds"][30]]]
    assert "away from its neighbours" in problems["problem"].iloc[0]


def test_the_last_row_can_be_an_outlier():
    bars = new_york_bars()
    bars.loc[59, "close"] *= 0.01
    assert inspect(bars)["column"].tolist() == ["close"]


def test_missing_volume_is_found_unless_there_never_is_any():
    bars = new_york_bars()
    bars.loc[7, "volume"] = 0
    assert inspect(bars)["rule"].tolist() == ["no volume"]
    assert inspect(bars.assign(volume=0.0)).empty


def test_a_series_may_go_below_zero(rng):
    frame = make_series({"a": 200}).assign(y=rng.normal(size=200))
    frame.loc[100, "y"] = 500.0
    assert inspect(frame)["column"].tolist() == ["y"]


def test_a_rough_series_is_not_full_of_outliers(rng):
    frame = make_series({"a": 400}).assign(y=(rng.random(400) < 0.1) * rng.lognormal(size=400) * 100)
    assert len(inspect(frame)) <= 2


def test_an_overview_has_a_record_for_each_series():
    bars = pd.concat([new_york_bars().drop(index=10), new_york_bars().assign(unique_id="B")], ignore_index=True)
    records, problems = overview(bars, {"A": "XNYS"})
    assert [(record["unique_id"], record["rows"], record["gaps"]) for record in records] == [("A", 59, 1), ("B", 60, 0)]
    assert len(problems) == 1
    assert problems_in_words(records[0]) == "1 gap in XNYS"
    assert records[1]["calendar"] == "XNYS"  # found by its holidays


def test_an_overview_counts_holes_where_no_calendar_is_known():
    records, _ = overview(at(pd.date_range("2020-01-01", periods=200).delete(slice(41, 91))))
    assert problems_in_words(records[0]) == "1 gap"


def test_a_sparkline_runs_from_the_lowest_to_the_highest():
    assert sparkline(np.arange(8.0), width=8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.ones(5)) == "▁▁▁▁▁"
    assert len(sparkline(np.arange(1000.0))) == 12

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.quality.inspection import inspect
from gatecast.data.quality.overview import overview, problems_in_words, sparkline
from gatecast.data.quality.validation import sentence
from gatecast.data.sources.source import SampleSource
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


WEEKDAYS = pd.bdate_range("2020-01-01", periods=100)
DAYS = pd.date_range("2020-01-01", periods=400)
MINUTES = pd.date_range("2020-01-01", periods=20_000, freq="min")
HOURS = pd.date_range("2020-01-01", periods=2_000, freq="h")


@pytest.mark.parametrize(
    ("ds", "problem"),
    [
        (HOURS[:200].delete(slice(100, 109)), "the first of 9 hourly times without a row, until 2020-01-05 12:00:00"),
        (MINUTES.delete(slice(1000, 1540)), "the first of 540 1-minute times without a row, until 2020-01-02 01:39:00"),
        (DAYS.delete(slice(50, 59)), "the first of 9 days without a row, until 2020-02-28"),
        (DAYS[DAYS.day_of_week < 6].delete(slice(50, 59)), "the first of 11 days without a row, until 2020-03-09"),
        (DAYS[(DAYS.day_of_week < 4) | (DAYS.day_of_week == 6)].delete(slice(50, 56)), "the first of 8 days"),
        (WEEKDAYS.delete(slice(16, 25)), "the first of 13 days without a row, until 2020-02-04"),
        (pd.date_range("2000-01-01", periods=200, freq="W").delete(slice(50, 58)), "where rows are weekly"),
        (pd.date_range("2000-01-01", periods=200, freq="MS").delete(slice(50, 53)), "where rows are monthly"),
        (pd.date_range("2000-01-01", periods=100, freq="BME").delete(slice(50, 53)), "where rows are monthly"),
        (pd.date_range("2000-01-01", periods=60, freq="QS").delete(slice(30, 33)), "where rows are quarterly"),
    ],
    ids=[
        "hours", "minutes", "days", "closed on Sundays", "closed on Fridays and Saturdays", "weekdays", "weeks",
        "months", "ends of months", "quarters",
    ],
)  # fmt: skip
def test_a_hole_is_found_at_any_spacing(ds, problem):
    problems = inspect(at(ds))
    assert problems["rule"].tolist() == ["gap"]
    assert problem in problems["problem"].iloc[0]


def chosen(times: pd.DatetimeIndex, share: float) -> pd.DatetimeIndex:
    return times[np.random.default_rng(0).random(len(times)) < share]


@pytest.mark.parametrize(
    "ds",
    [
        WEEKDAYS.delete(slice(16, 23)),  # the new year of China, two weekends with it
        pd.DatetimeIndex(np.cumsum(np.resize([1, 1, 30], 90)).astype("datetime64[D]")),
        HOURS[(HOURS.hour > 8) & (HOURS.hour < 18)],
        HOURS[:48][(HOURS[:48].hour > 8) & (HOURS[:48].hour < 18)],
        HOURS[(HOURS.day_of_week < 5) | ((HOURS.day_of_week == 6) & (HOURS.hour > 21))],
        MINUTES[((MINUTES.hour == 10) | (MINUTES.hour == 13)) & (MINUTES.day_of_week < 5)],
        DAYS[(DAYS.day_of_week < 6) & ~DAYS.normalize().isin(pd.to_datetime(["2020-12-25", "2020-12-26"]))],
        chosen(pd.date_range("2020-01-01", periods=2000), 0.5),
        chosen(pd.date_range("2020-01-01", periods=2000), 0.8),
        chosen(pd.date_range("2020-01-01", periods=90_000, freq="min"), 0.03),
    ],
    ids=[
        "weekends", "pauses every month", "nights", "one night", "currencies", "lunch", "holidays", "days with sales",
        "most days", "events",
    ],
)  # fmt: skip
def test_pauses_that_are_usual_for_a_series_are_no_holes(ds):
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


def test_days_in_another_unit_are_found():
    bars = new_york_bars(200)
    prices = ["open", "high", "low", "close"]
    bars.loc[[50, 80, 120, 160], prices] /= 100
    problems = inspect(bars)
    assert problems["rule"].tolist() == ["scale"] * 4
    assert problems["ds"].tolist() == bars["ds"][[50, 80, 120, 160]].tolist()
    assert "times smaller than the rows around it; see whether it is in another unit" in problems["problem"].iloc[0]


@pytest.mark.parametrize("noise", [0.001, 0.05, 0.2])
@pytest.mark.parametrize("factor", [0.01, 100.0])
@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (slice(100, 104), "the first of 4 rows that are about"),
        (slice(100, 160), "the first of 60 rows that are about"),
        (slice(300, 400), "than those before; see whether the unit has changed"),
        (slice(40, 400), "the first of 360 rows"),
    ],
)
def test_rows_in_another_unit_are_found(rng, rows, text, factor, noise):
    y = 500 * np.exp(rng.normal(0, noise, 400))
    y[rows] *= factor
    problems = inspect(at(DAYS).assign(y=y))
    assert problems[problems["rule"] == "scale"]["ds"].tolist() == [DAYS[rows.start]]
    assert text in problems[problems["rule"] == "scale"]["problem"].iloc[0]


def test_returns_that_turn_from_percent_into_shares_are_found(rng):
    days = pd.date_range("2020-01-01", periods=800)
    y = rng.normal(size=800)
    y[500:] /= 100
    assert inspect(at(days).assign(y=y))[["rule", "ds"]].to_numpy().tolist() == [["scale", days[500]]]


def test_a_lasting_fall_is_found_where_nights_are_low_too(rng):
    y = np.where(HOURS.hour < 7, 1, 300) * np.exp(rng.normal(0, 0.1, 2000))
    y[1000:] /= 100
    problems = inspect(at(HOURS).assign(y=y))
    assert problems["rule"].tolist() == ["scale"]
    assert abs(problems["ds"].iloc[0] - HOURS[1000]) < pd.Timedelta(days=1)


def usual_series() -> dict[str, tuple[pd.DatetimeIndex, np.ndarray]]:
    rng = np.random.default_rng(0)
    days = pd.date_range("2010-01-01", periods=2000)
    noise = np.exp(rng.normal(0, 0.1, 2000))
    walk = np.cumsum(rng.normal(size=2000))
    return {
        "random walk": (days, walk),
        "random walk above zero": (days, walk - walk.min() + 0.01),
        "random walk away from zero": (days, np.abs(walk)),
        "prices": (days, np.exp(0.03 * walk)),
        "noise": (days, rng.normal(size=2000)),
        "wide noise": (days, rng.lognormal(0, 2, 2000)),
        "sales now and then": (days, (rng.random(2000) < 0.2) * rng.lognormal(1, 1, 2000)),
        "few sales": (days, rng.poisson(0.3, 2000)),
        "low nights": (HOURS, np.where(HOURS.hour < 7, 1, 300) * noise),
        "nights without": (HOURS, np.where(HOURS.hour < 7, 0, 300) * noise),
        "two days of hours": (HOURS[:48], (np.where(HOURS.hour < 7, 1, 300) * noise)[:48]),
        "low nights by the minute": (MINUTES, np.where(MINUTES.hour < 7, 1, 300) * np.resize(noise, 20_000)),
        "low weekends": (days, np.where(days.day_of_week > 4, 5, 300) * noise),
        "a step to half": (days, np.where(np.arange(2000) < 1000, 300, 150) * noise),
    }


@pytest.mark.parametrize("name", usual_series())
def test_what_is_usual_for_a_series_is_no_change_of_scale(name):
    ds, y = usual_series()[name]
    problems = inspect(at(ds).assign(y=np.asarray(y, float)))
    assert problems[problems["rule"] != "outlier"].empty


def test_the_sample_has_no_gap_and_no_change_of_scale():
    _, problems = overview(SampleSource().check().rows)
    assert set(problems["rule"]) <= {"no volume"}


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

"""The next dates of series with closed days, hours and months with several rows, whatever rows are missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatecast.data.dates.periods import infer_schedule, next_dates
from gatecast.data.dates.schedules import Plain, from_dict

AHEAD = 8


def every(freq: str, weeks: int, first: str = "2023-01-02", timezone: str | None = None) -> pd.DatetimeIndex:
    last = pd.Timestamp(first) + pd.Timedelta(weeks=weeks)
    return pd.date_range(first, last, freq=freq, tz=timezone, inclusive="left").as_unit("ns")


def on(ds: pd.DatetimeIndex, *days: int) -> pd.DatetimeIndex:
    return ds[ds.day_of_week.isin(days)]


def between(ds: pd.DatetimeIndex, first: str, last: str) -> pd.DatetimeIndex:
    return ds[ds.indexer_between_time(first, last)]


def goes_on(ds: pd.DatetimeIndex, known: int, *without: int) -> bool:
    """Tell whether the dates that follow the first `known` are the true ones, where some rows are missing."""
    return next_dates(ds[:known].delete(list(without)), AHEAD).equals(ds[known : known + AHEAD])


WEEKDAYS = (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("ds", "found"),
    [
        (on(every("D", 12), 0, 1, 2, 3, 4, 5), "Monday to Saturday"),
        (on(every("D", 12), 6, 0, 1, 2, 3), "Sunday to Thursday"),
        (on(every("D", 12), 1, 2, 3, 4, 5, 6), "Tuesday to Sunday"),
        (on(every("D", 20), 1, 3), "Tuesday and Thursday"),
        (on(every("D", 20), 0, 2, 5), "Monday, Wednesday and Saturday"),
        (every("D", 12), "every day"),
        (every("2D", 12), "every 2 days"),
        (every("W-FRI", 40), "weekly, Friday"),
        (between(on(every("30min", 6), *WEEKDAYS), "9:30", "15:30"), "half hours 9:30–15:30 on weekdays"),
        (between(every("h", 6), "8:00", "19:00"), "hours 8:00–19:00 every day"),
        (on(every("2h", 8), 1, 3), "every 2 hours 0:00–22:00 on Tuesday and Thursday"),
        (on(every("h", 8), *WEEKDAYS), "hours 0:00–23:00 on weekdays"),
        (every("h", 4), "every hour"),
        (between(every("9h", 9), "0:00", "23:59"), "every 9 hours"),
        (pd.date_range("2020-01-31", periods=40, freq="SME").as_unit("ns"), "15th and last day of the month"),
        (pd.date_range("2020-01-01", periods=40, freq="SMS").as_unit("ns"), "first day and 15th of the month"),
        (pd.date_range("2020-01-01", periods=40, freq="BMS").as_unit("ns"), "first business day of the month"),
        (pd.date_range("2020-01-01", periods=40, freq="WOM-3FRI").as_unit("ns"), "third Friday of the month"),
        (pd.date_range("2010-01-01", periods=40, freq="QE").as_unit("ns"), "last day of a quarter"),
        (pd.date_range("2010-01-01", periods=40, freq="BQE").as_unit("ns"), "last business day of a quarter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_pattern_of_the_whole_series_goes_on(ds: pd.DatetimeIndex, found: str) -> None:
    known = len(ds) - AHEAD
    for end in range(known - 6, known + 1):
        assert goes_on(ds, end)
        assert goes_on(ds, end, 3, end // 2, end // 2 + 1)
    assert infer_schedule(ds).in_words() == found


def test_hours_keep_their_local_time_when_clocks_change() -> None:
    ds = between(on(every("30min", 30, "2023-06-05", "America/New_York"), *WEEKDAYS), "9:30", "15:30")
    change = int(ds.searchsorted(pd.Timestamp("2023-11-05", tz="America/New_York")))
    for known in (change - 5, change, change + 5):
        assert goes_on(ds, known)


def test_hours_in_utc_follow_the_clocks_of_their_exchange_after_some_weeks() -> None:
    ds = between(on(every("30min", 30, "2023-06-05", "America/New_York"), *WEEKDAYS), "9:30", "15:30")
    assert goes_on(ds.tz_convert("UTC"), int(ds.searchsorted(pd.Timestamp("2023-11-28", tz="America/New_York"))))


def test_a_shop_that_opens_on_sundays_from_now_on_is_open_on_sundays() -> None:
    days = every("D", 60)
    ds = days[(days.day_of_week < 6) | (days >= days[7 * 52])]
    assert goes_on(ds, len(ds) - AHEAD)


@pytest.mark.parametrize(("last", "following"), [("2023-12-21", "12-29"), ("2023-12-23", "12-29"), (None, "12-29")])
def test_a_week_that_a_holiday_moves_keeps_its_day(last: str | None, following: str) -> None:
    ds = pd.date_range("2023-06-02", "2023-12-22", freq="W-FRI").as_unit("ns")
    moved = ds[:-1].append(pd.DatetimeIndex([last]).as_unit("ns")) if last else ds
    assert next_dates(moved, 1).strftime("%m-%d").tolist() == [following]


def test_an_end_of_quarter_that_a_holiday_moves_is_that_quarter() -> None:
    ds = pd.date_range("2015-03-31", periods=20, freq="QE").as_unit("ns")
    moved = ds[:-1].append(ds[-1:] - pd.Timedelta(days=1))
    assert next_dates(moved, 2).strftime("%Y-%m-%d").tolist() == ["2020-03-31", "2020-06-30"]


def test_a_row_a_day_at_any_time_is_daily() -> None:
    ds = on(every("D", 12), 0, 1, 2, 3, 4, 5)
    moments = ds + pd.to_timedelta(np.random.default_rng(0).integers(0, 86_400, len(ds)), unit="s")
    assert infer_schedule(moments).in_words() == "Monday to Saturday"
    following = next_dates(moments, 7)
    assert following.normalize().equals(pd.date_range("2023-03-27", periods=8).delete(6).as_unit("ns"))
    assert following[0] - following[0].normalize() == moments[-1] - moments[-1].normalize()


def test_a_special_opening_opens_no_day() -> None:
    ds = on(every("D", 30), 0, 1, 2, 3, 4, 5)
    with_sundays = ds.append(ds[:0].append(pd.DatetimeIndex(["2023-04-02", "2023-05-14"]).as_unit("ns"))).sort_values()
    assert next_dates(with_sundays, 2).equals(next_dates(ds, 2))
    ends_on_sunday = ds[ds < "2023-05-14"].append(pd.DatetimeIndex(["2023-05-14"]).as_unit("ns"))
    assert next_dates(ends_on_sunday, 1)[0] == pd.Timestamp("2023-05-15")


def test_a_long_hole_hides_nothing() -> None:
    ds = between(on(every("h", 30), 0, 1, 2, 3, 4, 5), "9:00", "17:00")
    hole = np.flatnonzero((ds > "2023-02-15") & (ds < "2023-05-20"))
    assert goes_on(ds, len(ds) - AHEAD, *hole)


def test_a_sessions_holidays_are_those_of_its_exchange() -> None:
    days = every("D", 18, "2018-09-03").difference(pd.DatetimeIndex(["2018-11-22", "2018-12-05", "2018-12-25"]))
    hours = on(every("h", 18, "2018-09-03"), *WEEKDAYS)
    ds = between(hours[hours.normalize().isin(days)], "10:00", "15:00")
    ds = ds[(ds < "2019-01-01") & (ds.normalize() != pd.Timestamp("2018-09-03"))]
    assert infer_schedule(ds).in_words() == "hours 10:00–15:00 on weekdays of XNYS"
    assert next_dates(ds, 1)[0] == pd.Timestamp("2019-01-02 10:00")


@pytest.mark.parametrize(
    "ds",
    [
        on(every("D", 2), 0, 1, 2, 3, 4, 5)[:8],  # one Sunday without a row may be a hole
        between(every("h", 1), "9:00", "17:00")[:15],  # so may one night
        pd.DatetimeIndex(["2024-01-01 09:00", "2024-01-01 09:15", "2024-01-02 09:40", "2024-01-02 09:55"]),
        pd.DatetimeIndex(np.cumsum(np.random.default_rng(0).integers(1, 10**14, 200)).astype("datetime64[ns]")),
    ],
    ids=["days", "hours", "moments", "random"],
)
def test_too_little_evidence_is_the_plain_spacing(ds: pd.DatetimeIndex) -> None:
    assert isinstance(infer_schedule(ds), Plain)


@pytest.mark.parametrize(
    "ds", [on(every("D", 9), 1, 3), between(every("h", 4), "8:00", "19:00"), every("7h", 9), every("W-TUE", 60)]
)
def test_a_schedule_survives_json(ds: pd.DatetimeIndex) -> None:
    schedule = infer_schedule(ds)
    assert from_dict(schedule.to_dict()) == schedule


@pytest.mark.parametrize("state", [{}, {"kind": "plain", "step": 0}, {"kind": "weekly", "slots": []}, {"kind": "x"}])
def test_what_is_no_schedule_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        from_dict(state)


@st.composite
def calendars(draw: st.DrawFn) -> tuple[pd.DatetimeIndex, int, np.ndarray]:
    """Draw the dates of open days and hours, how many of them are known, and which of those have a row."""
    step = draw(st.sampled_from(["D", "2h", "h", "30min"]))
    days = draw(st.lists(st.integers(0, 6), min_size=1, unique=True))
    ds = on(every(step, 52 if step == "D" else 26), *days)
    if step != "D":
        a_day = len(every(step, 1)) // 7
        opens = draw(st.integers(0, a_day - 3))
        closes = draw(st.integers(opens + 2, a_day))
        early = draw(st.sampled_from([*days, None]))  # closes earlier on this day
        place = ((ds - ds.normalize()) / pd.Timedelta(days=1) * a_day).to_numpy().round().astype(int)
        until = np.where(ds.day_of_week == -1 if early is None else ds.day_of_week == early, closes - 1, closes)
        ds = ds[(place >= opens) & (place < until)]
    known = draw(st.integers(len(ds) * 2 // 3, len(ds) - AHEAD))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has_row = rng.random(known) >= draw(st.sampled_from([0.0, 0.03, 0.1]))
    has_row[-1] = True
    if draw(st.booleans()):  # weeks without any row
        first = draw(st.integers(0, known // 2))
        has_row[first : first + known // 5] = False
    return ds, known, has_row


@given(calendars())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_next_dates_of_any_open_days_and_hours_are_the_true_ones(
    calendar: tuple[pd.DatetimeIndex, int, np.ndarray],
) -> None:
    ds, known, has_row = calendar
    assert next_dates(ds[:known][has_row], AHEAD).equals(ds[known : known + AHEAD])

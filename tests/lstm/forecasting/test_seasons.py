from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.seasons import find_seasons, given_seasons, usual_periods


def panel_of(*series: np.ndarray, freq: str | None = None, train_end=None) -> Panel:
    """Series that end together, with numbers for dates unless there is a frequency."""
    longest = max(map(len, series))
    ds = pd.date_range("2015-01-01", periods=longest, freq=freq) if freq else np.arange(longest)
    frames = [
        pd.DataFrame({"unique_id": f"s{number}", "ds": ds[longest - len(y) :], "y": y})
        for number, y in enumerate(series)
    ]
    return Panel.of_frame(pd.concat(frames, ignore_index=True), train_end)


def pattern(rng: np.random.Generator, period: int, rows: int) -> np.ndarray:
    return rng.normal(size=period)[np.arange(rows) % period]


def autoregression(rng: np.random.Generator, rows: int, coefficient: float) -> np.ndarray:
    y = rng.normal(size=rows)
    for t in range(1, rows):
        y[t] += coefficient * y[t - 1]
    return y


@pytest.mark.parametrize("freq", ["h", "D", "B", None])
@pytest.mark.parametrize("rows", [100, 700])
def test_nothing_is_found_where_there_is_nothing(freq, rows):
    """Twenty of each kind, of which not one has a season by chance."""
    rng = np.random.default_rng(0)
    kinds = {
        "white noise": lambda: rng.normal(size=rows),
        "random walk": lambda: rng.normal(size=rows).cumsum(),
        "trend": lambda: 0.1 * np.arange(rows) + rng.normal(size=rows),
        "autoregression": lambda: autoregression(rng, rows, 0.8),
        "heavy tails": lambda: rng.standard_t(2, size=rows),
        "step": lambda: rng.normal(size=rows) + 10 * (np.arange(rows) > rows / 2),
        "intermittent": lambda: (rng.random(rows) < 0.15) * rng.poisson(4, rows),
    }
    found = {
        name: [find_seasons(panel_of(make(), freq=freq)).periods for _ in range(20)] for name, make in kinds.items()
    }
    assert {name: [periods for periods in each if periods] for name, each in found.items()} == {
        name: [] for name in kinds
    }


@pytest.mark.parametrize(
    "y", [np.zeros(400), np.full(400, 3.3), 0.7 * np.arange(400) + 5], ids=["zeros", "level", "line"]
)
def test_what_has_no_noise_has_no_season_in_its_rounding(y):
    assert find_seasons(panel_of(y)).periods == ()


@pytest.mark.parametrize(
    ("freq", "period"), [("h", 24), ("D", 7), ("W", 52), ("MS", 12), ("QS", 4), ("B", 5), ("30min", 48)]
)
def test_the_season_of_each_frequency_is_found(freq, period, rng):
    y = pattern(rng, period, 9 * period) + 0.4 * rng.normal(size=9 * period)
    seasons = find_seasons(panel_of(y, freq=freq))
    assert seasons.periods[:1] == (period,)
    assert f"Season of {period} rows (autocorrelation 0." in seasons.sentence


@pytest.mark.parametrize("period", [4, 7, 12, 24, 52, 168])
@pytest.mark.parametrize("shape", ["pattern", "sine"])
@pytest.mark.parametrize("trend", ["none", "line", "random walk", "outliers"])
def test_without_dates_the_period_is_told_from_all_usual_ones(period, shape, trend):
    rng = np.random.default_rng(period)
    t = np.arange(1500)
    season = pattern(rng, period, 1500) if shape == "pattern" else np.sin(2 * np.pi * t / period)
    y = season + 0.3 * rng.normal(size=1500)
    if trend == "line":
        y += 0.05 * t
    elif trend == "random walk":
        y += 0.1 * rng.normal(size=1500).cumsum()
    elif trend == "outliers":
        y[rng.random(1500) < 0.02] += 50
    assert find_seasons(panel_of(y)).periods == (period,)


@pytest.mark.parametrize("period", [10, 11, 30])
def test_a_period_that_is_not_among_the_usual_ones_is_not_taken_for_one(period):
    rng = np.random.default_rng(period)
    y = pattern(rng, period, 900) + 0.3 * rng.normal(size=900)
    assert find_seasons(panel_of(y)).periods == ()


def test_a_week_is_found_beside_a_day_only_where_there_is_one(rng):
    rows = 24 * 7 * 10
    day, noise = pattern(rng, 24, rows), 0.3 * rng.normal(size=rows)
    weekend = np.where(np.arange(rows) // 24 % 7 >= 5, 0.2, 1.0)
    assert find_seasons(panel_of(day + noise, freq="h")).periods == (24,)
    assert find_seasons(panel_of(day * weekend + noise, freq="h")).periods == (24, 168)
    growing = day * np.linspace(1, 3, rows)
    assert find_seasons(panel_of(growing + noise, freq="h")).periods == (24,)


def test_series_too_noisy_to_show_a_season_alone_show_it_together(rng):
    series = [np.roll(pattern(rng, 4, 64), number) + 1.7 * rng.normal(size=64) for number in range(60)]
    assert sum(find_seasons(panel_of(y, freq="QS")).periods == (4,) for y in series) < 30
    assert find_seasons(panel_of(*series, freq="QS")).periods == (4,)


def test_copies_of_one_series_show_no_more_than_it_does(rng):
    """Sixty equal random series are one piece of evidence, however many they are."""
    found = 0
    for _ in range(30):
        y = autoregression(rng, 80, 0.5)
        found += bool(find_seasons(panel_of(*[y] * 60, freq="QS")).periods)
    assert found <= 1


def test_only_training_rows_are_looked_at(rng):
    y = np.concatenate([rng.normal(size=300), 20 * pattern(rng, 7, 300)])
    ds = pd.date_range("2015-01-01", periods=600)
    assert find_seasons(panel_of(y, freq="D", train_end=ds[299])).periods == ()
    assert find_seasons(panel_of(y[::-1].copy(), freq="D", train_end=ds[299])).periods == (7,)


def test_a_missing_value_hides_no_season(rng):
    y = pattern(rng, 7, 300) + 0.2 * rng.normal(size=300)
    y[rng.random(300) < 0.05] = np.nan
    assert find_seasons(panel_of(y, freq="D")).periods == (7,)


@pytest.mark.parametrize(
    ("freq", "rows", "periods"),
    [
        ("h", 1000, (24, 168)),
        ("min", 40_000, (60, 1440, 10080)),
        ("15min", 5000, (4, 96, 672)),
        ("6h", 500, (4, 28)),
        ("D", 2000, (7, 365)),
        ("B", 2000, (5, 261)),
        ("W", 500, (52,)),
        ("MS", 100, (12,)),
        ("ME", 100, (12,)),
        ("QE", 50, (4,)),
        ("YS", 50, ()),
        ("2D", 900, (183,)),
    ],
)
def test_usual_periods_are_what_falls_into_a_calendar_unit(freq, rows, periods):
    assert usual_periods(panel_of(np.zeros(rows), freq=freq)) == periods


def test_bars_of_an_exchange_have_a_day_of_as_many_as_it_is_open_for():
    days = pd.bdate_range("2024-01-01", periods=200)
    ds = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(9, 16)])
    frame = pd.DataFrame({"unique_id": "x", "ds": ds.tz_localize("America/New_York"), "y": 0.0})
    assert usual_periods(Panel.of_frame(frame)) == (7, 35)


def test_too_few_rows_for_any_season_are_told():
    assert find_seasons(panel_of(np.arange(11.0))).sentence == (
        "No season was looked for, since no series has three of one in its training rows."
    )
    assert find_seasons(panel_of(np.arange(60.0), freq="YS")).sentence == (
        "No season was looked for, since their spacing has no usual one."
    )


def test_a_season_that_is_set_is_taken_as_it_is(rng):
    seasons = given_seasons((24, 168), panel_of(rng.normal(size=400)))
    assert seasons.periods == (24, 168)
    assert seasons.main == 24
    assert seasons.sentence == "Season of 24 and 168 rows, as set."
    assert given_seasons((), panel_of(rng.normal(size=400))).main == 1


def test_a_season_longer_than_the_series_is_told():
    longer = given_seasons((24, 500), panel_of(np.arange(300.0), np.arange(100.0)))
    assert longer.periods == (24,)
    assert longer.sentence == (
        "Season of 24 and 500 rows, as set. No series has a full season of 500 training rows, so it is of no use."
    )
    partly = given_seasons((200,), panel_of(np.arange(300.0), np.arange(100.0)))
    assert partly.periods == (200,)
    assert (
        partly.sentence == "Season of 200 rows, as set. There is no full season of 200 training rows in 1 of 2 series."
    )


@pytest.mark.parametrize("periods", [(1,), (0,), (-24,), (24, 24)])
def test_what_is_no_season_is_refused(periods):
    with pytest.raises(InputError, match="give"):
        given_seasons(periods, panel_of(np.arange(100.0)))

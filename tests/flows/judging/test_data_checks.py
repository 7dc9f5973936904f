from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from gatecast.data.sequences.latest import scale_frame
from gatecast.data.sequences.scaling import Scaler
from gatecast.flows.judging.checks import Check, Reference, constant_runs, rows_by_series
from gatecast.flows.judging.data_checks import check_data, check_features, check_stuck
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import RetrainSettings

SETTINGS = MonitorSettings()
EVERY = 14
"""Days from one monitor to the next"""


def weather(rng: np.random.Generator, days: int) -> np.ndarray:
    """Degrees with a summer, and with spells that last a week or two."""
    noise = rng.normal(size=days)
    spells = np.zeros(days)
    for day in range(1, days):
        spells[day] = 0.8 * spells[day - 1] + 2 * noise[day]
    return 10 + 10 * np.sin(2 * np.pi * np.arange(days) / 365.25) + spells


def warming(rng: np.random.Generator, days: int) -> np.ndarray:
    return weather(rng, days) + 2 * np.arange(days) / 365.25


def sales(rng: np.random.Generator, days: int) -> np.ndarray:
    """Growing, more in summer and at weekends."""
    time = np.arange(days)
    season = 1 + 0.3 * np.sin(2 * np.pi * time / 365.25) + 0.15 * (time % 7 >= 5)
    return (50 + 10 * time / 365.25) * season * np.exp(0.1 * rng.normal(size=days))


def noise(rng: np.random.Generator, days: int) -> np.ndarray:
    return rng.normal(size=days)


def frame_of(values: np.ndarray, freq: str = "D", name: str = "a") -> pd.DataFrame:
    return pd.DataFrame(
        {"unique_id": name, "ds": pd.date_range("2015-01-01", periods=len(values), freq=freq), "y": values}
    )


def reference_of(frame: pd.DataFrame) -> Reference:
    """What a version knows that was trained on these rows."""
    scalers = {
        str(name): Scaler.fit(rows[["y"]].to_numpy(), ("y",), "standard", str(name))
        for name, rows in frame.groupby("unique_id")
    }
    model = cast(Any, SimpleNamespace(columns=("y",), scalers=scalers))
    features = rows_by_series(scale_frame(frame, ("y",), scalers), ("y",))
    constant = {name: longest for name, (_, longest) in constant_runs(frame).items()}
    return Reference(model, RetrainSettings(), features, constant, pd.DataFrame(columns=["unique_id", "error"]))


def breached(reference: Reference, frame: pd.DataFrame) -> bool:
    return any(each.breached for each in check_features(reference, frame, SETTINGS))


@pytest.mark.parametrize("years", [1, 2.5, 5])
@pytest.mark.parametrize("kind", [weather, warming, sales, noise])
def test_an_untouched_year_raises_fewer_than_one_alarm(kind: Any, years: float) -> None:
    alarms = 0
    for seed in range(6):
        known = int(365.25 * years)
        frame = frame_of(kind(np.random.default_rng(seed), known + 365))
        reference = reference_of(frame.head(known))
        before = False
        for now in range(known + 1, len(frame) + 1, EVERY):
            found = breached(reference, frame.head(now))
            alarms += found and not before
            before = found
    assert alarms < 0.5 * 6


@pytest.mark.parametrize("years", [3, 5])
@pytest.mark.parametrize(("kind", "shift"), [(weather, 25), (weather, -25), (warming, 25), (sales, 80)])
def test_a_shift_is_found_at_every_season(kind: Any, shift: float, years: int) -> None:
    missed = []
    for seed in range(4):
        known = int(365.25 * years)
        frame = frame_of(kind(np.random.default_rng(100 + seed), known + 365))
        reference = reference_of(frame.head(known))
        for month in range(1, 13):
            now = known + 30 * month
            shifted = frame.head(now).copy()
            shifted.loc[shifted.index[-45:], "y"] += shift
            if not breached(reference, shifted):
                missed.append((seed, month))
    assert missed == []


def test_winter_is_compared_with_winters() -> None:
    known = 4 * 365
    frame = frame_of(weather(np.random.default_rng(1), known + 274 + 15))  # in the middle of the winter
    reference = reference_of(frame.head(known))
    drift, level = check_features(reference, frame, SETTINGS)
    for each in (drift, level):
        assert not each.breached
        assert each.note.endswith("less those of the same season (year) before")
    shifted = frame.assign(y=frame["y"] + 18 * (frame.index >= len(frame) - 50))
    # Such days come every summer, so that there is nothing to be seen without the season.
    assert shifted["y"].tail(50).max() < frame["y"].head(known).max()
    _, level = check_features(reference, shifted, SETTINGS)
    assert level.breached


def load(rng: np.random.Generator, hours: int) -> np.ndarray:
    """Electricity: less at night and at weekends."""
    time = np.arange(hours)
    hour = time % 24
    is_weekend = time // 24 % 7 >= 5
    return 100 + 30 * np.sin(2 * np.pi * (hour - 6) / 24) - 40 * is_weekend + 3 * rng.normal(size=hours)


def test_hours_are_compared_with_the_same_hours_of_the_week() -> None:
    known = 24 * 7 * 20
    alarms = 0
    for seed in range(4):
        frame = frame_of(load(np.random.default_rng(seed), known + 24 * 14), "h")
        reference = reference_of(frame.head(known))
        for now in range(known + 6, len(frame), 18):
            present = frame.head(now)
            alarms += breached(reference, present)
            # As if it were a weekend: nothing that has not been there before.
            shifted = present.assign(y=present["y"] - 40 * (present.index >= now - 60))
            checks = list(check_features(reference, shifted, SETTINGS))
            assert any(each.breached for each in checks)
            assert "(week)" in checks[0].note
    assert alarms <= 2


def test_one_series_of_many_that_shifts_is_named() -> None:
    frame = pd.concat(
        [frame_of(weather(np.random.default_rng(seed), 4 * 365), name=f"s{seed}") for seed in range(12)],
        ignore_index=True,
    )
    old = frame[frame["ds"] < frame["ds"].max() - pd.Timedelta(days=90)]
    reference = reference_of(old)
    _, level = check_features(reference, frame, SETTINGS)
    assert not level.breached
    is_new = (frame["unique_id"] == "s7") & (frame["ds"] > frame["ds"].max() - pd.Timedelta(days=45))
    _, level = check_features(reference, frame.assign(y=frame["y"] + 25 * is_new), SETTINGS)
    assert level.breached
    assert "of s7 " in level.note


def test_series_that_are_gone_or_new_are_not_compared() -> None:
    parts = [frame_of(weather(np.random.default_rng(seed), 3 * 365), name=f"s{seed}") for seed in range(3)]
    reference = reference_of(pd.concat(parts, ignore_index=True))
    present = pd.concat([parts[0], parts[1].assign(unique_id="new")], ignore_index=True)
    age = {"overdue": None, "limit": None, "is_stale": False, "sentence": ""}
    checks = {each.name: each for each in check_data(reference, present, age, SETTINGS)}
    assert set(checks) == {"age of data", "stuck values", "drift of y", "level of y"}
    assert not any(each.breached for each in checks.values())


# ---------------------------------------------------------------- a stuck meter


def stuck(values: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([values, np.full(rows, values[-1])])


def test_a_meter_is_stuck_if_it_repeats_itself_longer_than_ever(rng: np.random.Generator) -> None:
    values = rng.normal(size=300)
    values[50:54] = 1.5  # four in a row have been there
    reference = reference_of(frame_of(values))

    def check(rows: int) -> Check:
        return check_stuck(reference, frame_of(stuck(values, rows)))

    assert check(0).value == 1
    assert check(0).limit == 9
    assert not check(8).breached
    assert check(9).breached
    assert not check(9).retrain


def test_a_version_that_was_trained_on_stuck_rows_does_not_hide_them(rng: np.random.Generator) -> None:
    values = stuck(rng.normal(size=300), 30)
    reference = reference_of(frame_of(values))
    assert check_stuck(reference, frame_of(stuck(values, 5))).breached


def test_zeros_are_usual_where_most_values_are_zero() -> None:
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = rng.poisson(0.2, 1000).astype(float)
        reference = reference_of(frame_of(values[:635]))
        alarms += any(check_stuck(reference, frame_of(values[:now])).breached for now in range(640, 1000, 20))
    assert alarms < 4


def test_one_of_a_few_meters_is_an_alarm_and_one_of_many_is_told(rng: np.random.Generator) -> None:
    def panel(series: int, rows: int) -> pd.DataFrame:
        parts = [frame_of(stuck(rng.normal(size=100), rows if k == 0 else 0), name=f"s{k:02}") for k in range(series)]
        return pd.concat(parts, ignore_index=True)

    few = check_stuck(reference_of(panel(3, 0)), panel(3, 30))
    assert few.breached
    assert few.note == "rows of s00 with the same value; 1 of 3 series are stuck"
    many = check_stuck(reference_of(panel(30, 0)), panel(30, 30))
    assert not many.breached
    assert "1 of 30 series" in many.note

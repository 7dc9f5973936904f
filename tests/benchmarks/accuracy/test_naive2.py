"""Naive2 gives what the competition's own R code does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy.datasets import load_tasks
from benchmarks.accuracy.naive2 import Naive2
from gatecast.lstm.forecasting.panel import Panel
from tests.benchmarks.accuracy.excerpts import hourly
from tests.benchmarks.accuracy.oracle import is_seasonal, naive2


def forecast(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(len(y)), "y": y})
    return Naive2(season).forecast(Panel.of_frame(frame), np.array([len(y) - 1]), horizon)[0]


@pytest.mark.parametrize(("rows", "season"), [(96, 24), (101, 24), (60, 7), (40, 4)])
def test_seasonal_series(rows, season):
    y = hourly(rows, seed=3, season=season)
    assert is_seasonal(y, season)
    expected = naive2(y, season, 2 * season)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(forecast(y, season, 2 * season), expected, rtol=1e-12)


def test_a_pure_season_is_continued():
    season = np.array([1.0, 2.0, 3.0, 2.0])
    np.testing.assert_allclose(forecast(np.tile(10 * season, 20), 4, 8), np.tile(10 * season, 2))


@pytest.mark.parametrize(
    "y",
    [hourly(71, seed=1), np.random.default_rng(0).uniform(1, 2, 200), np.full(100, 5.0)],
    ids=["short", "noise", "constant"],
)
def test_a_series_without_a_season_goes_on_with_its_last_value(y):
    np.testing.assert_array_equal(forecast(y, 24, 48), np.full(48, y[-1]))


def test_only_training_rows_tell_the_season(folder):
    (task,) = load_tasks(folder, ["m4_hourly"])
    y_hat = Naive2(24).forecast(task.panel, task.origins, task.horizon)
    for number, (rows, trained) in enumerate(task.panel.each()):
        np.testing.assert_allclose(y_hat[number], naive2(task.panel.y[rows][:trained], 24, 48), rtol=1e-12)

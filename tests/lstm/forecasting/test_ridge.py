from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.ridge import Ridge, filled_targets

WINDOW, HORIZON, ROWS, TRAINED = 6, 3, 90, 60


@pytest.fixture
def panel(rng) -> Panel:
    """Two autoregressions of very different size, the second shorter than the first."""
    parts = []
    for number, scale in enumerate((1.0, 1000.0)):
        y = rng.normal(size=ROWS)
        for t in range(2, ROWS):
            y[t] += 0.9 * y[t - 1] - 0.4 * y[t - 2]
        first = 20 * number
        parts.append(pd.DataFrame({"unique_id": number, "ds": range(first, ROWS), "y": scale * (5 + y[first:])}))
    return Panel.of_frame(pd.concat(parts, ignore_index=True), TRAINED - 1)


def windows(panel: Panel, first: int, last: int):
    """Scaled inputs and targets of windows whose first target row is `first` or later and last one before `last`."""
    x, y = [], []
    for rows, trained in panel.each():
        values = panel.y[rows]
        start = int(panel.ds[rows.start])
        for end in range(WINDOW, trained - HORIZON + 1):
            if first <= start + end and start + end + HORIZON <= last:
                scale = values[:trained].std()
                x.append((values[end - WINDOW : end - 1] - values[end - 1]) / scale)
                y.append((values[end : end + HORIZON] - values[end - 1]) / scale)
    return np.array(x), np.array(y)


def expected_of(panel: Panel, origins) -> np.ndarray:
    """The same from scikit-learn, with the penalty chosen by hand."""

    def fit(x, y, penalty):
        return SklearnRidge(alpha=penalty * len(x) * x.var(axis=0).mean()).fit(x, y)

    # The second series has 40 training rows, the first 60: a fifth of what they have beyond the window is held back.
    held_back = [10, 6]
    early, late = [], []
    for number in range(2):
        boundary = TRAINED - held_back[number]
        rows = slice(*panel.offsets[number : number + 2])
        one = Panel.of_frame(pd.DataFrame({"unique_id": 0, "ds": panel.ds[rows], "y": panel.y[rows]}), TRAINED - 1)
        early.append(windows(one, 0, boundary))
        late.append(windows(one, boundary, TRAINED))
    (x, y), (x_late, y_late) = (
        [np.concatenate(arrays) for arrays in zip(*part, strict=True)] for part in (early, late)
    )
    penalties = np.logspace(-6, 1, 15)
    errors = [np.sum((fit(x, y, penalty).predict(x_late) - y_late) ** 2) for penalty in penalties]
    model = fit(*windows(panel, 0, TRAINED), penalties[int(np.argmin(errors))])
    y_hat = []
    for origin in origins:
        rows = slice(*panel.offsets[panel.series[origin] : panel.series[origin] + 2])
        scale = panel.y[rows][: panel.trained[panel.series[origin]]].std()
        window = panel.y[origin + 1 - WINDOW : origin + 1]
        y_hat.append(window[-1] + scale * model.predict([(window[:-1] - window[-1]) / scale])[0])
    return np.array(y_hat)


def test_it_is_one_ridge_regression_of_all_series_with_the_penalty_of_the_held_back_rows(panel):
    origins = np.array([30, 59, 70, 80, 100, 140, 150])
    np.testing.assert_allclose(Ridge(WINDOW).forecast(panel, origins, HORIZON), expected_of(panel, origins), rtol=1e-7)


def test_a_series_younger_than_the_window_has_no_forecast(panel):
    y_hat = Ridge(WINDOW).forecast(panel, np.array([4, 5, 94, 95]), HORIZON)
    assert np.isnan(y_hat).all(axis=1).tolist() == [True, False, True, False]


def test_without_rows_to_choose_the_penalty_by_there_is_no_forecast(panel):
    assert np.isnan(Ridge(55).forecast(panel, np.array([80]), HORIZON)).all()


def test_a_line_is_continued():
    panel = Panel.of_frame(pd.DataFrame({"unique_id": "x", "ds": range(80), "y": 3.0 * np.arange(80) + 7}), 59)
    y_hat = Ridge(8).forecast(panel, np.array([60, 70]), 4)
    np.testing.assert_allclose(y_hat, 3.0 * (np.array([[60], [70]]) + np.arange(1, 5)) + 7, rtol=1e-4)


def test_fewer_windows_are_taken_where_there_are_too_many(panel):
    origins = np.array([70, 80, 140])
    all_of_them, some = (Ridge(WINDOW, most).forecast(panel, origins, HORIZON) for most in (1000, 40))
    assert np.abs(all_of_them / some - 1).max() < 0.2
    assert not np.array_equal(all_of_them, some)


def test_a_straight_line_goes_on(rng):
    """Its windows are all alike, so that there is nothing to regress on; noise of rounding must not be learnt."""
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=120), "y": np.arange(120.0)})
    panel = Panel.of_frame(frame, frame["ds"].iloc[80])
    y_hat = Ridge(8).forecast(panel, np.array([90, 110]), 2)
    assert y_hat == pytest.approx(np.array([[91, 92], [111, 112]]), abs=1e-6)


def test_missing_targets_lie_between_their_neighbours(rng):
    y = rng.normal(size=(200, 6))
    y[rng.random(y.shape) < 0.4] = np.nan
    y[0], y[1] = np.nan, 1.0
    filled, is_usable = filled_targets(y)
    places = np.arange(6)
    for window, found, usable in zip(y, filled, is_usable, strict=True):
        known = np.isfinite(window)
        assert usable == (known.sum() >= 3)
        if known.any():
            np.testing.assert_allclose(found, np.interp(places, places[known], window[known]), atol=1e-12)


def test_complete_targets_stay_as_they_are(rng):
    y = rng.normal(size=(5, 3))
    filled, is_usable = filled_targets(y)
    assert filled is y
    assert is_usable.all()

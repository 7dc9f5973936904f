from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.baselines import forecast
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.statistical import Statistical, statsforecast_is_installed

ROWS, TRAINED = 60, 48

needs_statsforecast = pytest.mark.skipif(
    not statsforecast_is_installed(), reason="statsforecast is not installed: pip install 'gatecast[baselines]'"
)


@pytest.fixture
def frame(rng) -> pd.DataFrame:
    """A season of 4 with a little noise, a constant, and a series with too few training rows."""
    season = np.array([3.0, -1.0, 4.0, 1.5])[np.arange(ROWS) % 4] + 0.1 * rng.normal(size=ROWS)
    parts = {"season": season, "constant": np.full(ROWS, 2.5), "young": rng.normal(size=ROWS)}
    frames = [pd.DataFrame({"unique_id": name, "ds": range(ROWS), "y": y}) for name, y in parts.items()]
    frame = pd.concat(frames, ignore_index=True)
    return frame[(frame["unique_id"] != "young") | (frame["ds"] >= 42)]


@needs_statsforecast
@pytest.mark.parametrize("model", ["AutoETS", "AutoTheta"])
def test_a_season_is_continued_from_every_origin(frame, model):
    panel = Panel.of_frame(frame, TRAINED - 1)
    baseline = Statistical(model, season=4)
    y_hat = baseline.forecast(panel, np.array([TRAINED - 1, 53]), 4)
    expected = [[3.0, -1.0, 4.0, 1.5], [4.0, 1.5, 3.0, -1.0]]
    np.testing.assert_allclose(y_hat, expected, atol=0.3)


@needs_statsforecast
def test_what_follows_an_origin_and_the_training_is_not_looked_at(frame):
    changed = frame.assign(y=frame["y"].where(frame["ds"] <= 50, 1e3))
    panels = [Panel.of_frame(rows, TRAINED - 1) for rows in (frame, changed)]
    one, other = (Statistical("AutoETS", 4).forecast(panel, np.array([50]), 3) for panel in panels)
    assert np.array_equal(one, other)


@needs_statsforecast
def test_the_last_value_stands_in_for_what_cannot_be_fitted(frame):
    keys = pd.DataFrame({"unique_id": ["season", "constant", "young"], "cutoff": 50, "step": 1})
    y_hat = forecast([Statistical("AutoETS", 4)], frame, keys, TRAINED - 1)
    last = frame[frame["ds"] == 50].set_index("unique_id")["y"]
    assert y_hat.values["auto_ets"].tolist()[1:] == [2.5, last["young"]]
    assert y_hat.notes == (
        "The last value takes the place of AutoETS in 2 of 3 series, where there are too few rows or all are alike.",
    )


@needs_statsforecast
def test_quantiles_rise_around_the_forecast(frame):
    panel, origins = Panel.of_frame(frame, TRAINED - 1), np.array([50, 110])
    quantiles = Statistical("AutoETS", 4).forecast_quantiles(panel, origins, 3, [0.1, 0.5, 0.9, 0.975])
    assert (np.diff(quantiles[0], axis=1) > 0).all()
    assert np.isnan(quantiles[1]).all()
    y_hat = Statistical("AutoETS", 4).forecast(panel, origins, 3)
    assert np.array_equal(quantiles[0, :, 1], y_hat[0])


def test_without_the_extra_it_says_what_to_install(frame, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "statsforecast", None)
    panel = Panel.of_frame(frame, TRAINED - 1)
    with pytest.raises(InputError, match=r"pip install 'gatecast\[baselines\]'"):
        Statistical("AutoTheta", 4).forecast(panel, np.array([50]), 3)

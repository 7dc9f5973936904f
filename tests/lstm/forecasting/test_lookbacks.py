"""Tests of how many rows a window has where the series are short."""

import numpy as np
import pandas as pd
import pytest

from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.lookbacks import best_lookback
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.recipe import recipe_of, sequence_settings

HORIZON = 4
ROWS = 100
TRAINED = 72
VALIDATED = 90


def echo(series: int, lasting: int = TRAINED) -> pd.DataFrame:
    """Return quarterly series of a season, and noise that comes back after 16 rows, up to the row `lasting`."""
    generator = np.random.default_rng(0)
    frames = []
    for number in range(series):
        noise = generator.normal(size=ROWS)
        for row in range(16, lasting):
            noise[row] = 0.95 * noise[row - 16] + 0.3 * noise[row]
        y = 30 + 5 * np.sin(np.arange(ROWS) * np.pi / 2) + noise
        ds = pd.date_range("2000-01-01", periods=ROWS, freq="QS")
        frames.append(pd.DataFrame({"unique_id": f"s{number:03}", "ds": ds, "y": y}))
    return pd.concat(frames, ignore_index=True)


def panel_of(frame: pd.DataFrame, trained: int) -> Panel:
    panel = Panel.of_frame(frame)
    return Panel(panel.unique_ids, panel.ds, panel.y, panel.offsets, np.full(len(panel), trained, np.int64))


@pytest.mark.parametrize(("series", "lasting", "expected"), [(30, ROWS, 16), (30, TRAINED, 8), (29, TRAINED, 16)])
def test_the_lookback_is_what_the_validation_rows_are_forecast_best_from(series, lasting, expected):
    panel = panel_of(echo(series, lasting), TRAINED)
    assert best_lookback(panel, np.full(len(panel), VALIDATED), [16, 8], HORIZON) == expected


def test_the_usual_lookback_stays_where_there_is_no_validation_row():
    panel = panel_of(echo(30), ROWS)
    assert best_lookback(panel, np.full(len(panel), ROWS), [16, 8], HORIZON) == 16


def test_rows_after_the_validation_change_nothing():
    frame = echo(30)
    later = frame.assign(y=frame["y"].where(frame.groupby("unique_id").cumcount() < VALIDATED, 1e6))
    validated = np.full(30, VALIDATED)
    chosen = [best_lookback(panel_of(f, TRAINED), validated, [16, 8], HORIZON) for f in (frame, later)]
    assert chosen == [8, 8]


def test_a_forecaster_has_the_lookback_of_its_sequences():
    frame = echo(30)
    settings = ForecasterSettings(horizon=HORIZON)
    chosen = recipe_of(settings, frame, SplitSettings()).settings.window
    sequences = build_sequences(frame, sequence_settings(settings, frame, SplitSettings()))
    assert sequences.settings.lookback == chosen < 16
    model = Forecaster(horizon=HORIZON, max_epochs=1, hidden_size=4).fit_sequences(sequences)
    assert model.chosen.window == chosen
    assert len(model.predict()) == 30 * HORIZON


@pytest.mark.parametrize("transform", ["log", "boxcox"])
def test_a_transform_that_does_not_take_a_later_value_does_not_stop_the_choice(transform):
    frame = echo(30)
    frame.loc[frame.groupby("unique_id").cumcount() == ROWS - 1, "y"] = -1.0
    settings = ForecasterSettings(horizon=HORIZON, transform=transform)
    assert recipe_of(settings, frame, SplitSettings()).settings.window in (8, 12, 16)

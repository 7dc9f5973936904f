from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.data.settings import SettingsError
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.recipe import choose, recipe_of, sequence_settings

WEEK = 7


def panel(rows=400, period=WEEK, series=3, seed=0):
    generator = np.random.default_rng(seed)
    ds = pd.date_range("2020-01-01", periods=rows)
    season = 3 * np.sin(2 * np.pi * np.arange(rows) / period) if period else np.zeros(rows)
    return pd.concat(
        pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": 20 + season + generator.normal(size=rows)})
        for k in range(series)
    )


def test_a_season_is_found_spanned_and_told():
    recipe = choose(ForecasterSettings(horizon=WEEK), Panel.of_frame(panel()))
    assert recipe.settings.season == (WEEK,)
    assert recipe.settings.window % WEEK == 0
    assert recipe.settings.window >= 2 * WEEK
    assert recipe.settings.residual == "none"  # the season does not move, so that its own mean is best
    assert not recipe.settings.is_open
    assert "Season of 7 rows" in recipe.sentence
    assert f"Windows of {recipe.settings.window} rows" in recipe.sentence


def test_without_a_season_what_is_corrected_follows_the_data():
    recipe = choose(ForecasterSettings(), Panel.of_frame(panel(period=0)))
    assert recipe.settings.season == ()
    assert recipe.settings.residual == "none"  # noise around a level
    walk = panel(period=0)
    walk["y"] = walk.groupby("unique_id")["y"].cumsum()
    assert choose(ForecasterSettings(), Panel.of_frame(walk)).settings.residual == "last"


def test_a_season_that_moves_is_corrected_from_the_one_before():
    moving = panel(period=0)
    weekday = moving.groupby("unique_id").cumcount() % WEEK
    moving["y"] = moving.groupby(["unique_id", weekday])["y"].cumsum()
    assert choose(ForecasterSettings(horizon=WEEK, season=WEEK), Panel.of_frame(moving)).settings.residual == "seasonal"


def test_what_is_set_stays():
    given = ForecasterSettings(
        lookback=11, season=(7,), window_scaling="last", residual="none", linear_skip="none", loss="huber",
        learning_rate=0.5, schedule="constant", steps_per_epoch=None, patience=2, fit_until="training", max_epochs=3,
        weight_average="none", scaling="robust", transform="none",
    )  # fmt: skip
    assert not given.is_open
    assert choose(given, Panel.of_frame(panel())).settings == given


@pytest.mark.parametrize(
    ("given", "scaling"),
    [
        ({}, "standard"),
        ({"window_scaling": "mean"}, "size"),
        ({"loss": "smape"}, "size"),
        ({"loss": "smape", "scaling": "none"}, "none"),
        ({"loss": "huber", "scaling": "minmax"}, "minmax"),
    ],
)
def test_values_keep_their_size_where_it_counts(given, scaling):
    settings = ForecasterSettings(**given)
    assert choose(settings, Panel.of_frame(panel())).settings.scaling == scaling
    assert settings.plain.scaling == scaling


@pytest.mark.parametrize("given", [{"window_scaling": "mean"}, {"loss": "smape"}])
@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
def test_a_scaling_that_takes_the_size_away_is_refused_where_it_counts(given, scaling):
    with pytest.raises(SettingsError, match=f"which the scaling {scaling} takes away; leave scaling out"):
        ForecasterSettings(scaling=scaling, **given)


def test_a_relative_loss_is_trained_on_values_that_keep_their_size():
    model = Forecaster(
        lookback=14, horizon=WEEK, hidden_size=4, max_epochs=2, loss="smape", window_scaling="mean"
    ).fit(panel())  # fmt: skip
    assert {scaler.kind for scaler in model.scalers.values()} == {"size"}
    y_hat = model.predict()["y_hat"].to_numpy()
    assert np.abs(y_hat - 20).max() < 6


def test_sequences_of_another_scaling_are_refused():
    frame = panel()
    sequences = build_sequences(frame, sequence_settings(ForecasterSettings(lookback=14), frame, SplitSettings()))
    with pytest.raises(InputError, match="The sequences have scaling standard, but the model has size"):
        Forecaster(lookback=14, loss="smape").fit_sequences(sequences)


@pytest.mark.parametrize("rows", [12, 40, 100, 3000])
def test_a_window_leaves_most_rows_to_learn_from(rows):
    chosen = choose(ForecasterSettings(), Panel.of_frame(panel(rows=rows))).settings
    assert chosen.window <= max(rows / 4, WEEK)


def test_a_season_beyond_the_window_is_not_what_is_corrected():
    chosen = choose(ForecasterSettings(lookback=5, season=(7,)), Panel.of_frame(panel())).settings
    assert chosen.season == ()
    assert chosen.residual != "seasonal"


def test_rows_after_the_training_change_nothing():
    frame = panel().reset_index(drop=True)
    split = SplitSettings()
    changed = frame.copy()
    after = frame.groupby("unique_id").cumcount() >= 300  # validation and test are the last 30 %
    changed.loc[after, "y"] = np.random.default_rng(1).permutation(frame.loc[after, "y"].to_numpy()) * 100
    assert recipe_of(ForecasterSettings(), frame, split) == recipe_of(ForecasterSettings(), changed, split)


@pytest.mark.parametrize("settings", [{"season": "none"}, {"season": (900,)}, {"season": (7,), "lookback": 5}])
def test_a_seasonal_residual_without_a_season_in_the_window_is_refused(settings):
    given = ForecasterSettings(residual="seasonal", **settings)
    with pytest.raises(InputError, match=r"^residual seasonal needs a season within a window, but .* residual last\.$"):
        choose(given, Panel.of_frame(panel(rows=200)))

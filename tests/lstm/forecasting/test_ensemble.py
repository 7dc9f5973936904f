"""Ensembles: `Ensemble` of lstm/forecasting/ensemble.py, and `n_models` of `Forecaster`."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast import Forecaster
from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import TEST, VALIDATION
from gatecast.lstm.forecasting.checks import require_finite
from tests.lstm.frames import SPLIT, sequences_for, sine_frame, small_model

SETTINGS = {"n_models": 3, "max_epochs": 2, "hidden_size": 4, "horizon": 2}


@pytest.fixture(scope="module")
def frame():
    return sine_frame(names=("alpha", "beta"))


@pytest.fixture(scope="module")
def fitted(frame):
    return small_model(**SETTINGS).fit(frame, SPLIT)


@pytest.fixture(scope="module")
def dropping(frame):
    """One that attends and drops out."""
    return small_model(**SETTINGS, attention="dot", dropout=0.3).fit(frame, SPLIT)


def with_median(model):
    """The same networks, put together by the median."""
    contents = model.contents()
    for settings in (contents.document["settings"], contents.document["recipe"]["settings"]):
        settings["ensemble"] = "median"
    return Forecaster.from_checkpoint(contents, "here")


@pytest.mark.parametrize("how", ["mean", "median"])
def test_forecasts_are_put_together_in_the_unit_of_y(frame, fitted, how):
    model = fitted if how == "mean" else with_median(fitted)
    combine = {"mean": np.mean, "median": np.median}[how]
    alone = [member.predict(frame)["y_hat"].to_numpy() for member in fitted.members]
    assert not np.allclose(alone[0], alone[1], rtol=1e-6)
    np.testing.assert_allclose(model.predict(frame)["y_hat"], combine(alone, axis=0), rtol=1e-13)
    np.testing.assert_array_equal(model.predict()["y_hat"], model.predict(frame)["y_hat"])
    sequences = sequences_for(fitted, frame)
    for split in (VALIDATION, TEST):
        alone = [member.predict_windows(sequences, split)["y_hat"].to_numpy() for member in fitted.members]
        windows = model.predict_windows(sequences, split)
        np.testing.assert_allclose(windows["y_hat"], combine(alone, axis=0), rtol=1e-13)


def test_mean_and_median_differ(fitted):
    assert not np.array_equal(with_median(fitted).predict()["y_hat"], fitted.predict()["y_hat"])


def test_attention_is_the_mean_of_the_members(frame, dropping):
    weights = dropping.attention_weights()
    alone = [member.attention_weights()["weight"].to_numpy() for member in dropping.members]
    np.testing.assert_allclose(weights["weight"], np.mean(alone, axis=0), rtol=1e-6)
    np.testing.assert_allclose(weights.groupby("unique_id")["weight"].sum(), 1, rtol=1e-5)
    sequences = sequences_for(dropping, frame)
    _, of_windows = dropping.attention_of_windows(sequences, TEST)
    alone = [member.attention_of_windows(sequences, TEST)[1] for member in dropping.members]
    np.testing.assert_allclose(of_windows, np.mean(alone, axis=0), rtol=1e-6)


def test_samples_of_dropout_come_from_all_members(dropping):
    context, _ = dropping._given(None)
    samples = dropping._ensemble().sample_dropout(context, None, 0.0, 300, seed=2)
    chosen = np.random.default_rng(2).integers(3, size=300)
    alone = [
        member._ensemble().sample_dropout(context, None, 0.0, 200, seed=5).mean(axis=0) for member in dropping.members
    ]
    for number in range(3):
        distances = [np.abs(samples[chosen == number].mean(axis=0) - mean).mean() for mean in alone]
        assert np.argmin(distances) == number


def test_samples_and_intervals_are_of_the_common_forecast(dropping, fitted):
    _, samples = dropping.sample(n_samples=60, seed=2, dropout=True)
    np.testing.assert_array_equal(samples, dropping.sample(n_samples=60, seed=2, dropout=True)[1])
    forecast = dropping.predict(n_samples=60, seed=2)
    assert (forecast["y_hat-lo-90"] < forecast["y_hat-hi-90"]).all()
    for model in (dropping, fitted, with_median(fitted)):
        forecast = model.predict()
        assert (forecast["y_hat-lo-80"] < forecast["y_hat"]).all()
        assert (forecast["y_hat"] < forecast["y_hat-hi-80"]).all()
        assert all(member.calibration is model.calibration for member in fitted.members if model is fitted)
        _, samples = model.sample(n_samples=2_000, seed=2)
        np.testing.assert_allclose(samples.mean(axis=0), forecast["y_hat"], rtol=0.05)


def test_rolling_origins_are_forecast_by_ensembles(frame, fitted):
    forecasts = fitted.cross_validation(frame, n_windows=2)
    assert len(forecasts) == 2 * 2 * 2
    alone = [member.cross_validation(frame, n_windows=2)["y_hat"].to_numpy() for member in fitted.members]
    np.testing.assert_allclose(forecasts["y_hat"], np.mean(alone, axis=0), rtol=1e-13)
    refitted = small_model(**SETTINGS).cross_validation(frame, n_windows=2, refit=True)
    assert np.isfinite(refitted["y_hat"]).all()


def test_one_model_is_its_own_member(frame):
    model = small_model().fit(frame, SPLIT)
    assert model.members == (model,)
    assert sorted(model.contents().arrays) == ["calibration", "context", "model", "optimizer"]
    assert "members" not in model.contents().document


@pytest.mark.parametrize("huge", [1e30, -1e37])
def test_a_forecast_that_is_no_finite_number_is_refused_and_names_its_series(frame, huge):
    frame = frame[["unique_id", "ds", "y"]].copy()
    model = Forecaster(lookback=8, hidden_size=4, max_epochs=2, n_models=1, dropout=0.3, season="none")
    frame.loc[frame.index[-1], "y"] = huge
    model.fit(frame)
    for forecast in (model.predict, lambda: model.predict(n_samples=3), lambda: model.sample(n_samples=3)):
        with pytest.raises(InputError, match=r"^The forecast of beta is not a finite number") as caught:
            forecast()
        assert "\n" not in str(caught.value)


def test_forecasts_of_windows_are_finite_numbers_too(frame, fitted):
    sequences = sequences_for(fitted, frame)
    windows = sequences.windows_of(TEST)
    y_hat = np.ones((len(windows), 2))
    assert require_finite(y_hat, sequences.unique_ids, windows.series) is y_hat
    y_hat[-1, 1] = np.nan
    with pytest.raises(InputError, match=r"^The forecast of beta is not"):
        require_finite(y_hat, sequences.unique_ids, windows.series)

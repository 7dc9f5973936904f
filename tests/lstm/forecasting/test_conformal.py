"""Intervals, quantiles and samples of fitted forecasters, by their errors on validation rows."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import TEST, VALIDATION, SplitSettings
from gatecast.lstm.forecasting import validation
from gatecast.lstm.forecasting.fitting import Fitting
from gatecast.lstm.forecasting.folds import NO_FOLD, folds_of
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.recipe import sequence_settings
from gatecast.lstm.models import load
from tests.lstm.frames import PLAIN, SPLIT, sequences_for, sine_frame, small_model

BOUNDS = ["y_hat-lo-80", "y_hat-hi-80", "y_hat-lo-95", "y_hat-hi-95"]
ORDERED = ["y_hat-lo-95", "y_hat-lo-80", "y_hat-hi-80", "y_hat-hi-95"]


@pytest.fixture(scope="module")
def frame():
    return sine_frame(rows=260, names=("alpha", "beta"))


@pytest.fixture(scope="module")
def fitted(frame):
    return small_model(horizon=3).fit(frame, SPLIT)


def autoregressive(n_series, rows, share=0.8, seed=5):
    """AR(1) series, whose errors grow with the step ahead and go together."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_series, rows))
    y = np.zeros((n_series, rows))
    for t in range(1, rows):
        y[:, t] = share * y[:, t - 1] + noise[:, t]
    ds = pd.date_range("2020-01-01", periods=rows)
    parts = [pd.DataFrame({"unique_id": f"s{k:02}", "ds": ds, "y": 50 + y[k]}) for k in range(n_series)]
    return pd.concat(parts, ignore_index=True)


# ---------------------------------------------------------------- which rows decide


@pytest.mark.parametrize("settings", [{}, {"stateful": True}, {"weight_average": "ema", "ema_decay": 0.9}, PLAIN])
def test_calibration_changes_no_bit_of_the_training(frame, monkeypatch, settings):
    model = small_model(horizon=3, **settings).fit(frame, SPLIT)
    monkeypatch.setattr(validation, "folds_of", lambda windows, horizon: np.full(len(windows), NO_FOLD, np.int8))
    without = small_model(horizon=3, **settings).fit(frame, SPLIT)
    assert model.history == without.history
    np.testing.assert_array_equal(model._snapshot.best_values, without._snapshot.best_values)
    np.testing.assert_array_equal(model.network.parameters.values, without.network.parameters.values)
    for name, array in without._snapshot.optimizer.items():
        np.testing.assert_array_equal(model._snapshot.optimizer[name], array)
    assert not model._snapshot.fold_values


@pytest.mark.parametrize("settings", [{}, {"stateful": True}, {"loss": "mae", "step_weights": (1, 2, 1)}])
def test_each_fold_is_forecast_by_the_epoch_that_the_other_fold_chose(frame, tmp_path, settings):
    settings = {"linear_skip": "none", "fit_until": "training", "learning_rate": 0.2, "max_epochs": 5, **settings}
    model = small_model(horizon=3, patience=5, schedule="constant", **settings)
    sequences = sequences_for(model, frame)
    model.fit_sequences(sequences, checkpoints=tmp_path, keep=10)
    windows = sequences.windows_of(VALIDATION)
    folds = folds_of(windows, 3)
    losses, forecasts = [], []
    for path in sorted(tmp_path.glob("epoch-*")):
        epoch = load(path)
        snapshot = epoch._snapshot
        epoch.network.parameters.set_flat(snapshot.validated_values)
        fitting = Fitting(epoch.chosen, sequences, epoch.scaling).validation(epoch.network)
        assert fitting() == snapshot.history[-1].validation_loss
        losses.append(fitting.fold_losses())
        # The weights are those of the epoch for both folds, whichever is best.
        same = dataclasses.replace(snapshot, fold_values=(snapshot.validated_values,) * 2)
        forecasts.append(fitting.cross_forecasts(same).y_hat)
    best = np.argmin(losses, axis=0)
    for fold in (0, 1):
        np.testing.assert_array_equal(model._validated.y_hat[folds == fold], forecasts[best[1 - fold]][folds == fold])
    assert np.isnan(model._validated.y_hat[folds == NO_FOLD]).all()


def test_the_future_changes_no_interval(frame, fitted):
    """Rows of the test period may be anything."""
    sequences = sequences_for(fitted, frame)
    known = frame["ds"] <= frame["unique_id"].map(sequences.ends("validation_end"))
    rng = np.random.default_rng(0)
    other = frame.assign(y=frame["y"].where(known, 100 + rng.permutation(frame["y"].to_numpy())))
    again = small_model(horizon=3).fit(other, SPLIT)
    np.testing.assert_array_equal(again.calibration.errors, fitted.calibration.errors)
    np.testing.assert_array_equal(again.calibration.correlation, fitted.calibration.correlation)
    assert again.calibration.scales == fitted.calibration.scales
    pd.testing.assert_frame_equal(again.predict(frame[known]), fitted.predict(frame[known]), check_exact=True)


@pytest.mark.parametrize("changes", [{}, {"n_models": 2}])
def test_a_start_that_has_learnt_the_validation_rows_keeps_what_was_measured_for_it(frame, changes):
    start = small_model(horizon=3, fit_until="validation", **changes).fit(frame, SPLIT)
    model = small_model(horizon=3, max_epochs=1, **changes).fit(frame, SPLIT, start=start)
    np.testing.assert_array_equal(model.calibration.errors, start.calibration.errors)
    cold = small_model(horizon=3, fit_until="training", **changes).fit(frame, SPLIT)
    warm = small_model(horizon=3, max_epochs=1, **changes).fit(frame, SPLIT, start=cold)
    assert not np.array_equal(warm.calibration.errors, cold.calibration.errors)


# ---------------------------------------------------------------- what they promise


@pytest.fixture(scope="module")
def of_panel():
    """A model of many series, and their test rows."""
    data = autoregressive(24, 320)
    model = Forecaster(lookback=12, horizon=7, hidden_size=6, max_epochs=4, patience=4, seed=1)
    split = SplitSettings(validation_fraction=0.25, test_fraction=0.3)
    sequences = build_sequences(data, sequence_settings(model.settings, data, split))
    return model.fit_sequences(sequences), sequences


def test_later_rows_are_covered_as_promised_at_every_step(of_panel):
    model, sequences = of_panel
    rows = model.predict_windows(sequences, TEST, level=(80, 95), quantiles=(0.3,))
    for level in (80, 95):
        inside = (rows["y"] >= rows[f"y_hat-lo-{level}"]) & (rows["y"] <= rows[f"y_hat-hi-{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.025)
        assert (inside.groupby(rows["step"]).mean() - level / 100).abs().max() < 0.05
    assert (rows["y"] < rows["y_hat-q-30"]).mean() == pytest.approx(0.3, abs=0.04)
    widths = (rows["y_hat-hi-80"] - rows["y_hat-lo-80"]).groupby(rows["step"]).mean()
    assert widths[7] > 1.3 * widths[1]


def test_the_sum_over_the_steps_is_covered_as_promised(of_panel):
    model, sequences = of_panel
    windows = sequences.windows_of(TEST)
    ensemble = model._ensemble()
    samples = ensemble.sample(ensemble.forecast_windows(sequences, windows), model.calibration, 300, seed=3)
    y = model.predict_windows(sequences, TEST)["y"].to_numpy().reshape(len(windows), 7).sum(axis=1)

    def covered(courses, level):
        low, high = np.quantile(courses.sum(axis=2), [0.5 - level / 2, 0.5 + level / 2], axis=0)
        return np.mean((y >= low) & (y <= high))

    assert covered(samples, 0.8) == pytest.approx(0.8, abs=0.04)
    assert covered(samples, 0.95) == pytest.approx(0.95, abs=0.025)
    independent = np.random.default_rng(0).permuted(samples, axis=0)
    assert covered(independent, 0.8) < 0.65


# ---------------------------------------------------------------- the interface


def test_every_forecast_carries_intervals(fitted, frame):
    forecast = fitted.predict()
    assert list(forecast) == ["unique_id", "ds", "y_hat", *BOUNDS]
    assert (np.diff(forecast[ORDERED].to_numpy(), axis=1) > 0).all()
    assert list(fitted.predict(level=())) == ["unique_id", "ds", "y_hat"]
    pd.testing.assert_series_equal(fitted.predict(level=())["y_hat"], forecast["y_hat"])
    quantiles = fitted.predict(quantiles=(0.1, 0.5, 0.975))
    assert list(quantiles) == ["unique_id", "ds", "y_hat", "y_hat-q-10", "y_hat-q-50", "y_hat-q-97.5"]
    assert quantiles["y_hat-q-10"].tolist() == forecast["y_hat-lo-80"].tolist()
    both = fitted.predict(level=(80,), quantiles=(0.5,))
    assert list(both) == ["unique_id", "ds", "y_hat", "y_hat-lo-80", "y_hat-hi-80", "y_hat-q-50"]
    new = fitted.predict(frame[frame["unique_id"] == "alpha"].assign(unique_id="new"))
    assert (new["y_hat-lo-80"] < new["y_hat-hi-80"]).all()


def test_windows_and_rolling_origins_have_the_bounds_of_predict(fitted, frame):
    windows = fitted.predict_windows(sequences_for(fitted, frame), TEST, level=(80, 95))
    cutoff = windows["cutoff"].unique()[4]
    expected = windows[windows["cutoff"] == cutoff].reset_index(drop=True)
    forecast = fitted.predict(frame[frame["ds"] <= cutoff])
    pd.testing.assert_frame_equal(forecast[["y_hat", *BOUNDS]], expected[["y_hat", *BOUNDS]], rtol=1e-5)
    rolled = fitted.cross_validation(frame, n_windows=2)
    assert list(rolled) == ["unique_id", "ds", "cutoff", "y", "y_hat", *BOUNDS]
    plain = fitted.cross_validation(frame, n_windows=2, level=(), quantiles=(0.5,))
    assert list(plain) == ["unique_id", "ds", "cutoff", "y", "y_hat", "y_hat-q-50"]


@pytest.mark.parametrize(
    "settings",
    [{"stateful": True}, {"dtype": "float64"}, {"n_models": 2}, {"n_models": 2, "ensemble": "median"}, PLAIN,
     {"window_scaling": "mean", "loss": "smape"}, {"series_embedding": 2}, {"fit_until": "validation"}],
    ids=str,
)  # fmt: skip
def test_all_models_have_intervals_and_samples_and_keep_them(frame, tmp_path, settings):
    model = small_model(horizon=3, **settings).fit(frame, SPLIT)
    forecast = model.predict()
    assert (np.diff(forecast[ORDERED].to_numpy(), axis=1) > 0).all()
    rows, samples = model.sample(n_samples=50, seed=1)
    assert (list(rows), samples.shape) == (["unique_id", "ds"], (50, 6))
    assert (samples.std(axis=0) > 0).all()
    again = load(model.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(again.predict(), forecast, check_exact=True)
    np.testing.assert_array_equal(again.sample(n_samples=50, seed=1)[1], samples)
    assert (model.sample(n_samples=50, seed=2)[1] != samples).any()


@pytest.mark.parametrize("transform", ["log", "log1p", "boxcox"])
def test_bounds_of_a_transform_are_of_y(frame, transform):
    grown = frame.assign(y=np.exp(frame["y"] / 4))
    model = small_model(horizon=3, transform=transform).fit(grown, SPLIT)
    forecast = model.predict(quantiles=(0.1, 0.5, 0.9))
    quantiles = forecast[["y_hat-q-10", "y_hat-q-50", "y_hat-q-90"]].to_numpy()
    assert (np.diff(quantiles, axis=1) > 0).all()
    assert (quantiles > 0).all()
    _, samples = model.sample(n_samples=4_000)
    np.testing.assert_allclose(np.median(samples, axis=0), quantiles[:, 1], rtol=0.05)


def test_a_constant_series_has_no_width(frame):
    flat = frame[frame["unique_id"] == "beta"].assign(unique_id="flat", y=7.0)
    model = small_model(horizon=3).fit(pd.concat([frame, flat], ignore_index=True), SPLIT)
    forecast = model.predict().set_index("unique_id").loc["flat"]
    assert (forecast[["y_hat", *BOUNDS]] == 7).all(axis=None)
    rows, samples = model.sample(n_samples=5)
    assert (samples[:, (rows["unique_id"] == "flat").to_numpy()] == 7).all()


def test_a_model_of_before_forecasts_the_mean_and_asks_to_be_trained_again(fitted, tmp_path):
    contents = fitted.contents()
    arrays = {name: part for name, part in contents.arrays.items() if name != "calibration"}
    old = Forecaster.from_checkpoint(dataclasses.replace(contents, arrays=arrays), "an old one")
    assert list(old.predict()) == ["unique_id", "ds", "y_hat"]
    asked = [
        lambda: old.predict(level=(80,)), lambda: old.predict(quantiles=(0.5,)), lambda: old.sample(),
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(InputError, match="train it again"):
            ask()


def test_a_copy_that_has_learnt_all_rows_keeps_the_errors(fitted, frame):
    settings = sequence_settings(fitted.settings, frame, SPLIT).model_copy(update={"fit_scalers_on": "all"})
    copy = fitted.refit(build_sequences(frame, settings.model_copy(update={"gaps": "mask"})))
    assert copy.calibration is fitted.calibration
    assert list(copy.predict()) == ["unique_id", "ds", "y_hat", *BOUNDS]


def test_few_validation_rows_are_told_and_widen(caplog):
    model = small_model(horizon=4).fit(sine_frame(rows=80), SplitSettings(test_fraction=0))
    with caplog.at_level(logging.WARNING):
        forecast = model.predict()
    assert sum("needs 19 validation windows" in record.getMessage() for record in caplog.records) == 1
    assert (np.diff(forecast[ORDERED].to_numpy(), axis=1) >= 0).all()
    caplog.clear()
    model.predict(level=())
    assert not caplog.records


def test_a_single_validation_window_is_enough_to_go_on():
    model = small_model(horizon=4, lookback=6).fit(sine_frame(rows=40), SplitSettings(test_fraction=0))
    assert model.calibration.counts.tolist() == [1] * 4
    assert (model.predict()["y_hat-lo-80"] < model.predict()["y_hat"]).all()

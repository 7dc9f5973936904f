from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import SequenceSettings, build_sequences
from gatecast.data.sequences.splits import TEST, TRAIN, VALIDATION, SplitSettings
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.metrics import regression, skill
from gatecast.lstm.models import load
from gatecast.lstm.training.loop import TrainingError
from tests.lstm.frames import SMALL, SPLIT, sequences_for, sine_frame, small_model

KINDS = [
    {},
    {"horizon": 3, "num_layers": 2},
    {"stateful": True},
    {"dtype": "float64"},
    {"bidirectional": True, "num_layers": 2},
    {"num_layers": 3, "residual": True, "layer_norm": True, "dropout": 0.2, "recurrent_dropout": 0.2},
    {"hidden_size": 6, "attention": "additive", "attention_heads": 2, "bidirectional": True},
]
KIND_NAMES = [
    "plain",
    "horizon 3, two layers",
    "stateful",
    "float64",
    "both directions, two layers",
    "deep",
    "attention",
]


@pytest.fixture(scope="module")
def frame():
    return sine_frame(names=("alpha", "beta"))


@pytest.fixture(scope="module")
def fitted(frame):
    """One plain model for the tests that only look at it."""
    return small_model().fit(frame, SPLIT)


@pytest.fixture(scope="module", params=KINDS, ids=KIND_NAMES)
def any_kind(request, frame):
    """Models of several kinds, likewise."""
    return small_model(**request.param).fit(frame, SPLIT)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# ---------------------------------------------------------------- fitting and predicting


def test_every_series_is_continued_from_its_last_row(any_kind, frame):
    horizon = any_kind.settings.horizon
    forecast = any_kind.predict()
    bounds = ["y_hat-lo-80", "y_hat-hi-80", "y_hat-lo-95", "y_hat-hi-95"]
    assert forecast.columns.tolist() == ["unique_id", "ds", "y_hat", *bounds]
    assert forecast["unique_id"].tolist() == ["alpha"] * horizon + ["beta"] * horizon
    expected = pd.bdate_range(frame["ds"].iloc[-1], periods=horizon + 1)[1:]
    for name, level in (("alpha", 10), ("beta", 20)):
        rows = forecast[forecast["unique_id"] == name]
        assert rows["ds"].tolist() == expected.tolist()
        assert (rows["y_hat"] - level).abs().max() < 3


def test_predict_with_the_training_data_says_the_same_as_without(any_kind, frame):
    pd.testing.assert_frame_equal(any_kind.predict(frame), any_kind.predict())


def test_what_the_first_epoch_compiles_does_not_count_as_training_time(fitted):
    again = copy.deepcopy(fitted)
    assert np.isnan(again.seconds_per_step)
    records = [dataclasses.replace(record, seconds=1.0) for record in again.history]
    first = [record.epoch for record in records].index(1)  # epoch 0 is the network before its first step
    records[first] = dataclasses.replace(records[first], seconds=600.0)
    again._snapshot = dataclasses.replace(again._snapshot, history=tuple(records))
    assert again.seconds_per_epoch == 1
    assert again.seconds_per_step == pytest.approx(again.epochs / records[-1].step)
    assert np.isnan(Forecaster().seconds_per_step)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_model_predicts_the_same_bits(any_kind, copied):
    again = copied(any_kind)
    pd.testing.assert_frame_equal(again.predict(), any_kind.predict(), check_exact=True)
    assert again.settings == any_kind.settings
    assert again.network.parameters is not any_kind.network.parameters
    unfitted = copied(Forecaster(lookback=7))
    assert unfitted.settings.lookback == 7
    assert unfitted.history == ()


def test_a_saved_and_loaded_model_predicts_the_same_bits(any_kind, frame, tmp_path):
    path = any_kind.save(tmp_path / "model")
    loaded = load(path)
    pd.testing.assert_frame_equal(loaded.predict(), any_kind.predict(), check_exact=True)
    pd.testing.assert_frame_equal(loaded.predict(frame.head(100)), any_kind.predict(frame.head(100)), check_exact=True)
    sequences = sequences_for(any_kind, frame)
    windows = loaded.predict_windows(sequences, TEST)
    pd.testing.assert_frame_equal(windows, any_kind.predict_windows(sequences, TEST), check_exact=True)
    for name in ("settings", "columns", "boundaries", "data_hash", "history", "best_epoch"):
        assert getattr(loaded, name) == getattr(any_kind, name)
    assert files(loaded.save(tmp_path / "again")) == files(path)


def test_windows_line_up_with_the_frame(any_kind, frame):
    horizon = any_kind.settings.horizon
    sequences = sequences_for(any_kind, frame)
    for split in (TRAIN, VALIDATION, TEST):
        predictions = any_kind.predict_windows(sequences, split)
        assert len(predictions) == len(sequences.windows_of(split)) * horizon
        assert predictions.columns.tolist() == ["unique_id", "cutoff", "ds", "step", "y", "y_hat"]
        row = frame.assign(row=frame.groupby("unique_id").cumcount()).set_index(["unique_id", "ds"])
        target = row.loc[list(zip(predictions["unique_id"], predictions["ds"], strict=True))]
        cutoff = row.loc[list(zip(predictions["unique_id"], predictions["cutoff"], strict=True))]
        np.testing.assert_allclose(predictions["y"], target["y"], rtol=1e-6)
        assert np.array_equal(target["row"].to_numpy() - cutoff["row"].to_numpy(), predictions["step"])
        assert set(predictions["step"]) == set(range(1, horizon + 1))
        assert not predictions.duplicated(["unique_id", "cutoff", "step"]).any()


@pytest.mark.parametrize("changes", [{}, {"horizon": 3}, {"stateful": True, "lookback": 16}])
def test_a_window_is_predicted_from_the_rows_up_to_its_cutoff_alone(frame, changes):
    """The forecast of a window is what `predict` says of a frame that ends at its cutoff."""
    model = small_model(**changes).fit(frame, SPLIT)
    predictions = model.predict_windows(sequences_for(model, frame), TEST)
    for cutoff in predictions["cutoff"].unique()[[0, 3, -1]]:
        expected = predictions[predictions["cutoff"] == cutoff]
        forecast = model.predict(frame[frame["ds"] <= cutoff])
        assert forecast["unique_id"].tolist() == expected["unique_id"].tolist()
        assert forecast["ds"].tolist() == expected["ds"].tolist()
        np.testing.assert_allclose(forecast["y_hat"], expected["y_hat"], rtol=1e-6)


def test_the_order_of_columns_and_series_and_further_columns_do_not_matter(fitted, frame):
    other = pd.concat([frame[frame["unique_id"] == "beta"], frame[frame["unique_id"] == "alpha"]])
    other = other[["wave", "y", "ds", "unique_id"]].assign(note="text")
    forecast = fitted.predict(other)
    assert forecast["unique_id"].drop_duplicates().tolist() == ["beta", "alpha"]
    pd.testing.assert_frame_equal(forecast.sort_values(["unique_id", "ds"], ignore_index=True), fitted.predict())


def test_some_of_the_series_can_be_predicted_alone(fitted, frame):
    alone = fitted.predict(frame[frame["unique_id"] == "beta"])
    expected = fitted.predict().query("unique_id == 'beta'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)


def test_covariates_are_used(fitted, frame):
    other = frame.assign(wave=-frame["wave"])
    assert not np.allclose(fitted.predict(other)["y_hat"], fitted.predict(frame)["y_hat"])


def test_the_frame_is_left_as_it_is(frame):
    before = frame.copy(deep=True)
    small_model(max_epochs=1).fit(frame, SPLIT).predict(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_fit_without_a_split_validates_on_the_last_tenth(frame):
    model = small_model(max_epochs=1, fit_until="training").fit(frame)
    days = frame["ds"].unique()
    assert model.boundaries == {"train_end": str(days[107])[:10], "validation_end": str(days[119])[:10]}


@pytest.mark.parametrize("scaling", ["minmax", "robust", "none"])
def test_every_scaling_is_undone(scaling):
    centred = sine_frame()
    centred["y"] -= 10
    model = small_model(scaling=scaling, max_epochs=15, patience=15).fit(centred, SPLIT)
    predictions = model.predict_windows(sequences_for(model, centred), VALIDATION)
    assert regression(predictions["y"], predictions["y_hat"])["r2"] > 0.5
    last_rows = predictions[predictions["cutoff"] == predictions["cutoff"].iloc[-1]]
    upto = centred[centred["ds"] <= predictions["cutoff"].iloc[-1]]
    np.testing.assert_allclose(model.predict(upto)["y_hat"], last_rows["y_hat"], rtol=1e-5)


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_says_how_much_it_looked_at_each_row(frame, heads):
    plain = {"window_scaling": "none", "residual": "none", "linear_skip": "none", "loss": "mse"}
    model = small_model(hidden_size=6, attention="general", attention_heads=heads, max_epochs=1, **plain).fit(frame)
    weights = model.attention_weights(frame)
    assert weights.columns.tolist() == ["unique_id", "head", "ds", "weight"]
    assert len(weights) == 2 * heads * 8
    of_each = weights.groupby(["unique_id", "head"])
    np.testing.assert_allclose(of_each["weight"].sum(), 1, rtol=1e-6)
    for (unique_id, _), rows in of_each:
        assert rows["ds"].tolist() == frame.loc[frame["unique_id"] == unique_id, "ds"].tolist()[-8:]
    network = model._network
    x = model._context.rows_of(1)[-8:][None]
    network.forward(x)
    expected = network.attention.weights.ravel()
    np.testing.assert_allclose(weights.loc[weights["unique_id"] == "beta", "weight"], expected, rtol=1e-5)


def test_weights_of_a_model_without_attention_are_refused(fitted):
    with pytest.raises(InputError, match="no attention"):
        fitted.attention_weights()


@pytest.mark.parametrize("timezone", ["America/New_York", "+05:30"])
def test_a_time_zone_stays(frame, timezone, tmp_path):
    zoned = frame.assign(ds=frame["ds"].dt.tz_localize(timezone))
    model = small_model(max_epochs=1).fit(zoned, SPLIT)
    expected = zoned["ds"].iloc[-1] + pd.offsets.BDay()
    assert model.predict()["ds"].tolist() == [expected, expected]
    assert load(model.save(tmp_path / "model")).predict()["ds"].tolist() == [expected, expected]
    predictions = model.predict_windows(sequences_for(model, zoned), TEST)
    assert str(predictions["ds"].dt.tz) == str(zoned["ds"].dt.tz)


def test_series_of_unequal_length_are_fitted_together(frame):
    uneven = pd.concat([frame[frame["unique_id"] == "alpha"].iloc[30:], frame[frame["unique_id"] == "beta"]])
    for stateful in (False, True):
        model = small_model(max_epochs=1, stateful=stateful).fit(uneven, SPLIT)
        assert np.isfinite(model.predict()["y_hat"]).all()


def test_later_rows_do_not_change_what_is_learnt(frame):
    changed = frame.copy()
    test_days = frame["ds"].unique()[-18:]
    changed.loc[changed["ds"].isin(test_days), ["y", "wave"]] += 1000
    model = small_model().fit(frame, SPLIT)
    other = small_model().fit(changed, SPLIT)
    assert model.history == other.history
    past = frame[~frame["ds"].isin(test_days)]
    pd.testing.assert_frame_equal(model.predict(past), other.predict(past))


def test_fitting_again_begins_anew(frame, fitted):
    model = small_model().fit(sine_frame(names=("gamma",)), SPLIT)
    model.fit(frame, SPLIT)
    assert model.history == fitted.history
    pd.testing.assert_frame_equal(model.predict(), fitted.predict())


@pytest.mark.parametrize("stateful", [False, True])
def test_it_beats_the_naive_forecast_on_a_series_that_can_be_learnt(stateful):
    frame = sine_frame(rows=300, names=("alpha", "beta"))
    model = small_model(stateful=stateful, max_epochs=25, patience=25, batch_size=8).fit(frame, SPLIT)
    predictions = model.predict_windows(sequences_for(model, frame), TEST)
    last = frame.set_index(["unique_id", "ds"])["y"]
    naive = last.loc[list(zip(predictions["unique_id"], predictions["cutoff"], strict=True))].to_numpy()
    error = regression(predictions["y"], predictions["y_hat"])["rmse"]
    assert skill(error, regression(predictions["y"], naive)["rmse"]) > 0.4


def test_history_and_speed_are_kept(fitted):
    assert [record.epoch for record in fitted.history] == [0, 1, 2, 3]
    assert fitted.best_epoch == max(record.epoch for record in fitted.history if record.best)
    typical = np.median([record.seconds for record in fitted.history[1:]])
    assert fitted.seconds_per_step == pytest.approx(3 * typical / fitted.history[-1].step)


# ---------------------------------------------------------------- settings and bad input


def test_settings_make_the_same_model(fitted):
    settings = ForecasterSettings(**SMALL)
    assert Forecaster.from_settings(settings).settings == fitted.settings == settings


@pytest.mark.parametrize(
    "setting",
    [
        {"lookback": 0},
        {"lookback": -5},
        {"horizon": 0},
        {"learning_rate": 0},
        {"dtype": "float16"},
        {"lookbak": 3},
        {"stateful": True, "bidirectional": True},
        {"steps_per_epoch": 0},
        {"steps_per_epoch": 10, "stateful": True},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Forecaster(**setting)


def test_a_model_that_was_not_fitted_says_so(frame, tmp_path):
    model = small_model()
    calls = {
        "predict": model.predict,
        "predict frame": lambda: model.predict(frame),
        "predict_windows": lambda: model.predict_windows(sequences_for(model, frame), TEST),
        "save": lambda: model.save(tmp_path / "model"),
        "best_epoch": lambda: model.best_epoch,
    }
    for call in calls.values():
        with pytest.raises(InputError, match="has not been fitted; call fit first"):
            call()
    assert model.history == ()
    assert np.isnan(model.seconds_per_step)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("column", ["y", "wave"])
def test_predict_names_a_missing_column(fitted, frame, column):
    with pytest.raises(InputError, match=f"no column '{column}'"):
        fitted.predict(frame.drop(columns=column))


def test_predict_forecasts_a_series_that_was_not_trained_on(fitted, frame):
    forecast = fitted.predict(frame.replace({"unique_id": {"beta": "gamma"}}))
    assert forecast["unique_id"].tolist() == ["alpha", "gamma"]
    assert forecast["y_hat"].iloc[0] == fitted.predict(frame)["y_hat"].iloc[0]
    assert np.isfinite(forecast["y_hat"]).all()


@pytest.mark.parametrize("change", [{"lookback": 9}, {"horizon": 2}])
def test_sequences_of_another_size_are_refused(fitted, frame, change):
    sequences = sequences_for(small_model(**change), frame)
    forecast = fitted.predict()
    for call in (lambda: fitted.fit_sequences(sequences), lambda: fitted.predict_windows(sequences, TEST)):
        with pytest.raises(InputError, match=f"{next(iter(change))} .* but the model has"):
            call()
    pd.testing.assert_frame_equal(fitted.predict(), forecast)


def test_sequences_of_other_columns_are_refused(fitted, frame):
    sequences = sequences_for(fitted, frame.rename(columns={"wave": "tide"}))
    with pytest.raises(InputError, match="y, tide, but the model was trained on y, wave"):
        fitted.predict_windows(sequences, TEST)


def test_sequences_of_another_scale_are_refused_and_those_of_the_models_own_are_not(fitted, frame):
    changed = frame.assign(y=frame["y"] * 3)
    own = sequences_for(fitted, frame).settings
    for sequences in (sequences_for(fitted, changed), sequences_for(fitted, frame.replace({"alpha": "gamma"}))):
        with pytest.raises(InputError, match="not scaled as in training; build the sequences with the model's scalers"):
            fitted.predict_windows(sequences, TEST)
    predictions = fitted.predict_windows(build_sequences(changed, own, scalers=fitted.scalers), TEST)
    assert predictions["y"].min() > 20


def test_a_frame_that_cannot_be_fitted_leaves_the_model_as_it_was(frame):
    model = small_model(max_epochs=1).fit(frame, SPLIT)
    forecast = model.predict()
    for bad in (frame.drop(columns="y"), frame.head(5), frame.assign(wave=np.nan)):
        with pytest.raises(InputError):
            model.fit(bad, SPLIT)
        pd.testing.assert_frame_equal(model.predict(), forecast)


def test_after_training_has_failed_in_its_first_epoch_the_model_is_not_fitted(frame, tmp_path):
    model = small_model(max_epochs=1, linear_skip="none").fit(frame, SPLIT)
    model.settings = model.settings.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match="diverged in epoch 1"):
        model.fit(frame, SPLIT)
    assert model.history == ()
    with pytest.raises(InputError, match="not been fitted"):
        model.predict()
    with pytest.raises(InputError, match="not been fitted"):
        model.save(tmp_path / "model")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("setting", ["gradient_clip", "learning_rate", "weight_decay"])
def test_a_setting_that_a_checkpoint_could_not_hold_is_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Forecaster(**{setting: value})


@pytest.mark.parametrize("column", ["y", "wave"])
@pytest.mark.parametrize(("value", "words"), [(1e155, "a value"), (-1e300, "a value"), (1e-300, "values")])
def test_values_that_cannot_be_scaled_are_named(fitted, column, value, words):
    frame = sine_frame(names=("alpha", "beta"))
    if abs(value) > 1:
        frame.loc[5, column] = value
    else:
        frame[column] *= value
    message = f"^alpha has {words} of {column} that (is|are) too (large|small) to scale"
    with pytest.raises(InputError, match=message):
        small_model().fit(frame, SPLIT)
    if abs(value) > 1:
        with pytest.raises(InputError, match=message):
            fitted.predict(frame)
        with pytest.raises(InputError, match=message):
            small_model().cross_validation(frame, refit=True)


def test_a_forecast_in_an_unusual_unit_is_finite():
    frame = sine_frame()
    model = small_model(max_epochs=1).fit(frame.assign(y=frame["y"] * 1e145), SPLIT)
    assert np.isfinite(model.predict()["y_hat"]).all()


@pytest.mark.parametrize("value", [0.0025, 42.0, -7.0, 0.0])
@pytest.mark.parametrize(
    "settings",
    [*({"scaling": kind} for kind in ("standard", "minmax", "robust", "size")), {"loss": "smape"}, {"n_models": 2}],
)
def test_a_constant_is_forecast_as_that_constant(tmp_path, settings, value):
    days = pd.date_range("2020-01-01", periods=60)
    constant = pd.DataFrame({"unique_id": "a", "ds": days, "y": value})
    rare = constant.assign(unique_id="b", y=(np.arange(60) % 9 == 0).astype(float))
    model = Forecaster(lookback=8, horizon=2, hidden_size=2, max_epochs=1, **settings)
    model.fit(pd.concat([constant, rare]))
    for each in (model, load(model.save(tmp_path / "model"))):
        forecast = each.predict().set_index("unique_id")["y_hat"]
        np.testing.assert_allclose(forecast["a"], value, rtol=1e-12)
        assert forecast["b"].nunique() == 2


@pytest.mark.parametrize("value", [0.0, 100 / 3, -1e6 / 3])
@pytest.mark.parametrize("settings", [{}, {"window_scaling": "mean"}, {"residual": "last", "dropout": 0.2}])
def test_a_series_that_was_constant_in_training_is_forecast_from_its_rows_once_it_changes(settings, value):
    days = pd.date_range("2020-01-01", periods=60)
    still = pd.DataFrame({"unique_id": "a", "ds": days, "y": value})
    later = still.assign(ds=days + pd.Timedelta(days=60), y=np.where(np.arange(60) % 2, value + 50, value + 60))
    sold = pd.concat([still, later])
    other = still.assign(unique_id="b", y=10 + np.sin(np.arange(60)) + 0.1 * np.random.default_rng(0).normal(size=60))
    model = Forecaster(lookback=8, horizon=2, hidden_size=2, max_epochs=1, **settings).fit(pd.concat([still, other]))
    held = model.predict(still)["y_hat"]
    np.testing.assert_allclose(held, value, rtol=1e-12)
    np.testing.assert_allclose(model.predict(sold)["y_hat"] - value, 55, atol=30)
    if model.settings.has_dropout:
        assert (model.sample(still, n_samples=9)[1] == held.to_numpy()).all()
        assert (model.sample(sold, n_samples=9)[1].std(axis=0) > 0).all()
    split = SplitSettings(validation_fraction=0.2, test_fraction=0.6)
    windows = SequenceSettings(lookback=8, horizon=2, scaling=model.chosen.scaling, split=split)
    rows = model.predict_windows(build_sequences(sold, windows, scalers=model.scalers), TEST)
    changed = rows["cutoff"] > days[-1]
    assert 0 < changed.sum() < len(rows)
    np.testing.assert_allclose(rows["y_hat"][~changed], value, rtol=1e-12)
    assert (abs(rows["y_hat"][changed] - value) > 1).all()

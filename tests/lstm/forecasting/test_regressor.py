from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from gatecast.lstm.forecasting.regressor import LSTMRegressor

QUICK = {"hidden_size": 4, "max_epochs": 4, "random_state": 0}


def lags(rows=160, steps=6, seed=0):
    """Rows of a noisy sine and what follows each."""
    rng = np.random.default_rng(seed)
    series = np.sin(np.arange(rows + steps) * 2 * np.pi / 11) + 0.05 * rng.standard_normal(rows + steps)
    return np.stack([series[k : k + rows] for k in range(steps)], axis=1), series[steps:]


# scikit-learn expects its own estimators that draw batches at random to fail it too.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "batches are drawn at random"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EstimatorCheckFailedWarning")
def test_scikit_learns_checks_pass():
    checks = check_estimator(LSTMRegressor(), expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    failed = {check["check_name"]: check["exception"] for check in checks if check["status"] == "failed"}
    assert failed == {}
    assert {check["check_name"] for check in checks if check["status"] == "xfail"} <= set(EXPECTED)
    assert len([check for check in checks if check["status"] == "passed"]) >= 50


def test_it_learns_what_follows_and_the_random_state_decides():
    X, y = lags()
    model = LSTMRegressor(hidden_size=8, max_epochs=60, random_state=0).fit(X[:120], y[:120])
    assert model.score(X[120:], y[120:]) > 0.95
    again, other = (clone(model).set_params(random_state=seed).fit(X[:120], y[:120]) for seed in (0, 1))
    assert np.array_equal(model.predict(X), again.predict(X))
    assert not np.array_equal(model.predict(X), other.predict(X))


def test_sequences_of_several_variables_and_targets():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 5, 2)) * [1, 100] + [0, 1000]
    y = np.stack([X[:, -1, 0], X[:, -2, 1]], axis=1)
    model = LSTMRegressor(hidden_size=16, max_epochs=60, random_state=0).fit(X[:150], y[:150])
    assert model.predict(X).shape == (200, 2)
    assert model.score(X[150:], y[150:]) > 0.9


@pytest.mark.parametrize(
    "settings",
    [
        {"num_layers": 3, "residual": True, "layer_norm": True, "bidirectional": True},
        {"attention": "additive", "attention_heads": 2, "dropout": 0.2, "recurrent_dropout": 0.2},
    ],
)
def test_every_variant_of_the_network_is_a_parameter(settings):
    X, y = lags(40)
    model = LSTMRegressor(**QUICK, **settings).fit(X, y)
    assert np.array_equal(model.predict(X), model.predict(X))  # nothing is dropped in prediction
    assert np.isfinite(model.predict(X)).all()


def test_searches_splitters_and_pipelines():
    X, y = lags(60)
    pipeline = make_pipeline(StandardScaler(), LSTMRegressor(**QUICK))
    assert cross_val_score(pipeline, X, y, cv=TimeSeriesSplit(3)).shape == (3,)
    search = GridSearchCV(pipeline, {"lstmregressor__hidden_size": [2, 5]}, cv=TimeSeriesSplit(2)).fit(X, y)
    assert search.best_estimator_.predict(X).shape == (60,)
    assert {entry["lstmregressor__hidden_size"] for entry in search.cv_results_["params"]} == {2, 5}


def test_a_row_of_weight_zero_is_as_if_it_were_not_there_and_heavy_rows_are_fitted_closer():
    X, y = lags(60)
    weights = np.ones(60)
    weights[::3] = 0
    kept = weights > 0
    spoilt = np.where(kept, y, 1e6)
    with_zeros = LSTMRegressor(**QUICK).fit(X, spoilt, weights)
    without = LSTMRegressor(**QUICK).fit(X[kept], y[kept])
    assert np.array_equal(with_zeros.predict(X), without.predict(X))

    half = np.arange(60) < 30
    split = np.where(half, 1.0, -1.0)  # unlearnable: the same inputs with either sign
    X = np.concatenate([X[:30], X[:30]])
    heavy = LSTMRegressor(**QUICK).fit(X, split, np.where(half, 9.0, 1.0)).predict(X)
    assert heavy.mean() == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_only_the_ratios_of_weights_count(factor):
    X, y = lags(60)
    weights = np.where(np.arange(60) < 30, 1.0, 4.0)
    first, second = (LSTMRegressor(**QUICK, loss="mae").fit(X, y, weights * each).predict(X) for each in (1.0, factor))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_partial_fit_goes_on_epoch_by_epoch_with_the_optimiser_as_it_was():
    X, y = lags()
    model = LSTMRegressor(hidden_size=8, random_state=0)
    scores = [model.partial_fit(X, y).score(X, y) for _ in range(30)]
    assert scores[-1] > 0.9 > scores[0]
    assert model.n_iter_ == len(model.history_) == 30
    whole = LSTMRegressor(hidden_size=8, random_state=0, max_epochs=30, schedule="constant").fit(X, y)
    assert np.array_equal(model.predict(X), whole.predict(X))


def test_warm_start_begins_where_the_former_fit_ended():
    X, y = lags()
    cold = LSTMRegressor(hidden_size=8, max_epochs=15, random_state=0).fit(X, y)
    warm = clone(cold).set_params(warm_start=True).fit(X, y)
    first = warm.history_[0].train_loss
    again = warm.fit(X, y).history_[0].train_loss
    assert cold.history_[0].train_loss == first > 5 * again


def test_rows_held_back_stop_the_training_and_choose_the_weights():
    X, y = lags()
    noise = np.random.default_rng(0).normal(size=len(y))
    model = LSTMRegressor(validation_fraction=0.3, patience=3, random_state=0).fit(X, noise)
    best = max(record.epoch for record in model.history_ if record.best)
    assert model.n_iter_ == best + 3 < 100


def test_a_fitted_estimator_is_pickled_and_frames_keep_their_names():
    X, y = lags(40)
    frame = pd.DataFrame(X, columns=[f"lag_{k}" for k in range(6, 0, -1)])
    model = LSTMRegressor(**QUICK).fit(frame, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(frame), model.predict(frame))
    assert model.feature_names_in_.tolist() == list(frame)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 0}, "hidden_size"),
        ({"attention": "cosine"}, "attention"),
        ({"residual": True}, "num_layers of at least 2"),
        ({"validation_fraction": 1}, "below 1"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_wrong_settings_are_refused_in_fit(settings, message):
    X, y = lags(20)
    with pytest.raises(ValueError, match=message):
        LSTMRegressor(**settings).fit(X, y)


def test_wrong_arrays_are_refused():
    X, y = lags(20)
    model = LSTMRegressor(**QUICK).fit(X[:, :, None], y)
    for wrong in (X, X[:, :, None].repeat(2, axis=2), X[:, :3, None], X[:, :, None, None]):
        with pytest.raises(ValueError, match="X has"):
            model.predict(wrong)
    with pytest.raises(ValueError, match="zero"):
        model.fit(X[:, :, None], y, np.zeros(20))
    with pytest.raises(ValueError, match=r"1 targets|2 targets"):
        model.partial_fit(X[:, :, None], np.stack([y, y], axis=1))


@pytest.mark.parametrize("name", ["X", "y"])
def test_values_that_cannot_be_scaled_are_named(name):
    rng = np.random.default_rng(0)
    rows = {"X": rng.standard_normal((20, 4)), "y": rng.standard_normal(20)}
    for factor, words in ((1e200, "a value of column 0 that is too"), (1e-300, "values of column 0 that are too")):
        with pytest.raises(ValueError, match=f"^{name} has {words}"):
            LSTMRegressor(max_epochs=1).fit(**{**rows, name: rows[name] * factor})
    model = LSTMRegressor(max_epochs=1, hidden_size=2).fit(**rows)
    with pytest.raises(ValueError, match=r"^X has a value that is too large to scale to float32"):
        model.predict(rows["X"] * 1e200)


def test_small_units_are_no_constants():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    y = rng.standard_normal(30)
    usual, small = (LSTMRegressor(max_epochs=3, hidden_size=2, random_state=0).fit(X, y * f) for f in (1, 1e-12))
    np.testing.assert_allclose(small.predict(X) * 1e12, usual.predict(X), rtol=1e-3)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_steps_in_compiled_code_have_the_bits_of_single_steps(monkeypatch, loss):
    from gatecast.lstm.forecasting import regressor
    from gatecast.lstm.training.loop import SingleSteps

    rng = np.random.default_rng(0)
    X, y, weights = rng.normal(size=(70, 5, 2)), rng.normal(size=(70, 2)), rng.random(70)
    predictions = []
    for make in (regressor.make_steps, SingleSteps):
        monkeypatch.setattr(regressor, "make_steps", make)
        model = LSTMRegressor(hidden_size=6, loss=loss, dropout=0.2, max_epochs=3, random_state=0)
        predictions.append(model.fit(X, y, weights).partial_fit(X, y, weights).predict(X))
    np.testing.assert_array_equal(*predictions)


def test_absolute_errors_forgive_outliers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = X[:, -1].copy()
    spoilt = np.where(rng.random(300) < 0.1, 40.0, y)
    errors = {
        loss: np.abs(LSTMRegressor(loss=loss, random_state=0).fit(X, spoilt).predict(X) - y).mean()
        for loss in ("mse", "mae")
    }
    assert errors["mae"] < 0.5 * errors["mse"]
    with pytest.raises(ValueError, match="loss is 'smape'; choose mse, mae or huber"):
        LSTMRegressor(loss="smape").fit(X, y)

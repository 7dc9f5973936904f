from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast import Forecaster
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import TEST, TRAIN, VALIDATION, SplitSettings
from gatecast.lstm.forecasting.fitting import Fitting
from gatecast.lstm.forecasting.recipe import sequence_settings

SIZES = {"hidden_size": 4, "max_epochs": 2, "horizon": 3, "lookback": 14, "season": 7}


def frame(rows=160, series=2, seed=0):
    generator = np.random.default_rng(seed)
    ds = pd.date_range("2020-01-01", periods=rows)
    season = np.sin(2 * np.pi * np.arange(rows) / 7)
    return pd.concat(
        [
            pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": 10 + k + season + 0.3 * generator.normal(size=rows)})
            for k in range(series)
        ],
        ignore_index=True,
    )


def sequences_of(model, data, **split):
    return build_sequences(data, sequence_settings(model.settings, data, SplitSettings(**split)))


def fitted(data, **settings):
    model = Forecaster(**{**SIZES, **settings})
    return model.fit_sequences(sequences_of(model, data))


def test_a_network_with_a_skip_begins_as_ridge_regression():
    data = frame()
    model = Forecaster(**SIZES, loss="mse")
    sequences = sequences_of(model, data)
    network = model.fit_sequences(sequences)._new_network()
    fitting = Fitting(model.chosen, sequences, model.scaling)
    fitting.begin(network, TRAIN)
    batch = next(iter(fitting.batches(network, TRAIN).epoch(1)))
    y_hat, _ = network.forward(batch.x, past=batch.past)
    past, y = np.asarray(batch.past, float), np.asarray(batch.y, float)
    skip = network.skip.parameters
    np.testing.assert_allclose(y_hat, past @ np.asarray(skip["weight"]).T + np.asarray(skip["bias"]), atol=1e-5)
    # Near the least squares of these windows, which know nothing of the others.
    assert np.mean((y_hat - y) ** 2) < 0.8 * np.mean((y - y.mean()) ** 2)


def test_the_validation_rows_are_learnt_where_that_is_asked_for():
    data = frame()
    without = fitted(data, fit_until="training")
    with_them = fitted(data, fit_until="validation")
    assert with_them.history == without.history
    assert with_them.boundaries["train_end"] == with_them.boundaries["validation_end"]
    assert without.boundaries["train_end"] < without.boundaries["validation_end"]
    changed = data.copy()
    late = (data.groupby("unique_id").cumcount() >= 116) & (data.groupby("unique_id").cumcount() < 126)
    changed.loc[late, "y"] += 5  # rows of the validation
    other = fitted(changed, fit_until="validation")
    assert not np.array_equal(
        other.network.parameters.to_host()["skip.weight"], with_them.network.parameters.to_host()["skip.weight"]
    )


@pytest.mark.parametrize("fit_until", ["training", "validation"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"window_scaling": "last", "residual": "none", "loss": "huber"},
        {"window_scaling": "mean", "scaling": "none", "loss": "smape", "linear_skip": "none"},
        {"window_scaling": "none", "residual": "last", "loss": "mse"},
        {"bidirectional": True, "dropout": 0.2},
        {"attention": "dot", "loss": "mae"},
        {"differences": "first"},
        {"differences": "seasonal", "season": 7},
        {"series_embedding": 2, "step_weights": (1.0, 2.0, 0.5)},
    ],
    ids=lambda settings: " ".join(f"{name}={value}" for name, value in settings.items()) or "auto",
)
def test_no_forecast_knows_what_comes_after_it(settings, fit_until):
    """Permute all that follows validation: the model and the forecasts made before stay as they are, to the bit."""
    data = frame()
    place = data.groupby("unique_id").cumcount()
    after = place >= 140  # rows of the test
    changed = data.copy()
    changed.loc[after, "y"] = np.random.default_rng(1).permutation(data.loc[after, "y"].to_numpy()) * 7
    first, second = (fitted(each, **settings, fit_until=fit_until) for each in (data, changed))
    for name, weights in first.network.parameters.to_host().items():
        np.testing.assert_array_equal(weights, second.network.parameters.to_host()[name], err_msg=name)
    for split in (VALIDATION, TEST):
        rows = [
            model.predict_windows(sequences_of(model, each), split)
            for model, each in ((first, data), (second, changed))
        ]
        early = rows[0]["cutoff"] <= data["ds"][139]
        assert early.any()
        np.testing.assert_array_equal(rows[0]["y_hat"][early], rows[1]["y_hat"][early])


def test_missing_values_and_short_and_new_series_are_forecast():
    data = frame(series=4)
    generator = np.random.default_rng(2)
    data.loc[generator.random(len(data)) < 0.1, "y"] = np.nan
    short = data[(data["unique_id"] != "s3") | (data.groupby("unique_id").cumcount() >= 150)]
    model = Forecaster(**SIZES).fit(short)
    assert model.sees_missing
    forecast = model.predict()
    assert sorted(forecast["unique_id"].unique()) == ["s0", "s1", "s2", "s3"]
    assert np.isfinite(forecast["y_hat"]).all()
    new = frame(rows=30, series=1, seed=5).assign(unique_id="new")
    assert np.isfinite(model.predict(new)["y_hat"]).all()
    assert len(model.predict(new)) == SIZES["horizon"]


def test_a_forecast_moves_with_its_series():
    data = frame(series=1)
    model = fitted(data, fit_until="training")
    ahead = model.predict(data.tail(60))["y_hat"].to_numpy()
    # Another level and spread, of a series that was not trained on: its own rows scale it.
    moved = data.tail(60).assign(unique_id="moved", y=data["y"].tail(60) * 50 + 1000)
    np.testing.assert_allclose(model.predict(moved)["y_hat"], ahead * 50 + 1000, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"loss": "mse"}, {"loss": "smape", "window_scaling": "mean"}])
def test_samples_are_as_wide_as_their_series(settings):
    data = frame(series=1)
    model = fitted(data, dropout=0.1, fit_until="training", **settings)
    _, samples = model.sample(data.tail(60), n_samples=200)
    moved = data.tail(60).assign(unique_id="moved", y=data["y"].tail(60) * 50)
    _, of_moved = model.sample(moved, n_samples=200)
    np.testing.assert_allclose(of_moved.std(axis=0), 50 * samples.std(axis=0), rtol=1e-3)
    assert 0.1 < samples.std(axis=0).mean() < 1.5  # the noise of the data has 0.3

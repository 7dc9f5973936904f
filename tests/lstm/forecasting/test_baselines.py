from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from gatecast.lstm.forecasting.baselines import BASELINES, predict

ROWS = 120
TRAINED = 80


@pytest.fixture
def frame(rng):
    ds = pd.bdate_range("2020-01-01", periods=ROWS)
    parts = []
    for number, name in enumerate(("alpha", "beta")):
        noise = rng.standard_normal(ROWS)
        y = np.empty(ROWS)
        y[0] = noise[0]
        for t in range(1, ROWS):
            y[t] = (0.9 - 0.5 * number) * y[t - 1] + noise[t]
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y}))
    return pd.concat(parts, ignore_index=True)


def keys_of(frame, horizon=1, first=60):
    """A forecast for every step from every row on, shuffled and oddly indexed."""
    parts = []
    for unique_id, rows in frame.groupby("unique_id"):
        for step in range(1, horizon + 1):
            cutoff = rows["ds"].to_numpy()[first : len(rows) - step]
            parts.append(pd.DataFrame({"unique_id": unique_id, "cutoff": cutoff, "step": step}))
    keys = pd.concat(parts, ignore_index=True).sample(frac=1, random_state=1)
    return keys.set_index(pd.Index(np.arange(len(keys)) * 3 + 7))


def train_end(frame):
    return frame["ds"].iloc[TRAINED - 1]


def value_at(frame, keys, values):
    """Look `values`, one for each row of `frame`, up at the cutoffs."""
    table = pd.Series(np.asarray(values), index=pd.MultiIndex.from_frame(frame[["unique_id", "ds"]]))
    return table.loc[list(zip(keys["unique_id"], keys["cutoff"], strict=True))].to_numpy()


def test_naive_is_the_last_value_or_zero(frame):
    keys = keys_of(frame, horizon=2)
    last = predict("naive", frame, keys, train_end(frame))
    assert last.index.equals(keys.index)
    assert np.array_equal(last, value_at(frame, keys, frame["y"]))
    assert not predict("naive", frame, keys, train_end(frame), naive="zero").any()


@pytest.mark.parametrize("step", [1, 3])
def test_har_is_the_regression_on_means_of_one_five_and_twenty_two(frame, step):
    keys = keys_of(frame, horizon=step).query("step == @step")
    y_hat = predict("har", frame, keys, train_end(frame))
    for unique_id, wanted in keys.groupby("unique_id"):
        y = frame.loc[frame["unique_id"] == unique_id, "y"].to_numpy()
        ds = pd.DatetimeIndex(frame.loc[frame["unique_id"] == unique_id, "ds"])
        inputs = {t: [y[t], y[t - 4 : t + 1].mean(), y[t - 21 : t + 1].mean()] for t in range(21, ROWS)}
        origins = [t for t in inputs if t + step <= TRAINED - 1]
        model = LinearRegression().fit([inputs[t] for t in origins], y[np.array(origins) + step])
        expected = model.predict([inputs[t] for t in ds.get_indexer(pd.DatetimeIndex(wanted["cutoff"]))])
        np.testing.assert_allclose(y_hat[wanted.index], expected, rtol=1e-8)


def test_ewma_is_the_weighted_mean_with_the_best_decay_of_the_training_rows(frame):
    keys = keys_of(frame)
    y_hat = predict("ewma", frame, keys, train_end(frame))

    def smoothed(y, alpha):
        means = [y[0]]
        for value in y[1:]:
            means.append(alpha * value + (1 - alpha) * means[-1])
        return np.array(means)

    means = []
    for _, rows in frame.groupby("unique_id"):
        y = rows["y"].to_numpy()
        errors = {
            alpha: np.mean((smoothed(y, alpha)[: TRAINED - 1] - y[1:TRAINED]) ** 2) for alpha in np.arange(1, 100) / 100
        }
        means.append(smoothed(y, min(errors, key=errors.get)))
    np.testing.assert_allclose(y_hat, value_at(frame, keys, np.concatenate(means)), rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_rows_after_training_do_not_change_the_fit(frame, name):
    keys = keys_of(frame, horizon=2)
    before = keys[keys["cutoff"] <= train_end(frame)]
    changed = frame.copy()
    later = changed["ds"] > train_end(frame)
    changed.loc[later, "y"] = changed.loc[later, "y"] * 50 + 300
    expected = predict(name, frame, before, train_end(frame))
    assert len(expected) > 40
    assert np.array_equal(predict(name, changed, before, train_end(frame)), expected)


@pytest.mark.parametrize("name", BASELINES)
def test_a_forecast_depends_on_nothing_after_its_cutoff(frame, name):
    cutoff = frame["ds"].iloc[100]
    key = pd.DataFrame({"unique_id": ["beta"], "cutoff": [cutoff], "step": [1]})
    expected = predict(name, frame, key, train_end(frame))
    truncated = frame[frame["ds"] <= cutoff]
    assert np.array_equal(predict(name, truncated, key, train_end(frame)), expected)


@pytest.mark.parametrize("name", BASELINES)
def test_a_series_is_forecast_from_its_own_rows(frame, name):
    keys = keys_of(frame)
    alone = frame[frame["unique_id"] == "beta"]
    expected = predict(name, frame, keys, train_end(frame))
    wanted = keys[keys["unique_id"] == "beta"]
    assert np.array_equal(predict(name, alone, wanted, train_end(frame)), expected[wanted.index])


@pytest.mark.parametrize(("name", "too_few"), [("har", 25), ("ewma", 2)])
def test_too_few_training_rows_give_no_forecast(frame, name, too_few):
    keys = keys_of(frame)
    assert predict(name, frame, keys, frame["ds"].iloc[too_few - 1]).isna().all()


def test_an_unknown_baseline_is_refused_with_the_known_ones(frame):
    with pytest.raises(ValueError, match="'arima' is unknown; choose naive, har, ewma"):
        predict("arima", frame, keys_of(frame), train_end(frame))


@pytest.mark.parametrize("change", [{"cutoff": pd.Timestamp("2031-01-01")}, {"unique_id": "gamma"}])
def test_a_cutoff_that_is_not_in_the_frame_is_refused(frame, change):
    keys = keys_of(frame).head(3).assign(**change)
    with pytest.raises(ValueError, match=str(next(iter(change.values())))[:10]):
        predict("naive", frame, keys, train_end(frame))

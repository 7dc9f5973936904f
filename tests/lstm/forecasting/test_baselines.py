from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from gatecast.lstm.forecasting.baselines import (  # fmt: skip
    HAR,
    Drift,
    ExponentialMean,
    LastValue,
    SeasonalNaive,
    WindowMean,
    Zero,
    forecast,
    predict,
)
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.ridge import Ridge

ROWS = 120
TRAINED = 80
EACH = (LastValue(), Zero(), SeasonalNaive(7), WindowMean(5), Drift(), HAR(), ExponentialMean(), Ridge(6))


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


def test_the_simple_ones_by_hand():
    """Seven rows of which the last three are forecast from the fourth, then from the fifth."""
    panel = Panel.of_frame(
        pd.DataFrame({"unique_id": "x", "ds": range(7), "y": [3.0, 1.0, 8.0, 5.0, 9.0, 2.0, 7.0]}), 3
    )
    origins = np.array([3, 4])
    expected = {
        LastValue(): [[5, 5, 5], [9, 9, 9]],
        Zero(): [[0, 0, 0], [0, 0, 0]],
        SeasonalNaive(2): [[8, 5, 8], [5, 9, 5]],
        SeasonalNaive(4): [[3, 1, 8], [1, 8, 5]],
        WindowMean(3): [[14 / 3] * 3, [22 / 3] * 3],
        WindowMean(9): [[17 / 4] * 3, [26 / 5] * 3],
        Drift(): [[5 + 2 / 3 * step for step in (1, 2, 3)], [9 + 6 / 4 * step for step in (1, 2, 3)]],
    }
    for baseline, y_hat in expected.items():
        np.testing.assert_allclose(baseline.forecast(panel, origins, 3), y_hat, rtol=1e-12, err_msg=baseline.label)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9 + 0.1])
@pytest.mark.parametrize("baseline", EACH, ids=lambda baseline: baseline.name)
def test_a_constant_goes_on_exactly(baseline, level):
    if baseline == Zero():
        return
    panel = Panel.of_frame(pd.DataFrame({"unique_id": "x", "ds": range(60), "y": np.full(60, level)}), 49)
    y_hat = baseline.forecast(panel, np.array([50, 53]), 3)
    tolerance = 1e-12 if baseline in (HAR(), ExponentialMean()) else 0
    np.testing.assert_allclose(y_hat, level, rtol=tolerance, atol=0 if level else 1e-300)


@pytest.mark.parametrize("baseline", EACH, ids=lambda baseline: baseline.name)
def test_rows_after_training_do_not_change_the_fit(frame, baseline):
    keys = keys_of(frame, horizon=2)
    before = keys[keys["cutoff"] <= train_end(frame)]
    changed = frame.copy()
    later = changed["ds"] > train_end(frame)
    changed.loc[later, "y"] = changed.loc[later, "y"] * 50 + 300
    expected = forecast([baseline], frame, before, train_end(frame)).values
    assert len(expected) > 40
    assert forecast([baseline], changed, before, train_end(frame)).values.equals(expected)


@pytest.mark.parametrize("baseline", EACH, ids=lambda baseline: baseline.name)
def test_a_forecast_depends_on_nothing_after_its_cutoff(frame, baseline):
    cutoff = frame["ds"].iloc[100]
    key = pd.DataFrame({"unique_id": ["beta"], "cutoff": [cutoff], "step": [2]})
    expected = forecast([baseline], frame, key, train_end(frame)).values
    truncated = frame[frame["ds"] <= cutoff]
    assert forecast([baseline], truncated, key, train_end(frame)).values.equals(expected)


@pytest.mark.parametrize("baseline", EACH, ids=lambda baseline: baseline.name)
def test_many_origins_at_once_are_as_one_by_one(frame, baseline):
    """More origins than are gathered in one go."""
    long = pd.concat([frame.assign(unique_id=f"{number}") for number in range(30)], ignore_index=True)
    panel = Panel.of_frame(long, train_end(frame))
    origins = np.flatnonzero(panel.known(np.arange(len(panel.y))) > 40)
    assert len(origins) > 4096
    together = baseline.forecast(panel, origins, 3)
    assert together.shape == (len(origins), 3)
    for place in (0, 4095, 4096, len(origins) - 1):
        alone = baseline.forecast(panel, origins[place : place + 1], 3)
        np.testing.assert_allclose(together[place : place + 1], alone, rtol=1e-12)


@pytest.mark.parametrize("baseline", EACH, ids=lambda baseline: baseline.name)
def test_a_missing_value_spoils_no_forecast(frame, baseline):
    holes = frame.copy()
    holes.loc[holes.index % 17 == 3, "y"] = np.nan
    y_hat = forecast([baseline], holes, keys_of(frame, horizon=2), train_end(frame)).values[baseline.name]
    assert np.isfinite(y_hat).all()
    assert y_hat.abs().max() < 3 * frame["y"].abs().max()


@pytest.mark.parametrize("baseline", [b for b in EACH if b.name != "ridge"], ids=lambda baseline: baseline.name)
def test_a_series_is_forecast_from_its_own_rows(frame, baseline):
    keys = keys_of(frame)
    expected = forecast([baseline], frame, keys, train_end(frame)).values
    alone = frame[frame["unique_id"] == "beta"]
    wanted = keys[keys["unique_id"] == "beta"]
    assert forecast([baseline], alone, wanted, train_end(frame)).values.equals(expected.loc[wanted.index])


def test_the_last_value_takes_the_place_of_a_baseline_that_a_series_is_too_short_for(frame):
    """Two series of which one has no full season, and a third that is long enough for all."""
    days = frame["ds"].iloc[:ROWS]
    short = pd.DataFrame({"unique_id": "young", "ds": days.iloc[60:], "y": np.arange(60.0)})
    keys = keys_of(frame, first=80)
    keys = pd.concat([keys, pd.DataFrame({"unique_id": "young", "cutoff": days.iloc[[70, 90]], "step": 1})])
    keys = keys.reset_index(drop=True)
    y_hat = forecast([SeasonalNaive(30), LastValue()], pd.concat([frame, short]), keys, train_end(frame))
    young = y_hat.values[keys["unique_id"] == "young"]
    assert young["seasonal_naive_30"].tolist() == [10.0, 1.0]
    assert y_hat.notes == (
        "The last value takes the place of seasonal naive 30 in 1 of 3 series, where there are too few rows.",
    )


def test_a_season_longer_than_all_series_leaves_the_last_value_and_a_note(frame):
    alone = frame[frame["unique_id"] == "alpha"]
    keys = keys_of(alone)
    y_hat = forecast([SeasonalNaive(500), LastValue()], alone, keys, train_end(frame))
    assert y_hat.values["seasonal_naive_500"].equals(y_hat.values["naive"].rename("seasonal_naive_500"))
    assert y_hat.notes == ("The last value takes the place of seasonal naive 500, since there are too few rows.",)


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

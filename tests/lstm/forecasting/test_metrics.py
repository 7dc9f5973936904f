from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from gatecast.lstm.forecasting.metrics import mape, regression, sequence, skill


def test_measures_by_hand():
    measures = regression(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 2.0]))
    assert measures == pytest.approx({"mse": 5 / 3, "mae": 1.0, "rmse": (5 / 3) ** 0.5, "r2": 1 - 5 / 2})
    assert mape(np.array([1.0, -2.0, 4.0]), np.array([1.5, -1.0, 4.0])) == pytest.approx(100 * (0.5 + 0.5 + 0) / 3)


def test_measures_agree_with_scikit_learn(rng):
    y = rng.standard_normal(200) + 3
    y_hat = y + 0.5 * rng.standard_normal(200)
    measures = regression(y, y_hat)
    assert measures["mse"] == pytest.approx(sklearn_metrics.mean_squared_error(y, y_hat), rel=1e-12)
    assert measures["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(y, y_hat), rel=1e-12)
    assert measures["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(y, y_hat), rel=1e-12)
    assert measures["r2"] == pytest.approx(sklearn_metrics.r2_score(y, y_hat), rel=1e-12)
    assert mape(y, y_hat) == pytest.approx(100 * sklearn_metrics.mean_absolute_percentage_error(y, y_hat), rel=1e-12)


def test_float32_forecasts_are_measured_in_float64():
    y = np.full(1000, 2000.5, "float32")
    y_hat = np.full(1000, 2000.25, "float32")
    assert regression(y, y_hat)["mse"] == 0.0625


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, 1 / 3, 1e9 + 0.1])
@pytest.mark.parametrize("count", [1, 3, 10, 1000])
def test_r2_of_a_constant_is_nan_and_the_rest_is_not(value, count):
    y = np.full(count, value)
    measures = regression(y, y + 1)
    assert np.isnan(measures["r2"])
    assert measures["mae"] == pytest.approx(1.0)


def test_a_perfect_forecast():
    y = np.array([1.0, 0.0, 3.0])
    assert regression(y, y) == {"mse": 0.0, "mae": 0.0, "rmse": 0.0, "r2": 1.0}
    assert mape(y, y) == 0.0


def test_a_percentage_of_zero_is_infinite():
    assert mape(np.array([0.0, 1.0]), np.array([1.0, 1.0])) == np.inf


@pytest.mark.parametrize("measure", [regression, mape])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_nan_and_infinity_are_refused(measure, bad, place):
    arrays = [np.ones(3), np.ones(3)]
    arrays[place][1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        measure(*arrays)


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((3, 1), (3, 1)), ((0,), (0,)), ((3,), (3, 1))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="n at least 1"):
        regression(*(np.zeros(shape) for shape in shapes))


def test_skill_is_the_share_of_the_naive_error_taken_away():
    assert skill(0.9, 1.0) == pytest.approx(0.1)
    assert skill(1.5, 1.0) == pytest.approx(-0.5)
    assert np.isnan(skill(0.5, 0.0))


def test_sequence_metrics_of_a_small_example():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    scores = sequence(np.array([0, 2]), np.log(probabilities))
    expected = -(math.log(0.5) + math.log(0.1)) / 2
    assert scores == pytest.approx({"accuracy": 0.5, "cross_entropy": expected, "perplexity": math.exp(expected)})


def test_sequence_metrics_do_not_depend_on_the_logits_scale_and_shift(rng):
    targets = rng.integers(0, 5, (3, 4))
    logits = rng.normal(size=(3, 4, 5))
    assert sequence(targets, logits + 1e4) == pytest.approx(sequence(targets, logits), rel=1e-9)
    assert sequence(targets, logits.astype("float32") * 0)["perplexity"] == pytest.approx(5)


def test_what_is_masked_is_not_looked_at(rng):
    targets = rng.integers(0, 5, (2, 3))
    logits = rng.normal(size=(2, 3, 5))
    mask = np.array([[True, True, False], [True, False, False]])
    expected = sequence(targets[mask], logits[mask])
    targets[~mask] = -100
    logits[~mask] = np.nan
    assert sequence(targets, logits, mask) == expected


def test_a_target_of_probability_zero_costs_infinity():
    scores = sequence(np.array([0]), np.array([[-np.inf, 0.0]]))
    assert scores == {"accuracy": 0.0, "cross_entropy": math.inf, "perplexity": math.inf}


@pytest.mark.parametrize(
    ("targets", "logits", "mask", "message"),
    [
        ([0, 1], np.zeros((3, 2)), None, "have shape"),
        ([0, 1], np.zeros((2, 2)), [True], "have shape"),
        ([0, 1], np.zeros((2, 2)), [False, False], "no target counts"),
        ([0, 2], np.zeros((2, 2)), None, "integers from 0 to 1"),
        ([0.0, 1.0], np.zeros((2, 2)), None, "integers from 0 to 1"),
        ([0, 1], np.full((2, 2), np.nan), None, "NaN"),
    ],
)
def test_sequence_metrics_refuse_what_makes_no_sense(targets, logits, mask, message):
    with pytest.raises(ValueError, match=message):
        sequence(np.array(targets), logits, None if mask is None else np.array(mask))

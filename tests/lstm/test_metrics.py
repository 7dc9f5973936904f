from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from lstm.metrics import mape, regression, skill


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
    y, y_hat = np.full(1000, 2000.5, "float32"), np.full(1000, 2000.25, "float32")
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

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from scipy import stats

from gatecast.lstm.forecasting.calibration import Calibration

ONE = ("alpha",)


def of_errors(errors, series=None, unique_ids=ONE):
    errors = np.asarray(errors, np.float64).reshape(len(errors), -1)
    return Calibration.of_errors(errors, np.zeros(len(errors), int) if series is None else series, unique_ids)


def brute_force(errors, probability):
    """The bound of split conformal prediction, one error after another; None if there is no such rank."""
    ordered = sorted(errors)
    rank = round(probability * (len(ordered) + 1), 9)
    rank = math.ceil(rank) if probability > 0.5 else math.floor(rank)
    return ordered[rank - 1] if 1 <= rank <= len(ordered) else None


@pytest.mark.parametrize("count", [3, 9, 19, 39, 40, 199, 201])
@pytest.mark.parametrize("probability", [0.025, 0.1, 0.25, 0.3, 0.75, 0.9, 0.975])
def test_bounds_are_those_of_the_conformal_ranks(rng, count, probability):
    errors = rng.normal(size=(count, 2))
    (bounds,) = of_errors(errors).quantiles([probability])
    for step in range(2):
        expected = brute_force(errors[:, step], probability)
        if expected is not None:
            assert bounds[step] == np.float32(expected)
            continue
        largest = np.abs(errors[:, step]).max()
        assert bounds[step] * (1 if probability > 0.5 else -1) >= np.float32(largest)


def test_the_median_lies_in_the_middle(rng):
    errors = rng.normal(size=20)
    assert of_errors(errors).quantiles([0.5])[0, 0] == pytest.approx(np.median(errors), rel=1e-6)


@pytest.mark.parametrize("count", [500, 4_321])
def test_a_grid_of_many_errors_is_never_narrower_than_all_of_them(rng, count):
    errors = rng.standard_t(3, size=count)
    calibration = of_errors(errors)
    assert len(calibration.errors) == 201
    for probability in (0.001, 0.01, 0.025, 0.1, 0.33, 0.67, 0.9, 0.975, 0.99):
        exact = brute_force(errors, probability)
        if exact is None:
            continue
        (found,) = calibration.quantiles([probability])[0]
        (outwards,) = calibration.quantiles([probability + (0.005 if probability > 0.5 else -0.005)])[0]
        assert found >= np.float32(exact) if probability > 0.5 else found <= np.float32(exact)
        assert abs(found) <= abs(outwards)
    assert calibration.quantiles([0.1, 0.9]).ravel().tolist() == [
        np.float32(brute_force(errors, 0.1)), np.float32(brute_force(errors, 0.9))
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "level"), [(9, 80), (19, 80), (19, 95), (30, 95), (39, 95), (400, 80), (400, 95)])
def test_exchangeable_errors_are_covered_as_promised(count, level):
    """At least the level, and hardly more than the 1 / (n + 1) of each bound, or the step of the grid."""
    rng = np.random.default_rng(count + level)
    inside = []
    for _ in range(1_500 if count < 100 else 300):
        errors = rng.gamma(2.0, size=count + 40)
        low, high = of_errors(errors[:count]).quantiles([0.5 - level / 200, 0.5 + level / 200])[:, 0]
        inside.append(np.mean((errors[count:] >= low) & (errors[count:] <= high)))
    deviation = np.std(inside) / math.sqrt(len(inside))
    assert np.mean(inside) > level / 100 - 3 * deviation
    if count >= 39:
        assert np.mean(inside) < level / 100 + 2 / (count + 1) + 3 * deviation


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_too_few_errors_widen_the_interval_and_are_told(rng, caplog, count):
    errors = rng.normal(size=(count, 2))
    calibration = of_errors(errors)
    with caplog.at_level(logging.WARNING):
        calibration.warn_if_scarce([0.1, 0.9, 0.025, 0.975])
    (record,) = caplog.records
    assert f"95 % needs 19 validation windows, and there are {count}" in record.getMessage()
    low, high = calibration.quantiles([0.025, 0.975])
    assert (low == -high).all()
    assert (high >= np.abs(errors).max(axis=0).astype(np.float32)).all()
    pooled = math.sqrt(np.mean(errors**2) * (1 + 1 / count)) * stats.t.ppf(0.975, count)
    assert (high >= 0.999 * pooled).all()


def test_enough_errors_are_not_told(rng, caplog):
    of_errors(rng.normal(size=19)).warn_if_scarce([0.025, 0.975])
    of_errors(rng.normal(size=4)).warn_if_scarce([0.1, 0.9])
    assert not caplog.records


@pytest.mark.parametrize("count", [1, 3, 9, 19, 38, 39, 100, 1_000])
def test_wider_intervals_hold_narrower_ones(rng, count):
    probabilities = np.concatenate([np.linspace(0.001, 0.499, 60), [0.5], np.linspace(0.501, 0.999, 60)])
    bounds = of_errors(rng.standard_t(2, size=(count, 3))).quantiles(probabilities)
    assert (np.diff(bounds, axis=0) >= 0).all()


def test_missing_errors_count_in_no_step(rng):
    errors = rng.normal(size=(60, 3))
    errors[:40, 1] = np.nan
    errors[:, 2] = np.nan
    calibration = of_errors(errors)
    assert calibration.counts.tolist() == [60, 20, 20]  # a step without any has those of the nearest
    assert calibration.quantiles([0.9])[0, 1] == np.float32(brute_force(errors[40:, 1], 0.9))
    assert of_errors(np.full((4, 2), np.nan)) is None
    assert Calibration.of_errors(np.empty((0, 2)), np.zeros(0, int), ONE) is None


def test_series_with_larger_errors_have_wider_intervals(rng):
    unique_ids = tuple(f"s{number}" for number in range(10))
    series = np.repeat(np.arange(10), 60)
    sizes = np.where(np.arange(10) < 5, 1.0, 4.0)
    calibration = of_errors(rng.normal(size=(600, 2)) * sizes[series, None], series, unique_ids)
    scales = calibration.scales_of((*unique_ids, "unseen"))
    assert scales[5:10].mean() / scales[:5].mean() == pytest.approx(4, rel=0.15)
    assert scales[-1] == 1
    low, high = calibration.quantiles([0.1, 0.9])
    later = rng.normal(size=(10, 4_000, 2)) * sizes[:, None, None]
    inside = (later >= low * scales[:10, None, None]) & (later <= high * scales[:10, None, None])
    assert (np.abs(inside.mean(axis=(1, 2)) - 0.8) < 0.12).all()
    assert inside.mean() == pytest.approx(0.8, abs=0.02)


def test_series_that_differ_by_chance_alone_keep_one_scale(rng):
    series = np.repeat(np.arange(30), 6)
    calibration = of_errors(rng.normal(size=(180, 1)), series, tuple(map(str, range(30))))
    assert np.abs(np.log(calibration.scales_of(tuple(map(str, range(30)))))).max() < 0.25


def test_a_window_is_not_measured_by_its_own_error(rng):
    """A single huge error makes its own half of the series no wider, only the other half narrower."""
    series = np.repeat(np.arange(4), 20)
    errors = rng.normal(size=(80, 1))
    errors[5] = 50
    calibration = of_errors(errors, series, tuple("abcd"))
    assert calibration.errors.max() > 25


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_courses_have_the_errors_of_each_step_and_go_together_as_they_did(rng, correlation):
    covariance = correlation + (1 - correlation) * np.eye(6)
    errors = np.exp(rng.multivariate_normal(np.zeros(6), covariance, size=1_500))
    courses = of_errors(errors).draw(4_000, 2, seed=4)
    assert courses.shape == (4_000, 2, 6)
    for level in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(
            np.quantile(courses[:, 0], level, axis=0), np.quantile(errors, level, axis=0), rtol=0.15
        )
    assert np.quantile(courses[:, 1].sum(axis=1), 0.95) == pytest.approx(np.quantile(errors.sum(axis=1), 0.95), rel=0.1)
    assert abs(np.corrcoef(courses[:, 0, 0], courses[:, 1, 0])[0, 1]) < 0.06  # series are independent
    np.testing.assert_array_equal(courses, of_errors(errors).draw(4_000, 2, seed=4))


def test_courses_of_few_errors_reach_as_far_as_the_intervals(rng):
    calibration = of_errors(rng.normal(size=(5, 1)))
    courses = calibration.draw(20_000, 1, seed=0)[:, 0, 0]
    low, high = calibration.quantiles([0.025, 0.975])[:, 0]
    assert np.quantile(courses, 0.025) == pytest.approx(low, rel=0.1)
    assert np.quantile(courses, 0.975) == pytest.approx(high, rel=0.1)


def test_a_calibration_survives_its_arrays(rng):
    calibration = of_errors(rng.normal(size=(300, 3)), np.repeat([0, 1], 150), ("a", "b"))
    again = Calibration.from_arrays(calibration.to_arrays(("a", "b")), ("a", "b"), 3)
    for name in ("errors", "counts", "correlation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(calibration, name))
    assert again.scales == calibration.scales
    assert sum(array.nbytes for array in calibration.to_arrays(("a", "b")).values()) < 3_000


@pytest.mark.parametrize("name", ["errors", "counts", "correlation", "scales"])
@pytest.mark.parametrize("harm", [lambda a: a[:-1], lambda a: a * np.nan, lambda a: -a, lambda a: a.astype("float16")])
def test_arrays_that_do_not_fit_together_are_refused(rng, name, harm):
    arrays = of_errors(rng.normal(size=(30, 2))).to_arrays(ONE)
    harmed = harm(arrays[name])
    if harmed.dtype == np.float16 and name != "counts":
        harmed = harmed[..., None]
    with pytest.raises(ValueError):
        Calibration.from_arrays({**arrays, name: harmed}, ONE, 2)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from gatecast.lstm.forecasting.significance import TESTS, diebold_mariano, paired_bootstrap

EACH = pytest.mark.parametrize("test", TESTS.values(), ids=TESTS.keys())


def moving_average(rng: np.random.Generator, origins: int, horizon: int) -> np.ndarray:
    noise = rng.normal(size=origins + horizon - 1)
    return np.convolve(noise, np.ones(horizon), "valid")


def test_one_step_ahead_it_is_the_paired_t_test(rng: np.random.Generator) -> None:
    # With one step ahead the corrected statistic is Student's, whose variance has n - 1 below it.
    difference = rng.normal(0.1, size=50)
    expected = stats.ttest_1samp(difference, 0, alternative="greater").pvalue
    assert diebold_mariano(difference) == pytest.approx(expected)


def test_several_steps_ahead_against_the_formula_written_out(rng: np.random.Generator) -> None:
    difference = moving_average(rng, 80, 3) + 0.3
    h = 3
    n = len(difference)
    mean = sum(difference) / n
    variance = 0.0
    for lag in (-2, -1, 0, 1, 2):
        pairs = [(k, k - abs(lag)) for k in range(abs(lag), n)]
        variance += sum((difference[a] - mean) * (difference[b] - mean) for a, b in pairs) / n
    statistic = mean / (variance / n) ** 0.5 * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
    assert diebold_mariano(difference, h) == pytest.approx(1 - stats.t.cdf(statistic, n - 1))


@EACH
@pytest.mark.parametrize("horizon", [1, 4])
def test_without_a_difference_few_are_found(test: Callable[..., float], horizon: int) -> None:
    rng = np.random.default_rng(3)
    found = [test(moving_average(rng, 150, horizon), horizon) < 0.05 for _ in range(300)]
    assert 0.01 < np.mean(found) < 0.12


@EACH
def test_a_plain_difference_is_found_in_its_direction(test: Callable[..., float], rng: np.random.Generator) -> None:
    difference = rng.normal(0.5, size=100)
    assert test(difference) < 0.01
    assert test(-difference) > 0.9


@EACH
@pytest.mark.parametrize("difference", [[], [1.0], [1.0, 2.0], [0.0] * 20])
def test_where_nothing_can_be_said_the_p_value_is_1(test: Callable[..., float], difference: list[float]) -> None:
    assert test(np.array(difference)) == 1.0


def test_a_constant_gain_is_certain() -> None:
    assert diebold_mariano(np.full(20, 0.5)) == 0.0
    assert paired_bootstrap(np.full(20, 0.5)) == pytest.approx(1 / 2001)


def test_the_draws_are_those_of_the_seed(rng: np.random.Generator) -> None:
    difference = rng.normal(0.1, size=60)
    assert paired_bootstrap(difference, seed=1) == paired_bootstrap(difference, seed=1)
    assert paired_bootstrap(difference, seed=1) != paired_bootstrap(difference, seed=2)

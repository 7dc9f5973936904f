from __future__ import annotations

import math

import numpy as np
import pytest

from gatecast.lstm.forecasting.drift import (
    STATISTICS,
    Rows,
    chance_greatest,
    foreseen_greatest,
    kolmogorov_smirnov,
    level_shift,
    longest_constant,
    population_stability,
    same_season,
    usual_greatest,
)

EACH = pytest.mark.parametrize("name", STATISTICS)


def test_stability_against_the_formula_written_out() -> None:
    reference = np.arange(1000.0)
    values = np.array([50.0] * 30 + [950.0] * 10)
    p = [(100 + 0.5) / 1005] * 10
    q = [30.5 / 45, *[0.5 / 45] * 8, 10.5 / 45]
    expected = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert population_stability(reference, values) == pytest.approx(expected)


def test_distance_by_brute_force(rng: np.random.Generator) -> None:
    reference = rng.normal(size=70)
    values = rng.normal(0.5, size=40)
    points = np.concatenate([reference, values])
    expected = max(abs(np.mean(reference <= point) - np.mean(values <= point)) for point in points)
    assert kolmogorov_smirnov(reference, values) == pytest.approx(expected)


@EACH
def test_a_shift_is_greater_than_none(name: str, rng: np.random.Generator) -> None:
    reference = rng.normal(size=5000)
    same = rng.normal(size=200)
    spread = 3 * rng.normal(size=200)
    moved = rng.normal(2, size=200)
    statistic = STATISTICS[name]
    assert statistic(reference, reference) == pytest.approx(0, abs=1e-9)
    assert statistic(reference, same) < 0.15
    assert statistic(reference, spread) > 0.2
    assert statistic(reference, moved) > 0.5


@EACH
def test_a_constant_reference_has_a_figure(name: str) -> None:
    constant = np.full(100, 3.0)
    assert STATISTICS[name](constant, constant) == pytest.approx(0, abs=0.05)
    assert STATISTICS[name](constant, constant + 1) > 0.2


@EACH
def test_slow_series_differ_from_themselves(name: str, rng: np.random.Generator) -> None:
    slow = np.cumsum(rng.normal(size=1000))
    quick = rng.normal(size=1000)
    usual = usual_greatest([slow], 50, name)
    parts = [STATISTICS[name](slow, slow[k * 50 : (k + 1) * 50]) for k in range(20)]
    assert usual == max(parts)
    assert usual > usual_greatest([quick], 50, name)
    assert usual_greatest([quick[:99]], 50, name) == 0.0


@EACH
def test_the_series_of_a_stretch_are_pooled(name: str, rng: np.random.Generator) -> None:
    a = rng.normal(size=300)
    b = rng.normal(1, size=200)
    whole = np.concatenate([a, b])
    parts = [np.concatenate([a[:100], b[:100]]), np.concatenate([a[100:200], b[100:]]), a[200:]]
    assert usual_greatest([a, b], 100, name) == max(STATISTICS[name](whole, part) for part in parts)


@EACH
def test_chance_exceeds_its_limit_as_often_as_it_says(name: str) -> None:
    rng = np.random.default_rng(4)
    reference = rng.normal(size=2000)
    limit = chance_greatest(2000, 80, name, 0.05)
    exceeded = [STATISTICS[name](reference, rng.normal(size=80)) > limit for _ in range(1000)]
    assert 0.01 < np.mean(exceeded) < 0.07
    assert chance_greatest(2000, 80, name) > limit


@EACH
def test_what_is_foreseen_is_rarely_exceeded(name: str) -> None:
    exceeded = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=660)
        reference = values[:600]
        exceeded += STATISTICS[name](reference, values[600:]) > foreseen_greatest([reference], 60, name)
    assert exceeded <= 8
    assert foreseen_greatest([np.arange(100.0)], 60, name) == 0.0


DAY = 86_400_000_000_000


def days(values: np.ndarray, first: int = 0) -> Rows:
    return Rows((first + np.arange(len(values))) * DAY, values)


def test_a_season_and_a_trend_leave_nothing_but_a_constant() -> None:
    time = np.arange(4 * 364.0)
    values = 10 * np.sin(2 * np.pi * time / 364) + 5 * (time % 7 == 6) + time / 364
    compared = same_season([days(values[:-100])], [days(values[-60:], len(values) - 60)], 60)
    assert compared.words == ", less those of the same season (year) before"
    everything = np.concatenate([*compared.reference, *compared.latest])
    assert np.allclose(everything, everything[0])
    assert len(compared.latest[0]) == 60


def test_rows_are_as_they_are_without_a_season_before() -> None:
    values = np.arange(400.0)
    values[[3, 390]] = np.nan
    compared = same_season([days(values[:340])], [days(values[340:], 340)], 60)
    assert compared.words == ""
    assert compared.reference[0].tolist() == [value for value in range(340) if value != 3]
    assert len(compared.latest[0]) == 59


def test_only_rows_of_the_reference_are_taken_off() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=5 * 365)
    values[3 * 365 :] += 100  # since the training, for more than a year
    compared = same_season([days(values[: 3 * 365])], [days(values[-60:], len(values) - 60)], 60)
    assert compared.latest[0].mean() > 90


def test_a_shift_of_the_level_has_no_greatest_value(rng: np.random.Generator) -> None:
    values = rng.normal(size=1000)
    found = [level_shift(values, rng.normal(size=60) + shift) for shift in (0, 1, 10, 100)]
    figures = [shift.value for shift in found if shift is not None]
    assert figures == sorted(figures)
    assert [shift.value > shift.limit for shift in found if shift is not None] == [False, True, True, True]
    assert level_shift(values[:200], values[:60]) is None
    assert level_shift(values, values[:0]) is None


def test_a_level_that_was_there_is_no_news(rng: np.random.Generator) -> None:
    values = rng.normal(size=1000)
    values[-40:] += 50
    shift = level_shift(values, values[-57:])
    assert shift is not None
    assert shift.value <= shift.limit


def test_the_level_of_a_constant_is_its_own() -> None:
    constant = np.full(600, 0.1)
    same = level_shift(constant, constant[:60])
    other = level_shift(constant, constant[:60] + 1)
    assert same is not None
    assert other is not None
    assert same.value <= same.limit
    assert other.value > other.limit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (0, 0)),
        ([1.0], (1, 0)),
        ([1.0, 1.0, 2.0], (1, 2)),
        ([1.0, 2.0, 2.0, 3.0, 3.0, 3.0], (3, 2)),
        ([2.0, 2.0, np.nan, 2.0], (3, 0)),
    ],
)
def test_rows_of_the_same_value_are_counted(values: list[float], expected: tuple[int, int]) -> None:
    assert longest_constant(np.array(values)) == expected

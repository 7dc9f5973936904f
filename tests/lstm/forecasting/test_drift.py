from __future__ import annotations

import math

import numpy as np
import pytest

from gatecast.lstm.forecasting.drift import (
    STATISTICS,
    chance_greatest,
    kolmogorov_smirnov,
    population_stability,
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

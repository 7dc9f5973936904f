"""Naive2 as the competition's own R code has it, written out in plain loops."""

from __future__ import annotations

import numpy as np


def naive2(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Return what R's ``decompose`` and the competition's test of seasonality give."""
    indices = [1.0] * season
    if len(y) >= 3 * season and is_seasonal(y, season):
        ratios: list[list[float]] = [[] for _ in range(season)]
        half = season // 2
        for row in range(half, len(y) - half):
            if season % 2:
                trend = sum(y[row - half : row + half + 1]) / season
            else:
                trend = (y[row - half] / 2 + sum(y[row - half + 1 : row + half]) + y[row + half] / 2) / season
            ratios[row % season].append(y[row] / trend)
        means = [sum(of_place) / len(of_place) for of_place in ratios]
        indices = [mean * season / sum(means) for mean in means]
    adjusted = y[-1] / indices[(len(y) - 1) % season]
    return np.array([adjusted * indices[(len(y) + step) % season] for step in range(horizon)])


def is_seasonal(y: np.ndarray, season: int) -> bool:
    mean = sum(y) / len(y)
    variance = sum((value - mean) ** 2 for value in y)
    r = [
        sum((y[row] - mean) * (y[row + lag] - mean) for row in range(len(y) - lag)) / variance
        for lag in range(1, season + 1)
    ]
    limit = 1.645 / len(y) ** 0.5 * (1 + 2 * sum(value**2 for value in r[:-1])) ** 0.5
    return abs(r[-1]) > limit

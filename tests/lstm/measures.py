"""Oracles of the field's measures, in loops from their formulas, importing nothing of the project.

M4: Makridakis, Spiliotis & Assimakopoulos (2020), and the competition's ``Benchmarks and Evaluation.R``.
"""

from __future__ import annotations

import math


def seasonal_error(training, season, power=1):
    """Mean of |y_t - y_{t-m}|^power over the training values."""
    errors = [abs(training[t] - training[t - season]) ** power for t in range(season, len(training))]
    return sum(errors) / len(errors)


def smape(y, y_hat):
    """M4's, in percent; no error where actual and forecast are both zero."""
    terms = [0.0 if a == f == 0 else 200 * abs(a - f) / (abs(a) + abs(f)) for a, f in zip(y, y_hat, strict=True)]
    return sum(terms) / len(terms)


def mase(training, y, y_hat, season):
    errors = [abs(a - f) for a, f in zip(y, y_hat, strict=True)]
    return sum(errors) / len(errors) / seasonal_error(training, season)


def rmsse(training, y, y_hat, season):
    errors = [(a - f) ** 2 for a, f in zip(y, y_hat, strict=True)]
    return math.sqrt(sum(errors) / len(errors) / seasonal_error(training, season, 2))


def crps_of_samples(y, samples):
    """E|X - y| - E|X - X'| / 2 over all pairs."""
    n = len(samples)
    spread = sum(abs(a - b) for a in samples for b in samples) / n**2
    return sum(abs(a - y) for a in samples) / n - spread / 2


# Three series with 30 training values, a horizon of 5 and a season of 4, one actual of them zero. The scores are those
# that GluonTS 0.17.0 gives (gluonts.ev.metrics, each series in `axis=1`, together in `axis=None`).
GLUONTS_TRAINING = [
    [5.005, 4.012, 3.438, 5.237, 3.326, 7.147, 5.419, 4.888, 1.392, 0.721, 1.522, 5.632, 4.814, 1.107, 5.59, 2.476,
     2.479, 9.267, 4.58, 5.251, 5.301, 1.083, 5.477, 17.438, 1.645, 7.583, 8.139, 8.055, 2.813, 3.412],
    [1.667, 4.278, 10.876, 2.511, 0.572, 4.633, 8.174, 3.704, 13.526, 3.914, 4.547, 1.807, 3.471, 7.98, 8.061, 10.282,
     7.617, 6.466, 0.534, 2.262, 19.706, 2.952, 7.163, 4.244, 7.296, 4.7, 1.927, 2.359, 5.784, 3.043],
    [0.568, 6.541, 9.048, 8.541, 8.665, 1.097, 12.92, 4.012, 2.094, 3.178, 2.514, 1.504, 4.427, 5.052, 3.838, 5.031,
     3.926, 2.481, 2.825, 6.424, 1.218, 2.93, 8.421, 5.282, 6.976, 4.467, 1.614, 3.282, 4.87, 3.279],
]  # fmt: skip
GLUONTS_ACTUAL = [
    [3.92, 5.087, 0.0, 3.12, 9.653],
    [4.475, 8.678, 9.485, 13.462, 9.135],
    [9.204, 13.234, 0.897, 2.009, 9.008],
]
GLUONTS_FORECAST = [
    [0.472, 5.174, 5.151, 1.131, 2.102],
    [7.225, 6.746, 2.86, 2.292, 2.539],
    [6.435, 1.313, 4.661, 1.224, 8.466],
]
"""Quantile q is the forecast times 0.5 + q, the interval of 90 % the forecast times 0.4 to 1.9, with four decimals"""
GLUONTS_SCORES = {
    "mse": [19.8805592, 44.692373, 32.97105739999999],
    "mae": [3.6452, 5.8146, 3.9562],
    "rmse": [4.458762070350917, 6.685235448359317, 5.742042963963261],
    "mase": [0.9761883671346319, 1.2543838833066434, 1.1777775233297074],
    "smape": [116.15189269590225, 86.83996566659701, 77.90348430737776],
    "weighted_quantile_loss": 0.612313233651539,
    "scaled_interval_score": [13.67515321309753, 16.476381709411633, 15.914226827732298],
}

"""How sure a forecast is: samples of Monte-Carlo dropout, and intervals from samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["deviation_of", "draw_samples", "interval_names", "intervals"]


def deviation_of(loss: float, kind: str) -> float:
    """Return the standard deviation of errors of which a loss is the mean, as if they were normal.

    That of the smape is a share of the forecast; the others are in the unit of the loss.
    """
    if kind == "mse":
        return math.sqrt(loss)
    if kind == "huber":
        return math.sqrt(2 * loss) if loss <= 0.5 else loss + 0.5  # square up to 1, line beyond
    return loss * math.sqrt(math.pi / 2)


def draw_samples(
    predict: Callable[[int], np.ndarray], noise_deviation: float | np.ndarray, n_samples: int, seed: int
) -> np.ndarray:
    """Draw forecasts of a network that drops out as in training, with the noise that no network can predict.

    What the network does not know shows in how the forecasts differ with what is dropped (Gal & Ghahramani 2016, arXiv
    1506.02142); what cannot be known is estimated by its errors on the validation rows (Zhu & Laptev 2017, arXiv
    1709.01907, §3.2.3). The same seed draws the same samples.

    Parameters
    ----------
    predict : callable
        ``predict(step)`` returns the forecasts, of any shape, with the dropout masks of a step.
    noise_deviation : float or array
        Standard deviation of the noise, in the unit of the forecasts; of a shape that goes with theirs.
    n_samples : int
    seed : int

    Returns
    -------
    (n_samples, ...) array, float64
    """
    generator = np.random.default_rng(seed)
    steps = generator.integers(1 << 62, size=n_samples)
    samples = np.stack([predict(int(step)) for step in steps]).astype(np.float64)
    return samples + generator.normal(scale=noise_deviation, size=samples.shape)


def intervals(samples: np.ndarray, levels: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the mean of samples (n_samples, ...) and the bounds of central intervals.

    Parameters
    ----------
    samples : (n_samples, ...) array
    levels : sequence of int
        Probability of each interval in percent.

    Returns
    -------
    dict
        ``y_hat``, and ``y_hat-lo-90`` and ``y_hat-hi-90`` for a level of 90, each of the shape of one sample.

    Raises
    ------
    ValueError
        When a level is not between 0 and 100.
    """
    for level in levels:
        if not 0 < level < 100:
            raise ValueError(f"level is {level}; it must lie between 0 and 100 percent, as 90 does")
    columns = {"y_hat": samples.mean(axis=0)}
    for level in levels:
        bounds = np.quantile(samples, [0.5 - level / 200, 0.5 + level / 200], axis=0)
        columns |= dict(zip(interval_names("y_hat", level), bounds, strict=True))
    return columns


def interval_names(column: str, level: int) -> tuple[str, str]:
    """Return the names of the columns that hold the bounds of a forecast's interval."""
    return f"{column}-lo-{level}", f"{column}-hi-{level}"

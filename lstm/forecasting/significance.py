"""Whether one forecast is better than another, or only luckier."""

from __future__ import annotations

import numpy as np

__all__ = ["TESTS", "diebold_mariano", "fewest_origins", "paired_bootstrap"]

_RESAMPLES = 2000


def fewest_origins(horizon: int = 1) -> int:
    """Return with how many origins a test begins to mean what it says.

    With fewer than four stretches of `horizon` origins, whose forecasts overlap, equally good forecasts are told apart
    more than twice as often as the significance level says.
    """
    return max(8, 4 * horizon)


def diebold_mariano(difference: np.ndarray, horizon: int = 1) -> float:
    """Test whether a mean loss difference is above zero.

    The statistic is that of Diebold and Mariano (1995) with the small-sample correction of Harvey, Leybourne and
    Newbold (1997, eq. 9), held against Student's t with n - 1 degrees of freedom.

    Parameters
    ----------
    difference : (n,) array
        Loss of the one forecast minus loss of the other, in the order of time, one for each origin.
    horizon : int
        Steps ahead; forecasts that overlap are correlated over ``horizon - 1`` origins.

    Returns
    -------
    float
        One-sided p-value of "the second forecast is no better". 1 where the losses never differ, and where there are
        fewer than three origins or fewer than the horizon needs.

    References
    ----------
    F. X. Diebold and R. S. Mariano, "Comparing Predictive Accuracy", Journal of Business & Economic Statistics 13
    (1995). D. Harvey, S. Leybourne and P. Newbold, "Testing the Equality of Prediction Mean Squared Errors",
    International Journal of Forecasting 13 (1997).
    """
    from scipy.special import stdtr  # Student's distribution, without what scipy.stats takes to import

    difference = np.asarray(difference, np.float64)
    n = len(difference)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n if n else 0.0
    if n < 3 or n <= horizon or correction <= 0 or (np.ptp(difference) == 0 and difference[0] == 0):
        return 1.0
    centred = difference - difference.mean()
    covariances = [float(centred[lag:] @ centred[: n - lag]) / n for lag in range(horizon)]
    variance = covariances[0] + 2 * sum(covariances[1:])
    if variance <= 0:  # Bartlett's weights keep it positive, where the plain sum is not
        variance = covariances[0] + 2 * sum((1 - lag / horizon) * covariances[lag] for lag in range(1, horizon))
    if variance <= 0:
        return 0.0 if difference.mean() > 0 else 1.0
    statistic = difference.mean() / np.sqrt(variance / n) * np.sqrt(correction)
    return float(stdtr(n - 1, -statistic))


def paired_bootstrap(difference: np.ndarray, horizon: int = 1, seed: int = 0) -> float:
    """Test whether a mean loss difference is above zero, by resampling blocks of neighbouring origins.

    Blocks are drawn with replacement from the centred differences, closed to a circle (Politis and Romano 1992); their
    length is ``n ** (1/3)``, or the horizon where that is longer.

    Parameters
    ----------
    difference : (n,) array
        As for `diebold_mariano`.
    horizon : int
        Steps ahead.
    seed : int
        Of the draws.

    Returns
    -------
    float
        One-sided p-value, as for `diebold_mariano`; at least 1 / 2001.
    """
    difference = np.asarray(difference, np.float64)
    n = len(difference)
    if n < 3 or n <= horizon:
        return 1.0
    block = min(n, max(horizon, round(n ** (1 / 3))))
    generator = np.random.default_rng(seed)
    starts = generator.integers(n, size=(_RESAMPLES, -(-n // block)))
    centred = difference - difference.mean()
    # The mean of a block, wherever it starts, from running sums over the circle.
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([centred, centred[: block - 1]]))])
    means = ((sums[block:] - sums[:-block]) / block)[starts].mean(axis=1)
    return float((1 + np.sum(means >= difference.mean())) / (1 + _RESAMPLES))


TESTS = {"diebold-mariano": diebold_mariano, "bootstrap": paired_bootstrap}

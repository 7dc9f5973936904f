"""How far new values have moved from those that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["STATISTICS", "chance_greatest", "kolmogorov_smirnov", "population_stability", "usual_greatest"]

_BINS = 10


def population_stability(reference: np.ndarray, values: np.ndarray) -> float:
    """Return the population stability index, ``Σ (p - q) ln(p / q)`` over the deciles of the reference.

    Half a value is added to each bin, so that an empty one does not make it infinite. By custom, 0.1 is a small shift
    and 0.25 a large one.

    Parameters
    ----------
    reference, values : (n,) and (m,) arrays, finite
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = []
    for sample in (reference, values):
        counts = np.bincount(np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (len(sample) + 0.5 * len(counts)))
    p, q = shares
    return float(np.sum((p - q) * np.log(p / q)))


def kolmogorov_smirnov(reference: np.ndarray, values: np.ndarray) -> float:
    """Return the greatest distance between the two empirical distribution functions, from 0 to 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, values, method="asymp").statistic)


STATISTICS = {"psi": population_stability, "ks": kolmogorov_smirnov}


def chance_greatest(reference: int, values: int, name: str, p_value: float = 0.001) -> float:
    """Return the threshold that a statistic of independent values exceeds by chance with a probability of `p_value`.

    A sum over B bins divided by 1/n + 1/m has a χ² distribution with B - 1 degrees of freedom (Yurdakul and Naranjo
    2020); the distance divided by √(1/n + 1/m) has Kolmogorov's.

    Parameters
    ----------
    reference, values : int
        How many there are of each.
    name : {"psi", "ks"}
        The statistic.
    p_value : float
        Small, since many columns are looked at, day by day.
    """
    from scipy.stats import chi2, kstwobign

    spread = 1 / reference + 1 / values
    if name == "psi":
        return float(chi2.isf(p_value, _BINS - 1) * spread)
    return float(kstwobign.isf(p_value) * spread**0.5)


def usual_greatest(series: Sequence[np.ndarray], length: int, name: str) -> float:
    """Return the greatest statistic of any stretch of the reference, compared with the whole reference.

    Neighbouring values of a time series are alike, so any short stretch differs from the whole; a new stretch has
    drifted when it differs by more than the old ones did.

    Parameters
    ----------
    series : sequence of (n_k,) arrays
        The reference, one array for each series, in the order of time.
    length : int
        Rows of a stretch in each series.
    name : {"psi", "ks"}
        The statistic.

    Returns
    -------
    float
        0 where no series has two stretches.
    """
    whole = np.concatenate(series)
    statistic = STATISTICS[name]
    stretches = max(len(values) // length for values in series)
    if stretches < 2:
        return 0.0
    parts = (np.concatenate([values[k * length : (k + 1) * length] for values in series]) for k in range(stretches))
    return max(statistic(whole, part) for part in parts)

"""How far new values have moved from those that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["STATISTICS", "kolmogorov_smirnov", "population_stability", "usual_greatest"]

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


def usual_greatest(series: Sequence[np.ndarray], length: int, name: str) -> float:
    """Return the greatest statistic that stretches of the reference itself have, held against all of it.

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
    whole, statistic = np.concatenate(series), STATISTICS[name]
    stretches = max(len(values) // length for values in series)
    if stretches < 2:
        return 0.0
    parts = (np.concatenate([values[k * length : (k + 1) * length] for values in series]) for k in range(stretches))
    return max(statistic(whole, part) for part in parts)

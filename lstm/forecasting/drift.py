"""How far new values have moved from those that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = [
    "STATISTICS",
    "Compared",
    "Rows",
    "Shift",
    "chance_greatest",
    "foreseen_greatest",
    "kolmogorov_smirnov",
    "level_shift",
    "longest_constant",
    "population_stability",
    "same_season",
    "usual_greatest",
]

_BINS = 10
_DAY = 86_400_000_000_000
_WEEK = 7 * _DAY
_YEAR = 365.25 * _DAY
_MOST_SEASONS = 3
"""Of the earlier seasons, so many count: what was long ago says less"""
_FEWEST_STRETCHES = 4
_LEAST_STATISTIC = 1e-3
_MOST_CORRELATED = 0.95


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
    statistics = _of_stretches(series, length, name)
    return max(statistics) if len(statistics) > 1 else 0.0


def foreseen_greatest(series: Sequence[np.ndarray], length: int, name: str, p_value: float = 0.01) -> float:
    """Return what the statistic of the next stretch exceeds with a probability of `p_value`.

    The greatest of a few older stretches is exceeded by chance every few stretches; this goes by their spread, and by
    how alike neighbours are. The parameters are those of `usual_greatest`.
    """
    statistics = _of_stretches(series, length, name)
    if len(statistics) < _FEWEST_STRETCHES:
        return 0.0
    next_one = _Next.after(np.log(np.maximum(statistics, _LEAST_STATISTIC)))
    return float(np.exp(next_one.mean + next_one.quantile(p_value) * next_one.spread))


def _of_stretches(series: Sequence[np.ndarray], length: int, name: str) -> list[float]:
    whole = np.concatenate(series)
    statistic = STATISTICS[name]
    stretches = max(len(values) // length for values in series)
    parts = (np.concatenate([values[k * length : (k + 1) * length] for values in series]) for k in range(stretches))
    return [statistic(whole, part) for part in parts]


class _Next(NamedTuple):
    """What the values of a sequence let one expect of the next: a t distribution."""

    mean: float
    spread: float
    independent: float
    """How many independent values say as much"""

    @classmethod
    def after(cls, values: np.ndarray) -> _Next:
        """Return what follows values (n,), whose correlation from one to the next makes them count as fewer."""
        deviation = values - values.mean()
        square = float(np.sum(deviation**2))
        correlation = float(np.sum(deviation[1:] * deviation[:-1])) / square if square > 0 else 0.0
        correlation = min(max(correlation, 0.0), _MOST_CORRELATED)
        independent = max(float(_FEWEST_STRETCHES), len(values) * (1 - correlation) / (1 + correlation))
        spread = float(np.sqrt(square / (len(values) - 1) * (1 + 1 / independent)))
        return cls(float(values.mean()), spread, independent)

    def quantile(self, p_value: float) -> float:
        from scipy.stats import t

        return float(t.isf(p_value, self.independent - 1))


# ---------------------------------------------------------------- the season


@dataclass(frozen=True)
class Rows:
    """The rows of one series.

    Attributes
    ----------
    times : int64, (n,)
        Ascending local times, in nanoseconds since 1970.
    values : float64, (n,)
        NaN where one is missing.
    """

    times: np.ndarray
    values: np.ndarray


class Compared(NamedTuple):
    """Rows that can be compared with each other; no value is missing."""

    reference: list[np.ndarray]
    """One array for each series"""
    latest: list[np.ndarray]
    words: str
    """What was taken off them, or nothing"""


def same_season(reference: Sequence[Rows], latest: Sequence[Rows], length: int) -> Compared:
    """Return rows as differences from those of the same season before, where the reference is long enough for it.

    The season is the year, at the same day of the week and the same time, if the reference holds two and the stretch is
    shorter than one; otherwise the week, if the stretch is shorter than two. Only rows of the reference are taken off,
    at the same distance for the reference itself, so that a trend adds the same to all differences.

    Parameters
    ----------
    reference, latest : sequence of Rows
        Of the same series, one by one; a series may have no latest rows.
    length : int
        Rows of a stretch.
    """
    for season, name in ((_YEAR, "year"), (_WEEK, "week")):
        lags = _lags(reference, latest, season)
        if not lags:
            continue
        old = [_less_season(rows, rows, lags) for rows in reference]
        new = [_less_season(rows, own, lags) for rows, own in zip(latest, reference, strict=True)]
        if any(map(len, new)) and max(map(len, old)) >= _FEWEST_STRETCHES * length:
            return Compared(old, new, f", less those of the same season ({name}) before")
    return Compared([_known(rows.values) for rows in reference], [_known(rows.values) for rows in latest], "")


def _lags(reference: Sequence[Rows], latest: Sequence[Rows], season: float) -> list[int]:
    """Return how long before a row the same seasons were, in whole weeks; nothing if there is no use or no history."""
    both = [(old, new) for old, new in zip(reference, latest, strict=True) if len(old.times) > 1 and len(new.times)]
    if not both:
        return []
    step = max(float(np.median(np.diff(old.times))) for old, _ in both)
    history = max(int(old.times[-1] - old.times[0]) for old, _ in both)
    longest = max(int(new.times[-1] - new.times[0]) for _, new in both)
    since = max(int(new.times[-1] - old.times[-1]) for old, new in both)
    is_short = longest < (season if season == _YEAR else 2 * season)
    if not is_short or history < 2 * season or (season == _WEEK and step > _DAY):
        return []
    first = max(1, int(np.ceil(since / season)))
    count = int(min(max((history / season - first + 1) // 2, 1), _MOST_SEASONS))
    return [round((first + number) * season / _WEEK) * _WEEK for number in range(count)]


def _less_season(rows: Rows, reference: Rows, lags: Sequence[int]) -> np.ndarray:
    """Return the values that are known, less the mean of the reference at all lags where that is known."""
    if len(rows.times) == 0 or len(reference.times) < 2:
        return np.empty(0)
    near = float(np.median(np.diff(reference.times))) / 2
    before = np.mean([_nearest(reference, rows.times - lag, near) for lag in lags], axis=0)
    return _known(rows.values - before)


def _nearest(rows: Rows, times: np.ndarray, near: float) -> np.ndarray:
    """Return the values nearest to the times, NaN where there is none so near."""
    after = np.clip(np.searchsorted(rows.times, times), 1, len(rows.times) - 1)
    is_before = times - rows.times[after - 1] < rows.times[after] - times
    found = after - is_before
    return np.where(np.abs(rows.times[found] - times) <= near, rows.values[found], np.nan)


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


# ---------------------------------------------------------------- the level


class Shift(NamedTuple):
    """How far the level of the latest rows of a series is from that of the older ones."""

    value: float
    """In units of how much it usually differs from stretch to stretch"""
    limit: float
    """What it exceeds by chance with the given probability, and what it has exceeded before"""


def level_shift(reference: np.ndarray, values: np.ndarray, p_value: float = 0.001) -> Shift | None:
    """Compare the mean of the latest values with those of all older stretches as long.

    Unlike the statistics of distributions, it has no greatest value, so that a shift shows also where levels change
    slowly. How alike neighbouring stretches are counts: a few slow swings let one expect little of the next.

    Parameters
    ----------
    reference, values : (n,) and (m,) arrays, finite
        In the order of time.
    p_value : float

    Returns
    -------
    Shift or None
        None if there are fewer than four stretches, or no value.
    """
    length = len(values)
    stretches = len(reference) // length if length else 0
    if stretches < _FEWEST_STRETCHES:
        return None
    means = reference[len(reference) - stretches * length :].reshape(stretches, length).mean(axis=1)
    next_one = _Next.after(means)
    sums = np.concatenate([[0.0], np.cumsum(reference)])
    farthest = float(np.max(np.abs((sums[length:] - sums[:-length]) / length - next_one.mean)))
    rounding = 1e-9 * (1 + float(np.max(np.abs(reference))))
    spread = max(next_one.spread, rounding)
    value = abs(float(values.mean()) - next_one.mean) / spread
    return Shift(value, max(next_one.quantile(p_value / 2), (farthest + rounding) / spread))


# ---------------------------------------------------------------- a stuck meter


def longest_constant(values: np.ndarray) -> tuple[int, int]:
    """Return how often the last value has come in a row, and how often any value did before that.

    Parameters
    ----------
    values : (n,) array
        Missing ones do not count.
    """
    known = _known(values)
    if not len(known):
        return 0, 0
    begins = np.flatnonzero(np.concatenate([[True], known[1:] != known[:-1]]))
    lengths = np.diff(np.append(begins, len(known)))
    return int(lengths[-1]), int(lengths[:-1].max(initial=0))

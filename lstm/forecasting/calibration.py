"""How far forecasts are off: their errors on rows that neither trained nor stopped a network, as intervals and courses.

The intervals are conformal (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005): where the
errors to come are exchangeable with those here, an interval of 80 % covers at least 80 %. The courses over the steps
ahead are drawn by a Gaussian copula, so that the sum over the steps is spread as it should be.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gatecast.lstm.forecasting.error_scales import error_scales

__all__ = ["Calibration"]

_LOGGER = logging.getLogger(__name__)
_MOST = 201
"""Errors that are kept of a step: all of them or, of more, a grid of their quantiles with both extremes"""
_TAILS = (0.0005, 0.005, 0.025)
"""Probabilities beyond the least error, for which samples take the widened bounds"""
_DIGITS = 9
"""To which ranks are rounded before they are cut: 0.1 * 10 is a whole number"""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Errors of forecasts, step by step, in spreads of their window and in scales of their series.

    Attributes
    ----------
    errors : float32, (kept, horizon)
        What was observed less what was forecast, ascending.
    counts : int64, (horizon,)
        How many errors these stand for.
    correlation : float32, (horizon, horizon)
        Of the errors' normal scores.
    scales : mapping of str to float
        How large the errors of each series are, by its name; a series that is not here has 1.
    """

    errors: np.ndarray
    counts: np.ndarray
    correlation: np.ndarray
    scales: Mapping[str, float]

    @classmethod
    def of_errors(cls, errors: np.ndarray, series: np.ndarray, unique_ids: Sequence[str]) -> Self | None:
        """Return the calibration by the errors of windows; None where no error is known.

        Parameters
        ----------
        errors : (n, horizon) array
            Divided by the spreads of their windows; NaN where one is not known.
        series : (n,) int array
            Number of each window's series; the windows of a series follow each other in time.
        unique_ids : sequence of str
            Names of the series.
        """
        known = np.isfinite(errors)
        if not known.any():
            return None
        of_windows, of_series = error_scales(errors, series, len(unique_ids))
        scaled = errors / of_windows[:, None]
        correlation = _correlation(scaled[known.all(axis=1)], errors.shape[1])
        counts = known.sum(axis=0)
        # A step without any error takes those of the nearest step that has some.
        steps = np.arange(len(counts))
        nearest = np.abs(steps[:, None] - np.where(counts > 0, steps, np.inf)).argmin(axis=1)
        scaled = scaled[:, nearest]
        counts = counts[nearest]
        ordered = np.sort(scaled, axis=0)  # NaN last
        places = _ranks(counts) - 1
        return cls(
            np.take_along_axis(ordered, places, axis=0).astype(np.float32),
            counts.astype(np.int64),
            correlation.astype(np.float32),
            dict(zip(unique_ids, of_series.tolist(), strict=True)),
        )

    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        """Return bounds that the errors to come stay below with these probabilities, (len(probabilities), horizon).

        The rank of a bound is rounded away from the middle, as the conformal guarantee asks: of n errors, the upper
        bound for p is that of rank ``ceil(p (n + 1))``. Where there is no such rank, the bound is the largest absolute
        error; where that is not enough either, see `warn_if_scarce`, it is as wide as Student's t says, and no
        narrower than that.
        """
        return np.stack([self._quantile(probability) for probability in probabilities])

    def warn_if_scarce(self, probabilities: Sequence[float]) -> None:
        """Tell that there are too few errors for an interval of these bounds, which is widened: 95 % needs 19.

        Of several intervals, it is the widest one that is named.
        """
        tail = min(min(probability, 1 - probability) for probability in probabilities)
        needed = _needed(tail)
        fewest = int(self.counts.min())
        if fewest < needed:
            _LOGGER.warning(
                "An interval of %g %% needs %d validation windows, and there are %d, so it is widened by Student's t;"
                " give more rows, or a larger validation_fraction.",
                round(100 * (1 - 2 * tail), _DIGITS),
                needed,
                fewest,
            )

    def scales_of(self, unique_ids: Sequence[str]) -> np.ndarray:
        """Return the scale of each series, float64 (n,)."""
        return np.array([self.scales.get(unique_id, 1.0) for unique_id in unique_ids])

    def draw(self, n_samples: int, n_series: int, seed: int) -> np.ndarray:
        """Draw courses of errors over the steps ahead, float64 (n_samples, n_series, horizon).

        Each series has its own; the same seed draws the same.
        """
        from scipy.special import ndtr

        generator = np.random.default_rng(seed)
        horizon = len(self.counts)
        factor = np.linalg.cholesky(self.correlation.astype(np.float64))
        probabilities = ndtr(generator.standard_normal((n_samples, n_series, horizon)) @ factor.T)
        places = self._curves()
        for step, (levels, errors) in enumerate(places):
            probabilities[..., step] = np.interp(probabilities[..., step], levels, errors)
        return probabilities

    def to_arrays(self, unique_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return what a checkpoint keeps; the scales are in the order of the names."""
        return {
            "errors": self.errors,
            "counts": self.counts,
            "correlation": self.correlation,
            "scales": self.scales_of(unique_ids),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], unique_ids: Sequence[str], horizon: int) -> Self:
        """Undo `to_arrays`.

        Raises
        ------
        ValueError
            The arrays do not fit together, or to the model.
        """
        errors, counts, correlation, scales = (arrays[name] for name in ("errors", "counts", "correlation", "scales"))
        fits = (
            counts.shape == (horizon,)
            and counts.dtype == np.int64
            and bool((counts > 0).all())
            and errors.shape == (min(_MOST, int(counts.max())), horizon)
            and correlation.shape == (horizon, horizon)
            and scales.shape == (len(unique_ids),)
        )
        is_sound = fits and (
            bool(np.isfinite(errors).all() and np.isfinite(correlation).all() and np.isfinite(scales).all())
            and bool((np.diff(errors, axis=0) >= 0).all() and (scales > 0).all())
        )
        if not is_sound:
            raise ValueError("the errors that its intervals are made of do not fit together")
        np.linalg.cholesky(correlation.astype(np.float64))  # LinAlgError is a ValueError
        return cls(errors, counts, correlation, dict(zip(unique_ids, scales.tolist(), strict=True)))

    def _quantile(self, probability: float) -> np.ndarray:
        """Return one row of `quantiles`."""
        if probability == 0.5:
            return (self._ranked(0.5, is_upper=False) + self._ranked(0.5, is_upper=True)) / 2
        return self._ranked(probability, is_upper=probability > 0.5)

    def _ranked(self, probability: float, is_upper: bool) -> np.ndarray:
        ranks = _ranks(self.counts)
        wanted = np.round(probability * (self.counts + 1), _DIGITS)
        # Of a grid, the next rank outwards.
        place = (ranks < np.ceil(wanted)).sum(axis=0) if is_upper else (ranks <= np.floor(wanted)).sum(axis=0) - 1
        exists = (place >= 0) & (place < len(ranks))
        found = np.take_along_axis(self.errors, np.clip(place, 0, len(ranks) - 1)[None], axis=0)[0].astype(np.float64)
        widest = self._widest(min(probability, 1 - probability))
        return np.where(exists, found, widest if is_upper else -widest)

    def _widest(self, tail: float) -> np.ndarray:
        """Return how far from the forecast a bound is that has no rank, (horizon,)."""
        from scipy.special import stdtrit

        largest = np.abs(self.errors).max(axis=0).astype(np.float64)
        squares = np.square(self.errors, dtype=np.float64)
        own = squares.mean(axis=0)
        # The error of a single step may be small by chance, where there are few.
        deviation = np.sqrt(np.maximum(own, own.mean()) * (1 + 1 / self.counts))
        student = stdtrit(self.counts, 1 - tail) * deviation
        return np.where(self.counts >= _needed(tail), largest, np.maximum(largest, student))

    def _curves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the quantile function of each step: probabilities and errors, both ascending."""
        ranks = _ranks(self.counts)
        tails = np.array(_TAILS)
        beyond = self.quantiles([*tails, *(1 - tails)])
        curves = []
        for step, count in enumerate(self.counts):
            own, first = np.unique(ranks[:, step], return_index=True)
            is_beyond = tails < 1 / (count + 1)
            low = beyond[: len(tails), step][is_beyond]
            high = beyond[len(tails) :, step][is_beyond][::-1]
            levels = np.concatenate([tails[is_beyond], own / (count + 1), 1 - tails[is_beyond][::-1]])
            curves.append((levels, np.concatenate([low, self.errors[first, step], high])))
        return curves


def _needed(tail: float) -> int:
    """Return how many errors an interval takes whose two tails have this probability each: 19 of 2.5 %."""
    return math.ceil(round(1 / (2 * tail) - 1, _DIGITS))


def _ranks(counts: np.ndarray) -> np.ndarray:
    """Return the ranks of the errors that are kept of each step, int64 (kept, horizon), ascending from 1."""
    kept = min(_MOST, int(counts.max()))
    every = np.minimum(np.arange(1, kept + 1)[:, None], counts)
    if kept < _MOST:
        return every
    levels = np.arange(1, _MOST - 1)[:, None] / (_MOST - 1)
    wanted = np.round(levels * (counts + 1), _DIGITS)
    inner = np.where(levels <= 0.5, np.floor(wanted), np.ceil(wanted)).astype(np.int64)
    extremes = np.ones_like(counts)[None], counts[None]
    grid = np.clip(np.concatenate([extremes[0], inner, extremes[1]]), 1, counts)
    return np.where(counts <= _MOST, every, grid)


def _correlation(errors: np.ndarray, horizon: int) -> np.ndarray:
    """Return the correlation of the normal scores of errors (n, horizon), shrunk so that it can be inverted."""
    if horizon == 1 or len(errors) < 2:
        return np.eye(horizon)
    from scipy.special import ndtri
    from sklearn.covariance import ledoit_wolf

    ranks = errors.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") + 1
    covariance, _ = ledoit_wolf(ndtri(ranks / (len(errors) + 1)), assume_centered=True)
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    # In float32 too, two steps that always err alike are not quite one.
    return np.asarray((1 - 1e-4) * correlation + 1e-4 * np.eye(horizon))

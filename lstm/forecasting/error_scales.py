"""How large the errors of each series are, next to those of the others."""

from __future__ import annotations

import numpy as np

__all__ = ["error_scales"]

_LEAST = 1e-3
"""Of a mean error among the others, so that a series that was forecast without error has a logarithm"""


def error_scales(errors: np.ndarray, series: np.ndarray, n_series: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the errors of each window are divided by, and the scale of each series.

    No window is divided by a scale that it is part of: those of the first half of a series are divided by the scale of
    the second half, and the other way round. The logarithm of a scale is shrunk towards the mean of all series, as
    empirical Bayes has it: the less, the more windows there are, and the better one half of the series foretells the
    other.

    Parameters
    ----------
    errors : (n, horizon) array
        NaN where one is not known.
    series : (n,) int array
        Number of each window's series; the windows of a series follow each other in time.
    n_series : int

    Returns
    -------
    of_windows : float64, (n,)
    of_series : float64, (n_series,)
        1 for one without windows.
    """
    known = np.isfinite(errors)
    sizes = np.where(known, np.abs(errors), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    has_size = known.any(axis=1)
    typical = float(sizes[has_size].mean()) if has_size.any() else 0.0
    if typical == 0:
        return np.ones(len(errors)), np.ones(n_series)
    half = _halves(series, n_series)
    counts = np.stack([_sums(has_size & (half == part), series, n_series) for part in (0, 1)])
    sums = np.stack([_sums(np.where(half == part, sizes, 0.0), series, n_series) for part in (0, 1)])
    both = np.logical_and(counts[0] > 0, counts[1] > 0)
    if both.sum() < 2:
        return np.ones(len(errors)), np.ones(n_series)
    halves = _centred(sums, counts, typical, both)
    signal = max(0.0, float(np.sum(halves[0, both] * halves[1, both]) / (both.sum() - 1)))
    noise = float(np.mean((halves[0, both] - halves[1, both]) ** 2 / (1 / counts[:, both]).sum(axis=0)))
    of_halves = np.exp(halves * _trust(counts, signal, noise))
    whole = _centred(sums.sum(axis=0), counts.sum(axis=0), typical, both)
    return of_halves[1 - half, series], np.exp(whole * _trust(counts.sum(axis=0), signal, noise))


def _halves(series: np.ndarray, n_series: int) -> np.ndarray:
    """Return 0 for the windows of the first half of their series, else 1."""
    counts = np.bincount(series, minlength=n_series)
    order = np.argsort(series, kind="stable")
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    place = np.empty(len(series), np.int64)
    place[order] = np.arange(len(series)) - first[series[order]]
    return (place >= (counts // 2)[series]).astype(np.int64)


def _sums(values: np.ndarray, series: np.ndarray, n_series: int) -> np.ndarray:
    return np.bincount(series, weights=values, minlength=n_series)


def _centred(sums: np.ndarray, counts: np.ndarray, typical: float, chosen: np.ndarray) -> np.ndarray:
    """Return logarithms of mean errors, (..., n_series), less their mean over the chosen series; 0 if there is none."""
    means = np.where(counts > 0, sums / np.maximum(counts, 1), typical)
    logs = np.log(np.maximum(means / typical, _LEAST))
    return np.where(counts > 0, logs - logs[..., chosen].mean(axis=-1, keepdims=True), 0.0)


def _trust(counts: np.ndarray, signal: float, noise: float) -> np.ndarray:
    """Return how much of a logarithm stays by the number of windows it was measured on."""
    return signal * counts / np.maximum(signal * counts + noise, np.finfo(np.float64).tiny)

"""How sure a forecast is: the columns of intervals and quantiles, and samples of Monte-Carlo dropout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from gatecast.data.errors import InputError

__all__ = [
    "DEFAULT_LEVELS", "Wanted", "calibrated", "deviation_of", "interval_names", "intervals", "probabilities_of",
    "quantile_name",
]  # fmt: skip

DEFAULT_LEVELS = (80, 95)
"""Percent, of the intervals that every forecast carries"""


class Wanted:
    """The intervals and quantiles that are asked for.

    Parameters
    ----------
    level : sequence of float
        Probability of each central interval in percent.
    quantiles : sequence of float
        Shares between 0 and 1.

    Attributes
    ----------
    columns : dict of str to float
        The probability that the value stays below it, for each column.

    Raises
    ------
    InputError
        A level is not between 0 and 100, a quantile is not between 0 and 1, or one comes twice.
    """

    def __init__(self, level: Sequence[float] = (), quantiles: Sequence[float] = ()):
        level = [_share("level", each, 100, "percent, as 80 is") for each in _several("level", level)]
        quantiles = [_share("quantile", each, 1, "as .9 does") for each in _several("quantiles", quantiles)]
        columns: dict[str, float] = {}
        for each in level:
            bounds = (0.5 - each / 200, 0.5 + each / 200)
            columns |= dict(zip(interval_names("y_hat", each), bounds, strict=True))
        columns |= {quantile_name("y_hat", each): each for each in quantiles}
        if len(columns) < 2 * len(level) + len(quantiles):
            raise InputError(f"level {level} or quantiles {quantiles} names one twice; give each once.")
        self.columns = columns

    @property
    def probabilities(self) -> list[float]:
        """Those of `columns`, in their order."""
        return list(self.columns.values())

    def of_bounds(self, bounds: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return bounds for `probabilities` by the names of their columns."""
        return dict(zip(self.columns, bounds, strict=True))


def probabilities_of(columns: Iterable[str]) -> list[float]:
    """Return the probabilities of columns that `interval_names` and `quantile_name` have called."""
    found = []
    for name in columns:
        _, kind, percent = name.rsplit("-", 2)
        share = float(percent) / 100
        found.append({"lo": 0.5 - share / 2, "hi": 0.5 + share / 2, "q": share}[kind])
    return found


def _several(name: str, given: Sequence[float]) -> Sequence[float]:
    if isinstance(given, int | float | str):
        raise InputError(f"{name} is {given!r}; give several, as ({given},).")
    return given


def _share(name: str, value: float, whole: int, example: str) -> float:
    """Return a number between 0 and `whole`, or raise InputError."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not 0 < value < whole:  # NaN too
        raise InputError(f"A {name} of {value!r} is not between 0 and {whole}; give one {example}.")
    return value


def deviation_of(loss: float, kind: str) -> float:
    """Return the standard deviation of errors of which a loss is the mean, as if they were normal.

    That of the smape is a share of the forecast; the others are in the unit of the loss.
    """
    if kind == "mse":
        return math.sqrt(loss)
    if kind == "huber":
        return math.sqrt(2 * loss) if loss <= 0.5 else loss + 0.5  # square up to 1, line beyond
    return loss * math.sqrt(math.pi / 2)


def calibrated(dropped: np.ndarray, center: np.ndarray, unit: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return samples of a network that drops out as in training, with the errors that no network can predict.

    What the network does not know shows in how its forecasts differ with what is dropped (Gal & Ghahramani 2016, arXiv
    1506.02142); what cannot be known is the rest of its errors on validation rows (Zhu & Laptev 2017, arXiv 1709.01907,
    §3.2.3). Both together vary, at each step ahead and on average over the series, as much as those errors.

    Parameters
    ----------
    dropped : (n_samples, n, horizon) array
        Forecasts, each with other things dropped.
    center : (n, horizon) array
        Forecasts without anything dropped.
    unit : (n,) array
        What errors are measured in; 0 where a forecast is without error.
    errors : (n_samples, n, horizon) array
        Drawn, in that unit.

    Returns
    -------
    (n_samples, n, horizon) array, float64
    """
    each = unit[:, None]
    deviations = np.divide(dropped - dropped.mean(axis=0), each, out=np.zeros_like(errors), where=each > 0)
    of_errors = errors.var(axis=(0, 1))
    share = np.divide(deviations.var(axis=0).mean(axis=0), of_errors, out=np.zeros_like(of_errors), where=of_errors > 0)
    rest = np.sqrt(np.maximum(1 - share, 0))
    return np.asarray(center + each * (deviations / np.sqrt(np.maximum(share, 1)) + rest * errors))


def intervals(samples: np.ndarray, levels: Sequence[float], quantiles: Sequence[float] = ()) -> dict[str, np.ndarray]:
    """Return the mean of samples (n_samples, ...), the bounds of central intervals, and quantiles.

    Parameters
    ----------
    samples : (n_samples, ...) array
    levels : sequence of float
        Probability of each interval in percent.
    quantiles : sequence of float
        Shares between 0 and 1.

    Returns
    -------
    dict
        ``y_hat``, and ``y_hat-lo-90`` and ``y_hat-hi-90`` for a level of 90, each of the shape of one sample.

    Raises
    ------
    InputError
        As for `Wanted`.
    """
    wanted = Wanted(levels, quantiles)
    bounds = np.quantile(samples, wanted.probabilities, axis=0)
    return {"y_hat": samples.mean(axis=0), **wanted.of_bounds(list(bounds))}


def interval_names(column: str, level: float) -> tuple[str, str]:
    """Return the names of the columns that hold the bounds of a forecast's interval."""
    return f"{column}-lo-{level:g}", f"{column}-hi-{level:g}"


def quantile_name(forecast: str, quantile: float) -> str:
    """Return the column of a forecast's quantile, a share between 0 and 1."""
    return f"{forecast}-q-{100 * quantile:g}"

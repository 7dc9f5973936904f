"""Transforms of y that make the deviations of positive values alike at every level, and what undoes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from gatecast.data.errors import InputError

__all__ = [
    "AS_IS", "GREATEST_FACTOR", "LEAST_FACTOR", "LEAST_POWER", "TransformKind", "YTransform", "back", "is_outside",
    "mean_factor", "transformed",
]  # fmt: skip

TransformKind = Literal["none", "log", "log1p", "boxcox"]

_MOST_LOG = 345.0
"""Largest logarithm of a forecast, and the least with a minus: 1e150, the most that a scaler takes, stays finite"""
_POWERS = (-1.0, 2.0)
"""Between which the power of Box-Cox is looked for, as in Hyndman's `BoxCox.lambda`"""
LEAST_POWER = 1e-8
"""Closer to 0, the values are logarithms as far as their digits go"""
_FEWEST = 3
"""Different values that a power is looked for in; of fewer, any power is as good"""
LEAST_FACTOR, GREATEST_FACTOR = 0.5, 2.0
"""Of the correction to the mean, which is an approximation for small variances"""


@dataclass(frozen=True)
class YTransform:
    """A transform of one series.

    Attributes
    ----------
    kind : {"none", "log", "log1p", "boxcox"}
        No change, ``log(y)``, ``log(1 + y)``, or ``(y ** power - 1) / power``, which is ``log(y)`` for the power 0.
    power : float
        Of Box-Cox.
    """

    kind: TransformKind = "none"
    power: float = 0.0

    @classmethod
    def fit(cls, y: np.ndarray, kind: TransformKind, series: str) -> Self:
        """Find the power for the known training values `y` of a series, by maximum likelihood.

        Raises
        ------
        InputError
            An unknown kind, or a value that cannot be transformed.
        """
        if kind not in get_args(TransformKind):
            raise InputError(f"Unknown transform {kind!r}; choose one of {', '.join(get_args(TransformKind))}.")
        cls(kind).require(y, series)
        return cls(kind, _likeliest_power(y)) if kind == "boxcox" else cls(kind)

    def require(self, y: np.ndarray, series: str) -> None:
        """Raise InputError if a value of `y` cannot be transformed; a missing one can."""
        outside = is_outside(self.kind, y)
        if outside.any():
            bound = -1 if self.kind == "log1p" else 0
            other = "log1p or none" if y[outside].min() > -1 else "none"
            raise InputError(
                f"{series} has a y of {y[outside][0]:g}, but the transform {self.kind} takes only values above {bound};"
                f" correct the value, or choose the transform {other}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"kind": self.kind, "power": self.power}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        if state["kind"] not in get_args(TransformKind) or not np.isfinite(state["power"]):
            raise ValueError("a transform needs a known kind and a finite power")
        return cls(state["kind"], float(state["power"]))


AS_IS = YTransform()
"""No transform"""


def is_outside(kind: TransformKind, y: np.ndarray) -> np.ndarray:
    """Tell which values a transform does not take."""
    if kind == "none":
        return np.zeros(np.shape(y), bool)
    return np.asarray(y <= (-1 if kind == "log1p" else 0))


def transformed(kind: TransformKind, y: np.ndarray, power: float | np.ndarray) -> np.ndarray:
    """Transform float64 values that are not outside; `power` is broadcast to them."""
    if kind == "none":
        return y
    if kind == "log":
        return np.log(y)
    if kind == "log1p":
        return np.log1p(y)
    from scipy.special import boxcox

    return np.asarray(boxcox(y, power))


def back(
    kind: TransformKind, values: np.ndarray, power: float | np.ndarray, variance: float | np.ndarray = 0.0
) -> np.ndarray:
    """Undo `transformed`, of forecasts to the mean.

    A forecast of transformed values that is their mean becomes the median of y. With the variance of its errors it
    becomes, to the second order, the mean: ``exp(w) * (1 + variance / 2)`` for the logarithm, and the form for Box-Cox
    of Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, §5.6. The factor is held between
    a half and two. So that forecasts stay finite, the logarithm of a value is held between -345 and 345.

    Parameters
    ----------
    kind : str
    values : float64 array
    power, variance : float or array
        Broadcast to `values`; the variance is in their unit.
    """
    if kind == "none":
        return values
    power = power if kind == "boxcox" else 0.0
    logs = np.clip(_logs(values, np.asarray(power, np.float64)), -_MOST_LOG, _MOST_LOG)
    y = np.exp(logs) * mean_factor(variance, power, logs)
    return y - 1 if kind == "log1p" else y


def mean_factor(
    variance: float | np.ndarray, power: float | np.ndarray = 0.0, logs: float | np.ndarray = 0.0
) -> np.ndarray:
    """Return the mean of y in medians, where the median has the logarithm `logs`; see `back`."""
    with np.errstate(over="ignore", invalid="ignore"):
        factor = 1 + variance * (1 - power) / 2 * np.exp(-2 * power * logs)
    return np.where(np.equal(variance, 0), 1.0, np.clip(factor, LEAST_FACTOR, GREATEST_FACTOR))


def _logs(values: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Return the logarithms of y for Box-Cox values; infinite beyond the values that any y has."""
    is_log = np.abs(power) < LEAST_POWER
    power = np.where(is_log, 1.0, power)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.log1p(power * values) / power
    logs = np.where(power * values < -1, np.where(power > 0, -np.inf, np.inf), logs)
    return np.where(is_log, values, logs)


def _likeliest_power(y: np.ndarray) -> float:
    from scipy.optimize import minimize_scalar
    from scipy.stats import boxcox_llf

    known = y[~np.isnan(y)]
    if len(np.unique(known)) < _FEWEST:
        return 1.0
    # The unit changes no power; values around 1 have powers that are numbers.
    shares = known / np.exp(np.log(known).mean())
    return float(minimize_scalar(lambda power: -boxcox_llf(power, shares), bounds=_POWERS, method="bounded").x)

"""Targets and features: from price bars to what a model learns, and from its predictions to what people read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import ScalerKind

VOLUME_DAYS = 20
SMALLEST_VARIANCE = 1e-8
MOST_DIGITS = 15  # that a float64 is sure to hold
_ROUNDING = 1e-10


@dataclass(frozen=True)
class FeatureSet:
    """A named set of covariates.

    Attributes
    ----------
    name : str
        Its key in `FEATURE_SETS`.
    columns : tuple of str
        What `apply` returns.
    scaling : str
        The scaling it is meant for.
    apply : callable
        Bars of one symbol to a frame of `columns` with the same index. Row t uses bars up to and including t; rows that
        lack their past are NaN.
    """

    name: str
    columns: tuple[str, ...]
    scaling: ScalerKind
    apply: Callable[[pd.DataFrame], pd.DataFrame]


def carried_volume(bars: pd.DataFrame) -> pd.Series:
    """Return the volume with every zero, which stands for a missing figure, replaced by the last positive volume."""
    return bars["volume"].where(bars["volume"] > 0).ffill()


def log_return(bars: pd.DataFrame) -> pd.Series:
    """Return ``log(close_t / close_{t-1})``; NaN in the first row."""
    return np.log(bars["close"]).diff()


def garman_klass(bars: pd.DataFrame) -> pd.Series:
    """Return each bar's variance of log prices, ``½ ln(high/low)² - (2 ln 2 - 1) ln(close/open)²``.

    References
    ----------
    M. B. Garman and M. J. Klass, "On the Estimation of Security Price Volatilities from Historical Data", Journal of
    Business 53 (1980); their practical estimator, without the overnight gap.
    """
    log_range = _log_ratio(bars, "high", "low")
    drift = _log_ratio(bars, "close", "open")
    return 0.5 * log_range**2 - (2 * math.log(2) - 1) * drift**2


def _log_ratio(bars: pd.DataFrame, numerator: str, denominator: str) -> pd.Series:
    return pd.Series(np.log(bars[numerator] / bars[denominator]))


def _returns_features(bars: pd.DataFrame) -> pd.DataFrame:
    volume = carried_volume(bars)
    return pd.DataFrame(
        {
            "log_return": log_return(bars),
            "log_volume": np.log(volume / volume.rolling(VOLUME_DAYS).mean()),
            "log_range": _log_ratio(bars, "high", "low"),
        }
    )


def _slides_features(bars: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"close": bars["close"], "volume": carried_volume(bars), "high_low": bars["high"] - bars["low"]}
    )


def _no_features(bars: pd.DataFrame) -> pd.DataFrame:
    return bars[[]]


FEATURE_SETS: Mapping[str, FeatureSet] = MappingProxyType(
    {
        features.name: features
        for features in (
            FeatureSet("returns", ("log_return", "log_volume", "log_range"), "standard", _returns_features),
            FeatureSet("slides", ("close", "volume", "high_low"), "minmax", _slides_features),
            FeatureSet("none", (), "standard", _no_features),
        )
    }
)


@dataclass(frozen=True)
class Target:
    """What is forecast from bars.

    Attributes
    ----------
    name : str
        Its key in `TARGETS`.
    unit : str
        Unit of the predictions after `invert`.
    description : str
        One line for people.
    naive : {"last", "zero"}
        The naive forecast of y: its last value, or zero.
    apply : callable
        Bars of one symbol to y, a Series with the same index; NaN if the past is missing.
    sentence : callable
        ``sentence(unique_id, y_hat, last_y, period="daily")``: forecast and last value, both in `unit`, in words.
    invert : callable
        ``invert(predictions, bars)``: predictions (``unique_id, cutoff, ds, step``, maybe ``y``, ``y_hat``) with ``y``
        and ``y_hat`` turned into `unit`; rows keep their order.
    told : str or None
        Column of the bars that holds what `invert` returns, None where that is y itself.
    """

    name: str
    unit: str
    description: str
    naive: Literal["last", "zero"]
    apply: Callable[[pd.DataFrame], pd.Series]
    sentence: Callable[..., str]
    invert: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame] = lambda predictions, bars: predictions
    told: str | None = None

    @property
    def adds_up(self) -> bool:
        """Whether `invert` adds the steps ahead up, so that it does not turn bounds of y into bounds."""
        return self.told is not None


def log_variance(bars: pd.DataFrame) -> pd.Series:
    """Return the log of the Garman-Klass variance, floored for a bar whose high equals its low."""
    return np.log(garman_klass(bars).clip(lower=SMALLEST_VARIANCE))


def returns_to_closes(predictions: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """Turn log returns after a cutoff into prices: the close at the cutoff times the exponential of their running sum.

    Raises
    ------
    InputError
        The bars lack the close at a cutoff.
    """
    closes = bars[["unique_id", "ds", "close"]].rename(columns={"ds": "cutoff"})
    start = predictions.merge(closes, how="left", on=["unique_id", "cutoff"], validate="many_to_one")["close"]
    if start.isna().any():
        row = predictions.iloc[int(start.isna().argmax())]
        cutoff = format_date(row["cutoff"])
        raise InputError(f"The bars hold no close of {row['unique_id']} on {cutoff}; give the bars of the forecast.")
    by_step = predictions.reset_index(drop=True).sort_values("step")
    inverted = {
        column: start.to_numpy()
        * np.exp(by_step.groupby(["unique_id", "cutoff"])[column].cumsum().sort_index()).to_numpy()
        for column in ("y", "y_hat")
        if column in predictions
    }
    return predictions.assign(**inverted)


def _range_sentence(unique_id: str, y_hat: float, last_y: float, period: str = "daily") -> str:
    expected, last = told_apart(*(100 * math.exp(value / 2) for value in (y_hat, last_y)), digits=2)
    return f"{unique_id}: expected {period} volatility {expected} %, last {last} %"


def _return_sentence(unique_id: str, y_hat: float, last_y: float, period: str = "daily") -> str:
    expected, last = told_apart(*(100 * math.expm1(value) for value in (y_hat, last_y)), digits=2, sign="+")
    return f"{unique_id}: expected {period} return {expected} %, last {last} %"


def _close_sentence(unique_id: str, y_hat: float, last_y: float, period: str = "daily") -> str:
    expected, last = told_apart(y_hat, last_y, digits=5)
    return f"{unique_id}: expected {period} close {expected}, last {last}"


def told_apart(*values: float, digits: int, sign: str = "") -> tuple[str, ...]:
    """Write numbers with `digits` significant digits, or more if less than two of their difference would show.

    A difference that is a rounding error is none.
    """
    greatest = max(map(abs, values))
    difference = max(values) - min(values)
    if difference > _ROUNDING * greatest:
        digits = max(digits, min(MOST_DIGITS, math.floor(math.log10(greatest / difference)) + 2))
    return tuple(_significant(value, digits, sign) for value in values)


def _significant(value: float, digits: int, sign: str = "") -> str:
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if magnitude >= MOST_DIGITS:
        return format(value, f"{sign}.{digits}g")
    # `None` instead of 0 decimals makes round() return an int, which prints without ".0".
    return format(round(float(value), max(0, digits - 1 - magnitude) or None), f"{sign},")


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for target in (
            Target(
                "range",
                "log variance",
                "log Garman-Klass variance of the next bar, from its high, low, open and close",
                "last",
                log_variance,
                _range_sentence,
            ),
            Target(
                "return", "log return", "log return of the next close on the last", "zero", log_return, _return_sentence
            ),
            Target(
                "close",
                "price",
                "next close, predicted as a log return and turned back into a price",
                "zero",
                log_return,
                _close_sentence,
                returns_to_closes,
                "close",
            ),
        )
    }
)


def build_series_frame(bars: pd.DataFrame, target: Target, features: FeatureSet) -> pd.DataFrame:
    """Build the series frame of valid bars: ``unique_id``, ``ds``, ``y`` and the feature columns.

    Row t uses bars up to and including t. The leading rows of each symbol that lack their past are left out.

    Raises
    ------
    InputError
        A symbol has no row left.
    """
    parts = []
    for unique_id, symbol_bars in bars.groupby("unique_id", sort=False):
        y = target.apply(symbol_bars).rename("y")
        part = pd.concat([symbol_bars[["unique_id", "ds"]], y, features.apply(symbol_bars)], axis=1).dropna()
        if part.empty:
            raise InputError(
                f"The {len(symbol_bars)} bars of {unique_id} are too few for target {target.name!r} with features "
                f"{features.name!r}, or without volume; give {VOLUME_DAYS + 1} or more or choose features 'none'."
            )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)

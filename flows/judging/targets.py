"""What is forecast, and how people see it: the targets of bars, and the ``y`` of a series frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from gatecast.data.sequences.features import FEATURE_SETS, TARGETS, Target, build_series_frame, told_apart
from gatecast.flows.settings.runs import RetrainSettings


@dataclass(frozen=True)
class Display:
    """The form in which people read a target.

    Attributes
    ----------
    label : str
        Its name on an axis.
    unit : str
        ``%``, or nothing for a price and for the unit of a series of the user's own.
    apply : callable
        Turns values in the target's unit into what people read.
    digits : int
        Number of significant digits, as in the target's sentence.
    sign : {"", "+"}
        Whether positive values have a sign.
    """

    label: str
    unit: str
    apply: Callable[[np.ndarray], np.ndarray]
    digits: int
    sign: Literal["", "+"] = ""


DISPLAYS: Mapping[str, Display] = MappingProxyType(
    {
        "range": Display("volatility", "%", lambda log_variance: 100 * np.exp(log_variance / 2), 2),
        "return": Display("return", "%", lambda log_return: 100 * np.expm1(log_return), 2, "+"),
        "close": Display("close", "", np.asarray, 5),
        "y": Display("y", "", np.asarray, 6),
    }
)


def _y_sentence(unique_id: str, y_hat: float, last_y: float, period: str = "next") -> str:
    expected, last = told_apart(y_hat, last_y, digits=6)
    return f"{unique_id}: expected {period} value {expected}, last {last}"


OWN_Y = Target("y", "y", "the y of the series, as it is", "last", lambda frame: frame["y"], _y_sentence)


def target_of(settings: RetrainSettings) -> Target:
    """Return the target of resolved settings."""
    return TARGETS[settings.target] if settings.target else OWN_Y


def series_frame(frame: pd.DataFrame, target: str | None, features: str | None) -> pd.DataFrame:
    """Return the series frame that the model learns: ``unique_id``, ``ds``, ``y`` and covariates.

    Parameters
    ----------
    frame : DataFrame
        Bars, or a series frame, which stays as it is.
    target, features : str or None
        Names from resolved settings; None with a series frame.
    """
    if target is None or features is None:
        return frame
    return build_series_frame(frame, TARGETS[target], FEATURE_SETS[features])


def told_frame(frame: pd.DataFrame, settings: RetrainSettings) -> pd.DataFrame:
    """Return ``unique_id``, ``ds`` and ``y`` of the series in the unit that people read, at the rows that are learnt.

    Parameters
    ----------
    frame : DataFrame
        Bars, or a series frame.
    settings : RetrainSettings
        Resolved.
    """
    series = series_frame(frame, settings.target, settings.features)[["unique_id", "ds", "y"]]
    column = target_of(settings).told
    if column is None:
        return series
    bars = frame[["unique_id", "ds", column]].rename(columns={column: "y"})
    return series.drop(columns="y").merge(bars, on=["unique_id", "ds"], validate="one_to_one")

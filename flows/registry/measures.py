"""What a version is judged by: a figure, its name, and whether lower or higher is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# If the same model is fitted with other code or on another processor, the last digits differ.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Measure:
    """A figure of merit.

    Attributes
    ----------
    name : str
        As people read it.
    form : str
        How a value is written, as `format` takes it.
    lower_is_better : bool
        False for scores that should be high, such as F1.
    """

    name: str
    form: str
    lower_is_better: bool = True

    def text(self, value: float) -> str:
        """Return a value as people read it."""
        return format(value, self.form)

    def is_worse(self, value: float, other: float) -> bool:
        """Tell whether a value is worse than another by more than rounding."""
        if self.lower_is_better:
            return value > other * (1 + TOLERANCE)
        return value < other * (1 - TOLERANCE)

    def gain(self, value: float, other: float) -> float:
        """Return how much better a value is: the share of the other error that is removed, or the gain in a share."""
        if not self.lower_is_better:
            return value - other
        return 1 - value / other if other > 0 else 0.0

    def gain_text(self, value: float, other: float) -> str:
        """Return `gain` with its sign: in percent, or in percentage points if the values are percentages."""
        gain = self.gain(value, other)
        return f"{gain:+.1%}" if self.lower_is_better else f"{100 * gain:+.1f} points"

    def difference(self, value: float, other: float) -> str:
        """Return in words how far a value is from another, as ``3.20% lower than``."""
        if value == other:
            return "the same as"
        gain = abs(self.gain(value, other))
        how = f"{gain:.2%}" if self.lower_is_better else f"{100 * gain:.2f} percentage points"
        return f"{how} {'higher' if value > other else 'lower'} than"


RMSE = Measure("RMSE", ".5g")
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {measure.name: measure for measure in (Measure("MASE", ".4f"), Measure("RMSSE", ".4f"), Measure("MAE", ".5g"))}
)
"""By which a forecaster is held against its baselines, see `lstm.forecasting.scores.Scales`"""
BITS_PER_CHARACTER = Measure("bits/char", ".4f")
F1 = Measure("F1", ".2%", lower_is_better=False)
ACCURACY = Measure("accuracy", ".2%", lower_is_better=False)


@dataclass(frozen=True)
class Figure:
    """What a version scored on its test data, and what the best method without a network scores there.

    Attributes
    ----------
    measure : Measure
    value : float
    baseline : float or None
        None if there is no such method, or if it has no value.
    """

    measure: Measure
    value: float
    baseline: float | None

    def __str__(self) -> str:
        return f"{self.measure.name} {self.measure.text(self.value)}"

    @property
    def gain(self) -> str:
        """How much better than that method; a dash if there is none."""
        return "–" if self.baseline is None else self.measure.gain_text(self.value, self.baseline)


@dataclass(frozen=True)
class Standing:
    """What a version scored on its test data against a baseline.

    Attributes
    ----------
    baseline : str
        What people call it.
    measure : Measure
    value, other : float or None
        Of the version and of the baseline; None where a score is not finite.
    loses : bool
        Whether the version is worse by more than luck or, where there are too few origins to tell, by the figures.
    p_value, origins, needed : optional
        See `luck`.
    """

    baseline: str
    measure: Measure
    value: float | None
    other: float | None
    loses: bool
    p_value: float | None = None
    origins: int | None = None
    needed: int | None = None

    def __str__(self) -> str:
        ours, theirs = ("–" if score is None else self.measure.text(score) for score in (self.value, self.other))
        told = luck(self.p_value, self.origins, self.needed)
        return f"{self.baseline} ({self.measure.name} {ours} against {theirs}{f'; {told}' if told else ''})"

    def record(self) -> dict[str, Any]:
        """Return what the history of promotions stores."""
        return {**vars(self), "measure": self.measure.name}


def luck(p_value: float | None, origins: int | None, needed: int | None) -> str:
    """Say how likely a difference is luck, or that there are too few origins to tell; empty where nothing was tested.

    Parameters
    ----------
    p_value : float or None
        None if nothing was tested.
    origins, needed : int or None
        How many there are, and how many a test needs; see `lstm.forecasting.significance.fewest_origins`.
    """
    if p_value is not None:
        return f"p = {p_value:.2g}"
    if origins is None or needed is None:
        return ""
    return f"too few origins to tell ({origins:,}, where {needed:,} are needed)"

"""What `scale_windows` does to each window: how it is scaled, and what its forecast is added to."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LAST", "MEAN", "NONE", "RESIDUAL_TO_LAST", "SCALINGS", "STANDARD", "WindowScaling"]

NONE = 0
LAST = 1
MEAN = 2
STANDARD = 3
SCALINGS = {"none": NONE, "last": LAST, "mean": MEAN, "standard": STANDARD}
RESIDUAL_TO_LAST = 1


class WindowScaling(NamedTuple):
    """How windows become what a network reads, and its outputs forecasts: ``base + spread * y_hat``.

    Attributes
    ----------
    kind : int
        One of `SCALINGS`, for each column of each window by its own known rows. ``LAST`` takes the last value away,
        as NLinear does (Zeng et al. 2023, arXiv 2205.13504); ``MEAN`` divides by the mean of the absolute values, as
        DeepAR does (Salinas et al. 2020, arXiv 1704.04110, §3.3); ``STANDARD`` takes the mean away and divides by the
        standard deviation, as RevIN does (Kim et al. 2022).
    season : int
        What a forecast is added to: 0 the window's centre, 1 its last value, m of at least 2 the value of a season, m
        rows, before each step ahead.
    floor : float
        Least divisor, in the unit of the values: a window that hardly varies does not explode.
    indicator : bool
        Whether windows have one more column, 1 where column 0 is missing and 0 elsewhere.
    gap_season : int
        Rows of the season that fills gaps of more than half of it; 0 fills all gaps by the line between their ends.
    lag : int
        Where not 0, column 0 of a window is its differences from that many rows before; the first rows of the window
        and of a series, which have none before, are 0.
    """

    kind: int
    season: int
    floor: float
    indicator: bool
    gap_season: int = 0
    lag: int = 0

"""Ridge regression over the window: the linear forecast that a network has to be worth more than."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatecast.lstm.forecasting.baselines import Baseline
from gatecast.lstm.forecasting.panel import Panel

__all__ = ["Moments", "Regression", "Ridge", "deviations", "filled_targets"]

# Windows that are gathered at once: enough for speed, few enough that the copies stay small.
_BATCH = 4096
_HELD_BACK = 0.2
"""Share of each series' training rows, the last ones, by which the penalty is chosen"""
_PENALTIES = np.logspace(-6, 1, 15)
"""In units of the inputs' mean variance"""
_ROUNDING = 1e-10
"""Share of the inputs' mean square below which a variance is rounding"""


@dataclass(frozen=True)
class Ridge(Baseline):
    """One linear regression of the next rows on the window, for all series together.

    Inputs and targets are differences from the window's last value, as in NLinear (Zeng et al. 2023, arXiv 2205.13504),
    divided by the standard deviation of the series' training rows. The penalty is the one whose squared error on the
    last fifth of the training rows is least; then all of them are fitted.

    Attributes
    ----------
    window : int
        Rows looked back upon.
    most_windows : int
        Where there are more training windows, evenly spaced ones are taken.
    """

    window: int
    most_windows: int = 100_000
    name = "ridge"
    label = "ridge regression"

    def _forecast(
        self, fitted: tuple[Regression | None, np.ndarray], panel: Panel, origins: np.ndarray, horizon: int
    ) -> np.ndarray:
        regression, scale = fitted
        if regression is None:
            return np.full((len(origins), 1), np.nan)
        return (
            panel.filled[origins, None] + regression.predict(self._inputs(panel, origins, scale)) * scale[origins, None]
        )

    def _fit(self, panel: Panel, horizon: int) -> tuple[Regression | None, np.ndarray]:
        """Return the regression, and what differences of each row are divided by.

        There is no regression where no series has rows enough to choose the penalty by.
        """
        scale = deviations(panel)[panel.series]
        early, between, late = (
            sum(
                (Moments.of(x, y) for x, y in self._batches(panel, rows, scale, horizon)),
                start=Moments.zero(self.window - 1, horizon),
            )
            for rows in self._origins(panel, horizon)
        )
        if not early.rows:
            return None, scale
        candidates = list(early.regressions(_PENALTIES))
        best = int(np.argmin([late.squared_error(candidate) for candidate in candidates]))
        return next((early + between + late).regressions(_PENALTIES[best : best + 1])), scale

    def _origins(self, panel: Panel, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the origins of training windows: before the rows held back, across their beginning, and within."""
        ends = panel.offsets[:-1] + panel.trained
        held_back = np.maximum(horizon, (_HELD_BACK * (panel.trained - self.window)).astype(np.int64))
        rows = np.arange(len(panel.y))
        rows = rows[(panel.known(rows) >= self.window) & (rows + horizon < ends[panel.series])]
        rows = rows[np.isfinite(panel.filled[rows + 1 - self.window])]
        if len(rows) > self.most_windows:
            rows = rows[np.linspace(0, len(rows) - 1, self.most_windows).astype(np.int64)]
        boundary = (ends - held_back)[panel.series[rows]]
        is_early, is_late = rows + horizon < boundary, rows + 1 >= boundary
        return rows[is_early], rows[~is_early & ~is_late], rows[is_late]

    def _batches(
        self, panel: Panel, rows: np.ndarray, scale: np.ndarray, horizon: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, len(rows), _BATCH):
            batch = rows[first : first + _BATCH]
            following = panel.filled[batch[:, None] + np.arange(1, horizon + 1)]
            yield self._inputs(panel, batch, scale), (following - panel.filled[batch, None]) / scale[batch, None]

    def _inputs(self, panel: Panel, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        values = panel.windows(rows, self.window)
        return (values[:, :-1] - values[:, -1:]) / scale[rows, None]


def deviations(panel: Panel) -> np.ndarray:
    """Return the standard deviation of each series' training rows, 1 where there is none."""
    training = [panel.y[rows][:trained] for rows, trained in panel.each()]
    deviations = np.array([np.nanstd(y) if np.isfinite(y).any() else 1.0 for y in training])
    return np.where(deviations > 0, deviations, 1.0)


def filled_targets(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the missing targets of windows a likely value, so that a gap does not cost all the steps around it.

    Parameters
    ----------
    y : (n, horizon) array
        NaN where a target is missing.

    Returns
    -------
    filled : (n, horizon) array
        A missing target lies on the line between its neighbours of the same window; before the first and after the last
        it is like these.
    is_usable : (n,) bool array
        Whether at least half of the targets are known.
    """
    is_known = np.isfinite(y)
    is_usable = 2 * is_known.sum(axis=1) >= y.shape[1]
    if is_known.all():
        return y, is_usable
    places = np.arange(y.shape[1])
    left = np.maximum.accumulate(np.where(is_known, places, -1), axis=1)
    right = np.minimum.accumulate(np.where(is_known, places, y.shape[1])[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(left < 0, right, left), np.where(right == y.shape[1], left, right)
    windows = np.arange(len(y))[:, None]
    inside = np.clip([left, right], 0, y.shape[1] - 1)  # a window without any target is not usable
    before, after = y[windows, inside[0]], y[windows, inside[1]]
    share = (places - left) / np.maximum(right - left, 1)
    return np.where(is_known, y, before + share * (after - before)), is_usable


class Regression(NamedTuple):
    """Linear forecasts of q targets from p inputs."""

    coefficients: np.ndarray
    """(p, q)"""
    intercept: np.ndarray
    """(q,)"""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n, q) forecasts of x (n, p)."""
        return x @ self.coefficients + self.intercept


class Moments(NamedTuple):
    """Sums over rows of inputs x (n, p) and targets y (n, q): all that a regression needs to know of them."""

    rows: float
    """Their number; where they are weighted, the sum of their weights"""
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    counted: int
    """Of the rows that weigh anything"""

    @classmethod
    def zero(cls, p: int, q: int) -> Moments:
        """Return those of no rows."""
        return cls(0, np.zeros(p), np.zeros(q), np.zeros((p, p)), np.zeros((p, q)), np.zeros(q), 0)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Moments:
        """Return those of inputs (n, p) and targets (n, q); weights (n,) say how much each row counts."""
        if weights is not None:
            weighted_x, weighted_y = weights[:, None] * x, weights[:, None] * y
            sums = weighted_x.sum(axis=0), weighted_y.sum(axis=0)
            products = x.T @ weighted_x, x.T @ weighted_y, (y * weighted_y).sum(axis=0)
            return cls(float(weights.sum()), *sums, *products, int(np.count_nonzero(weights)))
        return cls(len(x), x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y, (y**2).sum(axis=0), len(x))

    def __add__(self, other: tuple) -> Moments:
        return Moments(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))

    def regressions(self, penalties: np.ndarray) -> Iterator[Regression]:
        """Give the ridge regression of each penalty; the intercept is not penalised."""
        x, y = self.x / self.rows, self.y / self.rows
        variances, axes = np.linalg.eigh(self.xx / self.rows - np.outer(x, x))
        projected = axes.T @ (self.xy / self.rows - np.outer(x, y))
        # Along an axis on which the inputs of a straight line do not vary, all that is left is rounding.
        varies = variances > _ROUNDING * np.trace(self.xx) / self.rows
        unit = float(variances.mean())
        for penalty in penalties:
            divisors = np.where(varies, variances + penalty * unit, np.inf)
            coefficients = axes @ (projected / divisors[:, None])
            yield Regression(coefficients, y - x @ coefficients)

    def squared_error(self, regression: Regression, of_targets: np.ndarray | None = None) -> float:
        """Return the sum of squared errors of a regression over these rows and all targets.

        Parameters
        ----------
        regression : Regression
        of_targets : (q,) array, optional
            How much each target counts; by default alike.
        """
        b, a = regression
        crossed = b * self.xy + self.x[:, None] * b * -a
        of_inputs = (b * (self.xx @ b) - 2 * crossed).sum(axis=0)
        squared = self.yy - 2 * a * self.y + self.rows * a**2 + of_inputs
        return float(squared.sum() if of_targets is None else squared @ of_targets)

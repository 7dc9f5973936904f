"""The beginning of a network with a linear skip: ridge regression over its own windows, which training improves on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatecast.lstm.forecasting.reader import WindowReader
from gatecast.lstm.forecasting.residuals import PENALTIES
from gatecast.lstm.forecasting.ridge import Moments, Regression, filled_targets

__all__ = ["start_linear"]

_BATCH = 4096
_MOST_WINDOWS = 50_000
"""Where there are more training windows, evenly spaced ones are taken"""
_HELD_BACK = 0.2
"""Share of the training windows, the last of each series, by which the penalty is chosen"""


def start_linear(
    reader: WindowReader, series: np.ndarray, end: np.ndarray, row_weights: np.ndarray | None = None
) -> None:
    """Set the linear skip of a network to the ridge regression of the targets on the windows, ``=``.

    The penalty is the one whose squared error on the last windows of each series is least; then all are fitted.

    Parameters
    ----------
    reader : WindowReader
        Of a network with a skip and a head of zeros.
    series, end : (n,) arrays
        Series of each training window, one after another, and the row after its last input row.
    row_weights : (rows,) array, optional
        How much each row weighs as a target; a window weighs as much as the mean of its targets. By default all windows
        weigh the same.
    """
    network = reader.network
    assert network.skip is not None, "only a network with a skip begins as its skip"
    if len(end) > _MOST_WINDOWS:
        some = np.linspace(0, len(end) - 1, _MOST_WINDOWS).astype(np.int64)
        series, end = series[some], end[some]
    late_from = _last_share(series)
    is_late = np.arange(len(end)) >= late_from
    early, late = (_moments(reader, series[chosen], end[chosen], row_weights) for chosen in (~is_late, is_late))
    if early.counted < 2:
        return
    candidates = list(early.regressions(PENALTIES))
    best = len(candidates) - 1
    if late.counted:
        of_steps = None if reader.settings.step_weights is None else np.array(reader.settings.step_weights)
        best = int(np.argmin([late.squared_error(candidate, of_steps) for candidate in candidates]))
    regression: Regression = next((early + late).regressions(PENALTIES[best : best + 1]))
    weights = np.concatenate([regression.coefficients.T.ravel(), regression.intercept])
    network.skip.parameters.set_flat(weights.astype(network.dtype))  # the GPU does not convert


def _last_share(series: np.ndarray) -> np.ndarray:
    """Return for each window the number of the first that is held back of its series."""
    _, begins, counts = np.unique(series, return_index=True, return_counts=True)
    limits = begins + counts - np.maximum(1, (counts * _HELD_BACK).astype(np.int64))
    return np.repeat(limits, counts)


def _moments(reader: WindowReader, series: np.ndarray, end: np.ndarray, row_weights: np.ndarray | None) -> Moments:
    batches = _batches(reader, series, end, row_weights)
    zero = Moments.zero(reader.settings.window, reader.settings.horizon)
    return sum((Moments.of(*batch) for batch in batches), start=zero)


def _batches(
    reader: WindowReader, series: np.ndarray, end: np.ndarray, row_weights: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Give the inputs and targets of windows, in float64, and their weights; see `filled_targets`."""
    for first in range(0, len(end), _BATCH):
        rows = slice(first, first + _BATCH)
        windows = reader.read(series[rows], end[rows], known=True)
        past, targets = (reader.ops.to_host(array).astype(np.float64) for array in (windows.past, windows.targets))
        weights = None
        if row_weights is not None:
            of_targets = row_weights[end[rows, None] + np.arange(targets.shape[1])]
            weights = of_targets.mean(axis=1, dtype=np.float64)
            targets = np.where(of_targets > 0, targets, np.nan)  # what does not count is as good as missing
        targets, is_usable = filled_targets(targets)
        yield past[is_usable], targets[is_usable], weights if weights is None else weights[is_usable]

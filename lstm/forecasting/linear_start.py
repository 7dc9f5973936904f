"""The beginning of a network with a linear skip: ridge regression over its own windows, which training improves on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.residuals import PENALTIES
from gatecast.lstm.forecasting.ridge import Moments, Regression
from gatecast.lstm.forecasting.scaled_windows import scaled_windows

__all__ = ["start_linear"]

_BATCH = 4096
_MOST_WINDOWS = 50_000
"""Where there are more training windows, evenly spaced ones are taken"""
_HELD_BACK = 0.2
"""Share of the training windows, the last of each series, by which the penalty is chosen"""


def start_linear(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling,
) -> None:
    """Set the linear skip of a network to the ridge regression of the targets on the windows, ``=``.

    The penalty is the one whose squared error on the last windows of each series is least; then all are fitted.

    Parameters
    ----------
    network : Network
        With a skip and a head of zeros.
    settings : ForecasterSettings
        Chosen.
    values : (rows, columns) array
        All series, one after another, scaled.
    firsts, end : (n,) int64 arrays
        First row of each training window's series, and the row after its last input row; series by series.
    scaling : WindowScaling
    """
    assert network.skip is not None, "only a network with a skip begins as its skip"
    if len(end) > _MOST_WINDOWS:
        some = np.linspace(0, len(end) - 1, _MOST_WINDOWS).astype(np.int64)
        firsts, end = firsts[some], end[some]
    late_from = _last_share(firsts)
    is_late = np.arange(len(end)) >= late_from
    early, late = (
        _moments(network, settings, values, firsts[chosen], end[chosen], scaling) for chosen in (~is_late, is_late)
    )
    if early.rows < 2:
        return
    candidates = list(early.regressions(PENALTIES))
    best = int(np.argmin([late.squared_error(candidate) for candidate in candidates])) if late.rows else len(candidates)
    best = min(best, len(candidates) - 1)
    regression: Regression = next((early + late).regressions(PENALTIES[best : best + 1]))
    weights = np.concatenate([regression.coefficients.T.ravel(), regression.intercept])
    network.skip.parameters.set_flat(weights.astype(network.dtype))  # the GPU does not convert


def _last_share(firsts: np.ndarray) -> np.ndarray:
    """Return for each window the number of the first that is held back of its series."""
    _, begins, counts = np.unique(firsts, return_index=True, return_counts=True)
    limits = begins + counts - np.maximum(1, (counts * _HELD_BACK).astype(np.int64))
    return np.repeat(limits, counts)


def _moments(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling,
) -> Moments:
    batches = _batches(network, settings, values, firsts, end, scaling)
    return sum((Moments.of(x, y) for x, y in batches), start=Moments.zero(settings.window, settings.horizon))


def _batches(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the inputs and targets of windows whose targets are all known, in float64."""
    ops, dtype = network.ops, network.dtype
    sizes = settings.window, settings.horizon
    values = ops.as_array(values, dtype)
    for first in range(0, len(end), _BATCH):
        rows = slice(first, first + _BATCH)
        starts = ops.as_array(end[rows] - settings.window, "int64")
        windows = scaled_windows(ops, values, dtype, starts, ops.as_array(firsts[rows], "int64"), scaling, sizes)
        past, targets = (ops.to_host(array).astype(np.float64) for array in (windows.past, windows.targets))
        known = np.isfinite(targets).all(axis=1)
        yield past[known], targets[known]

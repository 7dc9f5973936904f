"""Forecasts of a fitted network in scaled units: of every window, and of what follows each series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.losses import LOSSES
from gatecast.kernels.window_scaling import NONE, WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.scaled_windows import ScaledWindows, scaled_windows

__all__ = [
    "attention_of_windows", "attention_weights", "frame_of_windows", "predict_next", "predict_windows",
    "spread_next", "window_loss",
]  # fmt: skip

# Windows predicted at once: enough to fill the cores, few enough that their activations stay small.
_BATCH = 256
_PLAIN = WindowScaling(NONE, season=0, floor=1.0, indicator=False)
"""Takes windows as they are"""


def predict_windows(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    offsets: np.ndarray,
    series: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling | None = None,
) -> np.ndarray:
    """Forecast what follows each window.

    Parameters
    ----------
    network : Network
    settings : ForecasterSettings
    values : (rows, columns) array
        All series, one after another, scaled.
    offsets : (n_series + 1,) array
        Where each series begins.
    series, end : (n,) arrays
        Series of each window, and the row after its last input row.
    scaling : WindowScaling, optional
        What each window is scaled by; by default it is taken as it is.

    Returns
    -------
    (n, horizon) array
        Scaled, of the network's dtype.
    """
    values = network.ops.as_array(values, network.dtype)
    scaled = np.empty((len(end), settings.horizon), network.dtype)
    if settings.stateful:
        for number in np.unique(series):
            chosen = series == number
            first = offsets[number]
            ends = end[chosen]
            stream = values[first : ends.max()]
            y_hat, _ = network.forward(stream.reshape(1, *stream.shape), every_step=True)
            scaled[chosen] = network.ops.to_host(y_hat)[ends - 1 - first]
        return scaled
    for first in range(0, len(end), _BATCH):
        rows = slice(first, first + _BATCH)
        scaled[rows] = _forecast(network, settings, values, offsets[series[rows]], end[rows], scaling)
    return scaled


def _forecast(
    network: Network,
    settings: ForecasterSettings,
    values: Any,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling | None,
    dropout_step: int | None = None,
) -> np.ndarray:
    """Forecast what follows the windows that end before the rows `end`, (n, horizon)."""
    windows = _scaled(network, settings, values, firsts, end, scaling or _PLAIN)
    y_hat, _ = network.forward(windows.x, past=windows.past, training=dropout_step is not None, step=dropout_step)
    return windows.restored(network.ops.to_host(y_hat), network.ops)


def _scaled(
    network: Network,
    settings: ForecasterSettings,
    values: Any,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling,
    known: bool = False,
) -> ScaledWindows:
    starts = network.ops.as_array(end - settings.window, "int64")
    firsts = network.ops.as_array(firsts, "int64")
    sizes = settings.window, settings.horizon
    return scaled_windows(network.ops, values, network.dtype, starts, firsts, scaling, sizes, known)


def window_loss(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    firsts: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling,
) -> float:
    """Return the mean loss of the forecasts of windows whose targets are known, as training has it."""
    ops = network.ops
    values = ops.as_array(values, network.dtype)
    loss_sum, count = 0.0, 0
    for first in range(0, len(end), _BATCH):
        rows = slice(first, first + _BATCH)
        windows = _scaled(network, settings, values, firsts[rows], end[rows], scaling, known=True)
        y_hat, _ = network.forward(windows.x, past=windows.past)
        known = int(np.isfinite(ops.to_host(windows.targets)).sum())
        weights = ops.ones(y_hat.shape, network.dtype)
        unused = ops.empty(y_hat.shape, network.dtype)
        loss = ops.forecast_loss(
            LOSSES[network.loss], y_hat, windows.targets, weights, windows.base, windows.spread, unused
        )
        loss_sum += known * float(loss)
        count += known
    return loss_sum / max(count, 1)


def frame_of_windows(sequences: Sequences, windows: Windows, y_hat: np.ndarray) -> pd.DataFrame:
    """Return forecasts (n, horizon) of windows, in y's unit, as `Forecaster.predict_windows` does."""
    horizon = y_hat.shape[1]
    steps = np.tile(np.arange(1, horizon + 1), len(windows))
    series = np.repeat(windows.series, horizon)
    end = np.repeat(windows.end, horizon)
    y = sequences.unscale_y(sequences.values[windows.end[:, None] + np.arange(horizon), 0], windows.series)
    return pd.DataFrame(
        {
            "unique_id": np.array(sequences.unique_ids, dtype=object)[series],
            "cutoff": sequences.dates(end - 1),
            "ds": sequences.dates(end + steps - 1),
            "step": steps,
            "y": y.ravel(),
            "y_hat": y_hat.ravel(),
        }
    )


def attention_of_windows(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    offsets: np.ndarray,
    series: np.ndarray,
    end: np.ndarray,
    scaling: WindowScaling | None = None,
) -> np.ndarray:
    """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback).

    Parameters
    ----------
    network : Network
        With attention.
    settings : ForecasterSettings
    values, offsets, series, end, scaling
        As for `predict_windows`.
    """
    assert network.attention is not None, "only a network with attention has weights"
    values = network.ops.as_array(values, network.dtype)
    weights = np.empty((len(end), settings.attention_heads, settings.window), network.dtype)
    for first in range(0, len(end), _BATCH):
        rows = slice(first, first + _BATCH)
        _forecast(network, settings, values, offsets[series[rows]], end[rows], scaling)
        of_batch = network.attention.weights
        weights[first : first + _BATCH] = of_batch.reshape(-1, *weights.shape[1:])
    return weights


def predict_next(
    network: Network,
    settings: ForecasterSettings,
    context: Context,
    dropout_step: int | None = None,
    scaling: WindowScaling | None = None,
) -> np.ndarray:
    """Forecast what follows each series.

    Parameters
    ----------
    network : Network
    settings : ForecasterSettings
    context : Context
        The last rows of each series.
    dropout_step : int, optional
        Drop out as in training, with the masks of this step: one sample of Monte-Carlo dropout. By default nothing is
        dropped.
    scaling : WindowScaling, optional
        As for `predict_windows`.

    Returns
    -------
    (n_series, horizon) array
        Scaled, of the network's dtype.
    """
    ops = network.ops
    if settings.stateful:  # the state has seen more rows of one series than of another
        parts = []
        for series in range(len(context.unique_ids)):
            x = ops.as_array(context.rows_of(series)[None], network.dtype)
            y_hat, _ = network.forward(x, training=dropout_step is not None, step=dropout_step)
            parts.append(ops.to_host(y_hat))
        return np.concatenate(parts)
    values = ops.as_array(context.values, network.dtype)
    firsts, end = context.offsets[:-1], context.offsets[1:]
    batches = [slice(first, first + _BATCH) for first in range(0, len(end), _BATCH)]
    parts = [_forecast(network, settings, values, firsts[b], end[b], scaling, dropout_step) for b in batches]
    return np.concatenate(parts)


def spread_next(network: Network, settings: ForecasterSettings, context: Context, scaling: WindowScaling) -> np.ndarray:
    """Return what the last window of each series is divided by, (n_series,)."""
    values = network.ops.as_array(context.values, network.dtype)
    windows = _scaled(network, settings, values, context.offsets[:-1], context.offsets[1:], scaling)
    return np.asarray(network.ops.to_host(windows.spread))


def attention_weights(
    network: Network, settings: ForecasterSettings, context: Context, scaling: WindowScaling | None = None
) -> pd.DataFrame:
    """Return how much each forecast of `predict_next` looks at each row.

    Returns
    -------
    DataFrame
        ``unique_id``, ``head`` (from 0), ``ds`` and ``weight``; the weights of a series and head add up to 1. Rows of a
        window that are before the first of its series are left out.
    """
    heads = settings.attention_heads
    lookback = settings.window
    count = len(context.unique_ids)
    place = context.values, context.offsets, np.arange(count), context.offsets[1:]
    weights = attention_of_windows(network, settings, *place, scaling)
    dates = [context.dates_of(series)[-lookback:] for series in range(count) for _ in range(heads)]
    rows = np.array([len(of_head) for of_head in dates])
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.repeat(np.array(context.unique_ids, dtype=object), heads), rows),
            "head": np.repeat(np.tile(np.arange(heads), count), rows),
            "ds": dates[0].append(dates[1:]),
            "weight": weights.reshape(-1, lookback)[np.arange(lookback) >= lookback - rows[:, None]],
        }
    )

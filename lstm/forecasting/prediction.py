"""Forecasts of a fitted network in scaled units: of every window, and of what follows each series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.network import Network

__all__ = ["attention_of_windows", "attention_weights", "predict_next", "predict_windows"]

# Windows predicted at once: enough to fill the cores, few enough that their activations stay small.
_BATCH = 256


def predict_windows(
    network: Network,
    settings: ForecasterSettings,
    values: np.ndarray,
    offsets: np.ndarray,
    series: np.ndarray,
    end: np.ndarray,
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
        y_hat, _ = network.forward(_gathered(network, settings, values, end[first : first + _BATCH]))
        scaled[first : first + _BATCH] = network.ops.to_host(y_hat)
    return scaled


def attention_of_windows(
    network: Network, settings: ForecasterSettings, values: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback).

    Parameters
    ----------
    network : Network
        With attention.
    settings : ForecasterSettings
    values, end
        As for `predict_windows`.
    """
    assert network.attention is not None, "only a network with attention has weights"
    values = network.ops.as_array(values, network.dtype)
    weights = np.empty((len(end), settings.attention_heads, settings.lookback), network.dtype)
    for first in range(0, len(end), _BATCH):
        network.forward(_gathered(network, settings, values, end[first : first + _BATCH]))
        of_batch = network.attention.weights
        weights[first : first + _BATCH] = of_batch.reshape(-1, *weights.shape[1:])
    return weights


def predict_next(
    network: Network, settings: ForecasterSettings, context: Context, dropout_step: int | None = None
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

    Returns
    -------
    (n_series, horizon) array
        Scaled, of the network's dtype.
    """
    parts = []
    for x in _inputs(settings, context):
        x = network.ops.as_array(x, network.dtype)
        y_hat, _ = network.forward(x, training=dropout_step is not None, step=dropout_step)
        parts.append(network.ops.to_host(y_hat))
    return np.concatenate(parts)


def attention_weights(network: Network, settings: ForecasterSettings, context: Context) -> pd.DataFrame:
    """Return how much each forecast of `predict_next` looks at each row.

    Returns
    -------
    DataFrame
        ``unique_id``, ``head`` (from 0), ``ds`` and ``weight``; the weights of a series and head add up to 1.
    """
    assert network.attention is not None, "only a network with attention has weights"
    heads = settings.attention_heads
    lookback = settings.lookback
    parts = []
    for x in _inputs(settings, context):
        network.forward(network.ops.as_array(x, network.dtype))
        parts.append(network.attention.weights.reshape(-1))
    dates = [context.dates_of(series)[-lookback:] for series in range(len(context.unique_ids)) for _ in range(heads)]
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(context.unique_ids, dtype=object), heads * lookback),
            "head": np.tile(np.repeat(np.arange(heads), lookback), len(context.unique_ids)),
            "ds": dates[0].append(dates[1:]),
            "weight": np.concatenate(parts),
        }
    )


def _gathered(network: Network, settings: ForecasterSettings, values: Any, end: np.ndarray) -> Any:
    """Return the windows that end before the rows `end`, (n, lookback, columns)."""
    x = network.ops.zeros((len(end), settings.lookback, values.shape[1]), network.dtype)
    network.ops.gather_windows(values, network.ops.as_array(end - settings.lookback, "int64"), x)
    return x


def _inputs(settings: ForecasterSettings, context: Context) -> list[np.ndarray]:
    """Return batches (n, rows, columns) of the rows that each series is continued from."""
    rows = [context.rows_of(series) for series in range(len(context.unique_ids))]
    if settings.stateful:  # the state has seen more rows of one series than of another
        return [of_series[None] for of_series in rows]
    windows = np.stack([of_series[-settings.lookback :] for of_series in rows])
    return [windows[first : first + _BATCH] for first in range(0, len(windows), _BATCH)]

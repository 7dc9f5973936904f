"""Forecasts of a fitted network in scaled units: of every window, and of what follows each series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.losses import LOSSES
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.reader import WindowReader
from gatecast.lstm.forecasting.target_weights import TargetWeights

__all__ = [
    "attention_of_windows", "attention_weights", "frame_of_windows", "predict_next", "predict_windows",
    "spread_next", "window_loss",
]  # fmt: skip


def predict_windows(reader: WindowReader, series: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Forecast what follows each window.

    Parameters
    ----------
    reader : WindowReader
    series, end : (n,) arrays
        Series of each window, and the row after its last input row.

    Returns
    -------
    (n, horizon) array
        Scaled, of the network's dtype.
    """
    network = reader.network
    scaled = np.empty((len(end), reader.settings.horizon), network.dtype)
    if reader.settings.stateful:
        for number in np.unique(series):
            chosen = series == number
            first = reader.offsets[number]
            ends = end[chosen]
            stream = reader.values[first : ends.max()]
            y_hat, _ = network.forward(stream.reshape(1, *stream.shape), every_step=True)
            scaled[chosen] = network.ops.to_host(y_hat)[ends - 1 - first]
        return scaled
    for rows in reader.batches(len(end)):
        scaled[rows] = reader.forecast(series[rows], end[rows])
    return scaled


def window_loss(
    reader: WindowReader, series: np.ndarray, end: np.ndarray, target_weights: TargetWeights | None = None
) -> float:
    """Return the mean loss of the forecasts of windows whose targets are known, as training has it.

    Parameters
    ----------
    reader : WindowReader
    series, end : (n,) arrays
        As for `predict_windows`.
    target_weights : TargetWeights, optional
        By default all targets weigh the same.
    """
    network, ops = reader.network, reader.ops
    loss_sum = 0.0
    weight_sum = 0.0
    for rows in reader.batches(len(end)):
        windows = reader.read(series[rows], end[rows], known=True)
        y_hat = reader.forward(windows, series[rows])
        weights = ops.ones(y_hat.shape, network.dtype)
        if target_weights is not None:
            ops.weigh_targets(
                target_weights.of_rows, ops.as_array(end[rows], "int64"), target_weights.of_steps, weights
            )
        unused = ops.empty(y_hat.shape, network.dtype)
        loss = ops.forecast_loss(
            LOSSES[network.loss], y_hat, windows.targets, weights, windows.base, windows.spread, unused
        )
        is_known = np.isfinite(ops.to_host(windows.targets))
        weight = float(ops.to_host(weights)[is_known].sum(dtype=np.float64))
        loss_sum += weight * float(loss)
        weight_sum += weight
    return loss_sum / weight_sum if weight_sum else 0.0


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


def attention_of_windows(reader: WindowReader, series: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback).

    Parameters
    ----------
    reader : WindowReader
        Of a network with attention.
    series, end : (n,) arrays
        As for `predict_windows`.
    """
    network = reader.network
    assert network.attention is not None, "only a network with attention has weights"
    weights = np.empty((len(end), reader.settings.attention_heads, reader.settings.window), network.dtype)
    for rows in reader.batches(len(end)):
        reader.forecast(series[rows], end[rows])
        weights[rows] = network.attention.weights.reshape(-1, *weights.shape[1:])
    return weights


def predict_next(reader: WindowReader, dropout_step: int | None = None) -> np.ndarray:
    """Forecast what follows each series.

    Parameters
    ----------
    reader : WindowReader
        Of the last rows of each series.
    dropout_step : int, optional
        Drop out as in training, with the masks of this step: one sample of Monte-Carlo dropout. By default nothing is
        dropped.

    Returns
    -------
    (n_series, horizon) array
        Scaled, of the network's dtype.
    """
    network = reader.network
    count = len(reader.offsets) - 1
    if reader.settings.stateful:  # the state has seen more rows of one series than of another
        parts = []
        for first, stop in zip(reader.offsets[:-1], reader.offsets[1:], strict=True):
            stream = reader.values[first:stop]
            x = stream.reshape(1, *stream.shape)
            y_hat, _ = network.forward(x, training=dropout_step is not None, step=dropout_step)
            parts.append(network.ops.to_host(y_hat))
        return np.concatenate(parts)
    series = np.arange(count)
    end = reader.offsets[1:]
    return np.concatenate([reader.forecast(series[b], end[b], dropout_step) for b in reader.batches(count)])


def spread_next(reader: WindowReader) -> np.ndarray:
    """Return what the last window of each series is divided by, (n_series,)."""
    windows = reader.read(np.arange(len(reader.offsets) - 1), reader.offsets[1:])
    return np.asarray(reader.ops.to_host(windows.spread))


def attention_weights(reader: WindowReader, context: Context) -> pd.DataFrame:
    """Return how much each forecast of `predict_next` looks at each row.

    Parameters
    ----------
    reader : WindowReader
    context : Context
        What it reads.

    Returns
    -------
    DataFrame
        ``unique_id``, ``head`` (from 0), ``ds`` and ``weight``; the weights of a series and head add up to 1. Rows of a
        window that are before the first of its series are left out.
    """
    heads = reader.settings.attention_heads
    lookback = reader.settings.window
    count = len(context.unique_ids)
    weights = attention_of_windows(reader, np.arange(count), context.offsets[1:])
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

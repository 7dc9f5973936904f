"""Forecasts of a fitted network in scaled units: of every window, and of what follows each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.losses import LOSSES
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.reader import Predicted, WindowReader
from gatecast.lstm.forecasting.target_weights import TargetWeights

__all__ = [
    "attention_of_windows", "attention_weights", "frame_of_windows", "predict_dropout", "predict_next",
    "predict_windows",
    "together", "window_loss", "window_losses",
]  # fmt: skip


def predict_windows(reader: WindowReader, series: np.ndarray, end: np.ndarray) -> Predicted:
    """Forecast what follows each window.

    Parameters
    ----------
    reader : WindowReader
    series, end : (n,) arrays
        Series of each window, and the row after its last input row.
    """
    network = reader.network
    scaled = np.empty((len(end), reader.settings.horizon), network.dtype)
    spread = np.ones(len(end), network.dtype)
    if reader.settings.stateful:
        for number in np.unique(series):
            chosen = series == number
            first = reader.offsets[number]
            ends = end[chosen]
            stream = reader.values[first : ends.max()]
            y_hat, _ = network.forward(stream.reshape(1, *stream.shape), every_step=True)
            scaled[chosen] = network.ops.to_host(y_hat)[ends - 1 - first]
        return Predicted(scaled, spread)
    for rows in reader.batches(len(end)):
        scaled[rows], spread[rows] = reader.forecast(series[rows], end[rows])
    return Predicted(scaled, spread)


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
    loss, _ = window_losses(reader, series, end, target_weights)
    return loss


def window_losses(
    reader: WindowReader,
    series: np.ndarray,
    end: np.ndarray,
    target_weights: TargetWeights | None = None,
    folds: Sequence[np.ndarray] = (),
) -> tuple[float, tuple[float, ...]]:
    """Return `window_loss`, and the same of each fold of the windows alone.

    Parameters
    ----------
    reader, series, end, target_weights
        As for `window_loss`.
    folds : sequence of bool (n,) arrays
        Which windows are in each.
    """
    network, ops = reader.network, reader.ops
    whole = np.ones(len(end), bool)
    parts = [whole, *folds]
    loss_sums = np.zeros(len(parts))
    weight_sums = np.zeros(len(parts))
    for rows in reader.batches(len(end)):
        windows = reader.read(series[rows], end[rows], known=True)
        y_hat = reader.forward(windows, series[rows])
        weights = ops.ones(y_hat.shape, network.dtype)
        if target_weights is not None:
            ops.weigh_targets(
                target_weights.of_rows, ops.as_array(end[rows], "int64"), target_weights.of_steps, weights
            )
        unused = ops.empty(y_hat.shape, network.dtype)
        is_known = np.isfinite(ops.to_host(windows.targets))
        of_targets = ops.to_host(weights)
        for number, part in enumerate(parts):
            own = of_targets * part[rows, None].astype(network.dtype)
            weight = float(own[is_known].sum(dtype=np.float64))
            if not weight:
                continue
            loss = ops.forecast_loss(
                LOSSES[network.loss], y_hat, windows.targets, ops.as_array(own, network.dtype), windows.base,
                windows.spread, unused,
            )  # fmt: skip
            loss_sums[number] += weight * float(loss)
            weight_sums[number] += weight
    losses = np.divide(loss_sums, weight_sums, out=np.zeros(len(parts)), where=weight_sums > 0)
    return float(losses[0]), tuple(losses[1:].tolist())


def frame_of_windows(
    sequences: Sequences, windows: Windows, y_hat: np.ndarray, more: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return forecasts (n, horizon) of windows, in y's unit, and more columns, as `Forecaster.predict_windows` does."""
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
            **{name: values.ravel() for name, values in more.items()},
        }
    )


def together(forecasts: Sequence[np.ndarray], how: str) -> np.ndarray:
    """Return the common forecast of several networks, by their mean or median; of a single one, its own."""
    if len(forecasts) == 1:
        return forecasts[0]
    combine = np.median if how == "median" else np.mean
    return np.asarray(combine(np.stack(forecasts), axis=0))


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


def predict_next(reader: WindowReader, dropout_step: int | None = None) -> Predicted:
    """Forecast what follows each series.

    Parameters
    ----------
    reader : WindowReader
        Of the last rows of each series.
    dropout_step : int, optional
        Drop out as in training, with the masks of this step: one sample of Monte-Carlo dropout. By default nothing is
        dropped.
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
        return Predicted(np.concatenate(parts), np.ones(count, network.dtype))
    series = np.arange(count)
    end = reader.offsets[1:]
    each = [reader.forecast(series[rows], end[rows], dropout_step) for rows in reader.batches(count)]
    return Predicted(np.concatenate([part.y_hat for part in each]), np.concatenate([part.spread for part in each]))


def predict_dropout(reader: WindowReader, n_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Forecast what follows each series, many times, with other things dropped each time.

    The samples of many series are forecast in one batch, unless the dropped weights are those of the whole batch.

    Parameters
    ----------
    reader : WindowReader
        Of the last rows of each series.
    n_samples : int
    generator : Generator
        Draws the steps whose masks are taken.

    Returns
    -------
    (n_samples, n_series, horizon) array
        Scaled, float64.
    """
    settings = reader.settings
    count = len(reader.offsets) - 1
    samples = np.empty((n_samples * count, settings.horizon))
    if settings.stateful or settings.weight_dropout:
        for number in range(n_samples):
            samples[number * count : (number + 1) * count] = predict_next(reader, _any_step(generator)).y_hat
    else:
        series = np.tile(np.arange(count), n_samples)
        end = reader.offsets[1:][series]
        for rows in reader.batches(len(series)):
            samples[rows] = reader.forecast(series[rows], end[rows], _any_step(generator)).y_hat
    return samples.reshape(n_samples, count, settings.horizon)


def _any_step(generator: np.random.Generator) -> int:
    return int(generator.integers(1 << 62))


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

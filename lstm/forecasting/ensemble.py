"""The networks of a forecaster, one or several, as one that forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatecast.data.sequences.scaling import Scaler, unscale_y
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.window_scaling import NONE, WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.checks import require_finite
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.prediction import (
    attention_of_windows,
    attention_weights,
    predict_next,
    predict_windows,
    spread_next,
)
from gatecast.lstm.forecasting.reader import SeriesRows, WindowReader
from gatecast.lstm.forecasting.uncertainty import deviation_of, draw_samples

__all__ = ["Ensemble"]

_ROUNDING = 10 * np.finfo(np.float64).eps
"""Share of a constant by which its scaled values may differ from it"""
_infinite_if_too_large = np.errstate(over="ignore", invalid="ignore")
"""Instead of a warning, since `require_finite` names the series"""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that were trained on the same rows from different seeds; what they say is put together in y's unit.

    Attributes
    ----------
    networks : tuple of Network
        A single one is taken as it is.
    settings : ForecasterSettings
        Chosen.
    scaling : WindowScaling or None
        Of each window; None where it is taken as it is.
    variances : tuple of (horizon,) arrays, or of None
        Of the errors of each network's scaled forecasts, where the mean of transformed values is put right with it.
    unique_ids : tuple of str
        The series that the networks were trained on.
    """

    networks: tuple[Network, ...]
    settings: ForecasterSettings
    scaling: WindowScaling | None
    variances: tuple[np.ndarray | None, ...]
    unique_ids: tuple[str, ...]

    def _readers(self, rows: SeriesRows) -> list[WindowReader]:
        """Return what reads series for each network."""
        numbers = None
        if self.settings.series_embedding:
            places = {unique_id: number for number, unique_id in enumerate(self.unique_ids)}
            numbers = np.array([places.get(unique_id, len(places)) for unique_id in rows.unique_ids])
        return [WindowReader(network, self.settings, self.scaling, rows, numbers) for network in self.networks]

    @_infinite_if_too_large
    def predict_next(self, context: Context) -> np.ndarray:
        """Forecast what follows each series, (n_series, horizon)."""
        constants = self._next_constants(context)
        y_hat = self._together(
            [
                _in_unit(_held(predict_next(reader), constants), context.scalers, variance)
                for reader, variance in zip(self._readers(context), self.variances, strict=True)
            ]
        )
        return require_finite(y_hat, context.unique_ids)

    @_infinite_if_too_large
    def predict_windows(self, sequences: Sequences, windows: Windows) -> np.ndarray:
        """Forecast what follows each window, (n, horizon)."""
        constants = self._constants(sequences, sequences.scalers, windows.series, windows.end)
        scaled = [predict_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        y_hat = self._together(
            [
                sequences.unscale_y(_held(each, constants), windows.series, variance)
                for each, variance in zip(scaled, self.variances, strict=True)
            ]
        )
        return require_finite(y_hat, sequences.unique_ids, windows.series)

    @_infinite_if_too_large
    def sample(self, context: Context, loss: float, n_samples: int, seed: int) -> np.ndarray:
        """Draw samples of what follows each series, each of a network taken at random; see `draw_samples`.

        Parameters
        ----------
        context : Context
        loss : float
            Of the validation rows, of which the noise is as large.
        n_samples, seed : int

        Returns
        -------
        (n_samples, n_series, horizon) array
        """
        readers = self._readers(context)

        def predict(step: int) -> np.ndarray:
            return predict_next(readers[step % len(readers)], step)

        noise: float | np.ndarray = deviation_of(loss, self.settings.loss)
        if self.settings.loss == "smape":
            noise = noise * np.abs(predict_next(readers[0]))
        elif self.scaling is not None:
            noise = noise * spread_next(readers[0])[:, None]
        constants = self._next_constants(context)
        samples = draw_samples(predict, noise, n_samples, seed)
        drawn = np.stack([_in_unit(_held(sample, constants), context.scalers) for sample in samples])
        require_finite(drawn.swapaxes(0, 1), context.unique_ids)
        return drawn

    def attention_weights(self, context: Context) -> pd.DataFrame:
        """Return how much each forecast looks at each row, on average over the networks; see `prediction`."""
        frames = [attention_weights(reader, context) for reader in self._readers(context)]
        return frames[0].assign(weight=np.mean([frame["weight"].to_numpy() for frame in frames], axis=0))

    def attention_of_windows(self, sequences: Sequences, windows: Windows) -> np.ndarray:
        """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback): the mean."""
        weights = [attention_of_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        return np.asarray(np.mean(weights, axis=0))

    def _next_constants(self, context: Context) -> np.ndarray:
        return self._constants(context, context.scalers, np.arange(len(context.unique_ids)), context.offsets[1:])

    def _constants(
        self, rows: SeriesRows, scalers: Sequence[Scaler], series: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """Return for each window the constant that y is there, scaled, (n, 1); NaN where a network forecasts.

        Of a series that was constant in training, the forecast is that constant, without noise, until y changes. Where
        windows do not scale themselves, it stays: the series has no scale, and the network would say anything.
        """
        constants = np.array([scaler.constant if scaler.is_constant else np.nan for scaler in scalers])[series]
        if self.scaling is None or self.scaling.kind == NONE:
            return constants[:, None]
        rounding = np.array([_ROUNDING * (abs(scaler.center[0]) + abs(scaler.constant)) for scaler in scalers])
        for number in np.flatnonzero(~np.isnan(constants)):
            first = max(end[number] - self.settings.window, rows.offsets[series[number]])
            change = np.abs(rows.values[first : end[number], 0] - constants[number])
            if (change > rounding[series[number]]).any():
                constants[number] = np.nan
        return constants[:, None]

    def _together(self, forecasts: Sequence[np.ndarray]) -> np.ndarray:
        if len(forecasts) == 1:
            return forecasts[0]
        combine = np.median if self.settings.ensemble == "median" else np.mean
        return np.asarray(combine(np.stack(forecasts), axis=0))


def _in_unit(scaled: np.ndarray, scalers: Sequence[Scaler], variance: np.ndarray | None = None) -> np.ndarray:
    """Return forecasts (n_series, horizon) in y's unit; samples have their noise already, and need no variance."""
    return unscale_y(scaled, scalers, np.arange(len(scaled)), variance)


def _held(scaled: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """Return scaled forecasts, float64, with the constants in place of those that are not NaN there."""
    return np.where(np.isnan(constants), scaled.astype(np.float64), constants)

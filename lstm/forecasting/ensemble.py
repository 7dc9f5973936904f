"""The networks of a forecaster, one or several, as one that forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gatecast.data.sequences.scaling import Scaler, unscale_y
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.config import ForecasterSettings
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

    def predict_next(self, context: Context) -> np.ndarray:
        """Forecast what follows each series, (n_series, horizon)."""
        return self._together(
            [
                _in_unit(predict_next(reader), context.scalers, variance)
                for reader, variance in zip(self._readers(context), self.variances, strict=True)
            ]
        )

    def predict_windows(self, sequences: Sequences, windows: Windows) -> np.ndarray:
        """Forecast what follows each window, (n, horizon)."""
        constants = _constants(sequences.scalers)[windows.series, None]
        scaled = [predict_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        return self._together(
            [
                sequences.unscale_y(_held(each, constants), windows.series, variance)
                for each, variance in zip(scaled, self.variances, strict=True)
            ]
        )

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
        return np.stack([_in_unit(sample, context.scalers) for sample in draw_samples(predict, noise, n_samples, seed)])

    def attention_weights(self, context: Context) -> pd.DataFrame:
        """Return how much each forecast looks at each row, on average over the networks; see `prediction`."""
        frames = [attention_weights(reader, context) for reader in self._readers(context)]
        return frames[0].assign(weight=np.mean([frame["weight"].to_numpy() for frame in frames], axis=0))

    def attention_of_windows(self, sequences: Sequences, windows: Windows) -> np.ndarray:
        """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback): the mean."""
        weights = [attention_of_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        return np.asarray(np.mean(weights, axis=0))

    def _together(self, forecasts: Sequence[np.ndarray]) -> np.ndarray:
        if len(forecasts) == 1:
            return forecasts[0]
        combine = np.median if self.settings.ensemble == "median" else np.mean
        return np.asarray(combine(np.stack(forecasts), axis=0))


def _in_unit(scaled: np.ndarray, scalers: Sequence[Scaler], variance: np.ndarray | None = None) -> np.ndarray:
    """Return forecasts (n_series, horizon) in y's unit; samples have their noise already, and need no variance."""
    scaled = _held(scaled, _constants(scalers)[:, None])
    return unscale_y(scaled, scalers, np.arange(len(scaled)), variance)


def _constants(scalers: Sequence[Scaler]) -> np.ndarray:
    """Return for each series the constant that y was in training, scaled; NaN where y varied."""
    return np.array([scaler.constant if scaler.is_constant else np.nan for scaler in scalers])


def _held(scaled: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """Return scaled forecasts, float64, in which a constant stays what it was, without noise."""
    return np.where(np.isnan(constants), scaled.astype(np.float64), constants)

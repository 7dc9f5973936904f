"""The networks of a forecaster, one or several, as one that forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.sequences.scaling import Scaler, unscale_y
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.windows import Windows
from gatecast.kernels.window_scaling import NONE, WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.calibration import Calibration
from gatecast.lstm.forecasting.checks import require_finite
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.prediction import (
    attention_of_windows,
    attention_weights,
    predict_dropout,
    predict_next,
    predict_windows,
    together,
)
from gatecast.lstm.forecasting.reader import Predicted, SeriesRows, WindowReader
from gatecast.lstm.forecasting.uncertainty import calibrated, deviation_of

__all__ = ["Ensemble", "ScaledForecast"]

_ROUNDING = 10 * np.finfo(np.float64).eps
"""Share of a constant by which its scaled values may differ from it"""
_infinite_if_too_large = np.errstate(over="ignore", invalid="ignore")
"""Instead of a warning, since `require_finite` names the series"""


class ScaledForecast(NamedTuple):
    """What the networks say of windows, and what puts it into y's unit."""

    each: list[np.ndarray]
    """Scaled forecasts of each network, float64 (n, horizon)"""
    spread: np.ndarray
    """What errors are measured in, float64 (n,); 0 where the forecast is a constant, which has none"""
    scalers: Sequence[Scaler]
    series: np.ndarray
    """Number of each window's scaler, (n,)"""
    unique_ids: tuple[str, ...]
    """Names of the scalers' series"""


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
    def forecast_next(self, context: Context) -> ScaledForecast:
        """Forecast what follows each series."""
        each = [predict_next(reader) for reader in self._readers(context)]
        series = np.arange(len(context.unique_ids))
        return self._scaled(context, context.scalers, series, context.offsets[1:], each)

    @_infinite_if_too_large
    def forecast_windows(self, sequences: Sequences, windows: Windows) -> ScaledForecast:
        """Forecast what follows each window."""
        each = [predict_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        return self._scaled(sequences, sequences.scalers, windows.series, windows.end, each)

    @_infinite_if_too_large
    def y_hat(self, forecast: ScaledForecast) -> np.ndarray:
        """Return the common forecast in y's unit, (n, horizon)."""
        of_networks = zip(forecast.each, self.variances, strict=True)
        y_hat = self._together(
            [unscale_y(scaled, forecast.scalers, forecast.series, variance) for scaled, variance in of_networks]
        )
        return require_finite(y_hat, forecast.unique_ids, forecast.series)

    @_infinite_if_too_large
    def bounds(self, forecast: ScaledForecast, calibration: Calibration, probabilities: Sequence[float]) -> np.ndarray:
        """Return what y stays below with these probabilities, (len(probabilities), n, horizon).

        A bound is put into y's unit as it is: that of transformed values is that of y, which is not so of a mean.
        """
        calibration.warn_if_scarce(probabilities)
        errors = calibration.quantiles(probabilities)[:, None]
        return _in_unit(forecast, self._together(forecast.each), _unit(forecast, calibration)[:, None] * errors)

    @_infinite_if_too_large
    def sample(self, forecast: ScaledForecast, calibration: Calibration, n_samples: int, seed: int) -> np.ndarray:
        """Draw courses of y over the steps ahead, (n_samples, n, horizon), by the errors of the calibration."""
        self.y_hat(forecast)  # before the errors of one series make the samples of all infinite
        errors = calibration.draw(n_samples, len(forecast.series), seed)
        return _in_unit(forecast, self._together(forecast.each), _unit(forecast, calibration)[:, None] * errors)

    @_infinite_if_too_large
    def sample_dropout(
        self, context: Context, calibration: Calibration | None, loss: float, n_samples: int, seed: int
    ) -> np.ndarray:
        """Draw samples of what follows each series, each of a network taken at random that drops out as in training.

        Parameters
        ----------
        context : Context
        calibration : Calibration or None
            See `uncertainty.calibrated`; without one, normal noise is added.
        loss : float
            Of the validation rows, which decide how large that noise is.
        n_samples, seed : int

        Returns
        -------
        (n_samples, n_series, horizon) array
        """
        forecast = self.forecast_next(context)
        self.y_hat(forecast)
        generator = np.random.default_rng(seed)
        chosen = generator.integers(len(self.networks), size=n_samples)
        dropped = np.empty((n_samples, *forecast.each[0].shape))
        for number, reader in enumerate(self._readers(context)):
            own = chosen == number
            dropped[own] = predict_dropout(reader, int(own.sum()), generator)
        if calibration is None:
            noise = deviation_of(loss, self.settings.loss) * forecast.spread[:, None]
            if self.settings.loss == "smape":
                noise = deviation_of(loss, "smape") * np.abs(forecast.each[0])
            samples = dropped + generator.normal(size=dropped.shape) * noise
        else:
            errors = calibration.draw(n_samples, len(forecast.series), seed)
            samples = calibrated(dropped, self._together(forecast.each), _unit(forecast, calibration), errors)
        is_constant = forecast.spread == 0
        samples[:, is_constant] = forecast.each[0][is_constant]
        return _in_unit(forecast, np.zeros(()), samples)

    def _scaled(
        self,
        rows: SeriesRows,
        scalers: Sequence[Scaler],
        series: np.ndarray,
        end: np.ndarray,
        each: Sequence[Predicted],
    ) -> ScaledForecast:
        constants = self._constants(rows, scalers, series, end)
        spread = np.where(np.isnan(constants[:, 0]), each[0].spread.astype(np.float64), 0.0)
        held = [_held(predicted.y_hat, constants) for predicted in each]
        return ScaledForecast(held, spread, scalers, series, rows.unique_ids)

    def attention_weights(self, context: Context) -> pd.DataFrame:
        """Return how much each forecast looks at each row, on average over the networks; see `prediction`."""
        frames = [attention_weights(reader, context) for reader in self._readers(context)]
        return frames[0].assign(weight=np.mean([frame["weight"].to_numpy() for frame in frames], axis=0))

    def attention_of_windows(self, sequences: Sequences, windows: Windows) -> np.ndarray:
        """Return how much the forecast of each window looks at each of its rows, (n, heads, lookback): the mean."""
        weights = [attention_of_windows(reader, windows.series, windows.end) for reader in self._readers(sequences)]
        return np.asarray(np.mean(weights, axis=0))

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
        return together(forecasts, self.settings.ensemble)


def _unit(forecast: ScaledForecast, calibration: Calibration) -> np.ndarray:
    """Return what the calibration's errors of each window are measured in, (n,)."""
    return forecast.spread * calibration.scales_of(forecast.unique_ids)[forecast.series]


@_infinite_if_too_large
def _in_unit(forecast: ScaledForecast, center: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return ``center + deviations``, scaled (count, n, horizon), in y's unit."""
    values = center + deviations
    series = np.tile(forecast.series, len(values))
    rows = unscale_y(values.reshape(-1, values.shape[2]), forecast.scalers, series)
    return require_finite(rows, forecast.unique_ids, series).reshape(values.shape)


def _held(scaled: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """Return scaled forecasts, float64, with the constants in place of those that are not NaN there."""
    return np.where(np.isnan(constants), scaled.astype(np.float64), constants)

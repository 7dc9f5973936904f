"""The validation rows in a training: when it stops, and how far its forecasts of rows that did not stop it are off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.splits import VALIDATION
from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.calibration import Calibration
from gatecast.lstm.forecasting.folds import NO_FOLD, folds_of
from gatecast.lstm.forecasting.prediction import predict_windows, together, window_losses
from gatecast.lstm.forecasting.reader import Predicted, WindowReader
from gatecast.lstm.forecasting.target_weights import TargetWeights
from gatecast.lstm.training.loop import Snapshot

__all__ = ["Validation", "calibrate"]


class Validation:
    """The validation windows, as one network is validated and calibrated on them.

    Parameters
    ----------
    settings : ForecasterSettings
        Chosen.
    sequences : Sequences
    scaling : WindowScaling or None
        Of each window; None where it is taken as it is.
    reader : WindowReader
        Of the network.
    """

    def __init__(
        self, settings: ForecasterSettings, sequences: Sequences, scaling: WindowScaling | None, reader: WindowReader
    ):
        self._windows = sequences.windows_of(VALIDATION)
        self._reader = reader
        self._folds = folds_of(self._windows, settings.horizon)
        self._is_scaled = scaling is not None
        self._weights = TargetWeights.of(settings, sequences, reader.ops) if self._is_scaled else None
        self._targets = sequences.values[self._windows.end[:, None] + np.arange(settings.horizon), 0]
        self._fold_losses: tuple[float, ...] = ()

    def __call__(self) -> float:
        """Return the validation loss of the network as it is."""
        series, end = self._windows.series, self._windows.end
        folds = [self._folds == number for number in range(2) if (self._folds == number).any()]
        folds = folds if len(folds) == 2 else []
        if self._is_scaled:
            loss, self._fold_losses = window_losses(self._reader, series, end, self._weights, folds)
            return loss
        squares = (predict_windows(self._reader, series, end).y_hat - self._targets) ** 2
        self._fold_losses = tuple(float(np.mean(squares[chosen])) for chosen in folds)
        return float(np.mean(squares))

    def fold_losses(self) -> tuple[float, ...]:
        """Return the losses of the two folds in the last validation; none where there is but one window."""
        return self._fold_losses

    def cross_forecasts(self, snapshot: Snapshot) -> Predicted | None:
        """Forecast each fold with the weights that were best by the other one, as `calibrate` needs it.

        Windows of neither fold are NaN. Where the windows make no folds, the best weights forecast them all; None where
        the training was begun by an older Gatecast, which kept no weights of folds.

        Parameters
        ----------
        snapshot : Snapshot
            Of the whole training. The network has its best weights, before and after.
        """
        series, end = self._windows.series, self._windows.end
        if not (self._folds != NO_FOLD).any():
            return predict_windows(self._reader, series, end)
        if not snapshot.fold_values:
            return None
        y_hat = np.full(self._targets.shape, np.nan)
        spread = np.ones(len(end))
        parameters = self._reader.network.parameters
        for number, values in enumerate(reversed(snapshot.fold_values)):
            chosen = self._folds == number
            parameters.set_flat(values)
            y_hat[chosen], spread[chosen] = predict_windows(self._reader, series[chosen], end[chosen])
        parameters.set_flat(snapshot.best_values)
        return Predicted(y_hat, spread)


def calibrate(
    settings: ForecasterSettings, sequences: Sequences, forecasts: Sequence[Predicted | None]
) -> Calibration | None:
    """Return the calibration of one network or, by their common forecast, of several.

    Series that are constant, and targets without weight, say nothing of errors.

    Parameters
    ----------
    settings : ForecasterSettings
        Chosen.
    sequences : Sequences
    forecasts : sequence of Predicted
        What `Validation.cross_forecasts` returned of each network; if one is None, there is no calibration.
    """
    known = [forecast for forecast in forecasts if forecast is not None]
    if len(known) < len(forecasts):
        return None
    windows = sequences.windows_of(VALIDATION)
    rows = windows.end[:, None] + np.arange(settings.horizon)
    y_hat = together([forecast.y_hat.astype(np.float64) for forecast in known], settings.ensemble)
    errors = (sequences.values[rows, 0] - y_hat) / known[0].spread[:, None]
    if sequences.weights is not None:
        errors[sequences.weights[rows] == 0] = np.nan
    varies = np.array([not scaler.is_constant for scaler in sequences.scalers])[windows.series]
    return Calibration.of_errors(errors[varies], windows.series[varies], sequences.unique_ids)

"""Windows as a network was trained to see them, and its forecasts of what follows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from gatecast.kernels.window_scaling import NONE, WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.scaled_windows import ScaledWindows, scaled_windows

__all__ = ["Predicted", "SeriesRows", "WindowReader"]

# Windows forecast at once: enough to fill the cores, few enough that their activations stay small.
_BATCH = 256
_PLAIN = WindowScaling(NONE, season=0, floor=1.0, indicator=False)
"""Takes windows as they are"""


class SeriesRows(Protocol):
    """Series, one after another: `Sequences` or a `Context`."""

    @property
    def values(self) -> np.ndarray:
        """Scaled, (rows, columns)."""

    @property
    def offsets(self) -> np.ndarray:
        """Where each series begins, (n_series + 1,)."""

    @property
    def unique_ids(self) -> tuple[str, ...]:
        """Names of the series."""


class Predicted(NamedTuple):
    """Forecasts of windows, of the network's dtype."""

    y_hat: np.ndarray
    """(n, horizon), in the unit of the values"""
    spread: np.ndarray
    """(n,): what the windows were divided by, in that unit too"""


class WindowReader:
    """Reads windows of series for one network.

    Parameters
    ----------
    network : Network
    settings : ForecasterSettings
        Chosen.
    scaling : WindowScaling or None
        Of each window; None takes it as it is.
    rows : SeriesRows
    numbers : (n_series,) int64 array or None
        Of each series among those that the network has learnt a vector for; None where it has none.
    """

    def __init__(
        self,
        network: Network,
        settings: ForecasterSettings,
        scaling: WindowScaling | None,
        rows: SeriesRows,
        numbers: np.ndarray | None = None,
    ):
        self.network = network
        self.settings = settings
        self.ops = network.ops
        self.values = self.ops.as_array(rows.values, network.dtype)
        self.offsets = rows.offsets
        self.scaling = scaling or _PLAIN
        self._numbers = numbers

    def read(self, series: np.ndarray, end: np.ndarray, known: bool = False) -> ScaledWindows:
        """Gather windows.

        Parameters
        ----------
        series, end : (n,) arrays
            Series of each window, and the row after its last input row.
        known : bool
            Whether the rows after the windows exist.
        """
        starts, firsts = self.places(series, end)
        sizes = self.settings.window, self.settings.horizon
        return scaled_windows(
            self.ops, self.values, self.network.dtype, starts, firsts, self.scaling, sizes, known,
            self.settings.series_embedding,
        )  # fmt: skip

    def places(self, series: np.ndarray, end: np.ndarray) -> tuple[Any, Any]:
        """Return the first row of each window, and that of its series, int64 (n,) where the backend computes."""
        starts = self.ops.as_array(end - self.settings.window, "int64")
        return starts, self.ops.as_array(self.offsets[series], "int64")

    def forward(self, windows: ScaledWindows, series: np.ndarray, dropout_step: int | None = None) -> Any:
        """Return what the network says of windows, (n, horizon), in their unit and where the backend computes.

        Parameters
        ----------
        windows : ScaledWindows
        series : (n,) array
        dropout_step : int, optional
            Drop out as in training, with the masks of this step; by default nothing is dropped.
        """
        numbers = None if self._numbers is None else self.ops.as_array(self._numbers[series], "int64")
        is_dropping = dropout_step is not None
        y_hat, _ = self.network.forward(
            windows.x, past=windows.past, training=is_dropping, step=dropout_step, series=numbers
        )
        return y_hat

    def forecast(self, series: np.ndarray, end: np.ndarray, dropout_step: int | None = None) -> Predicted:
        """Forecast what follows windows."""
        windows = self.read(series, end)
        y_hat = windows.restored(self.ops.to_host(self.forward(windows, series, dropout_step)), self.ops)
        return Predicted(y_hat, self.ops.to_host(windows.spread))

    def batches(self, count: int) -> Iterator[slice]:
        """Give `count` windows in parts that are forecast at once."""
        for first in range(0, count, _BATCH):
            yield slice(first, min(first + _BATCH, count))

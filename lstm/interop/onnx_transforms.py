"""The transform of y of each series, its scaler, and what undoes both, as operators of an ONNX graph.

They work in float64: a Box-Cox value of a large y is 1 / power less a little, and the little is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.transforms import GREATEST_FACTOR, LEAST_FACTOR, LEAST_POWER
from gatecast.lstm.interop.onnx_operators import Operators

__all__ = ["TransformedSeries"]

_GREATEST_LOG = 87.0
"""Logarithm whose exponential is float32, and the least with a minus"""
_FLOAT, _DOUBLE = 1, 11
"""Numbers of the types in ONNX"""


class TransformedSeries:
    """Adds the operators for the series whose numbers are the input ``series``, (batch,).

    Parameters
    ----------
    operators : Operators
    scalers : sequence of Scaler
        Of all series, by their numbers; of one kind of transform other than none.
    """

    def __init__(self, operators: Operators, scalers: Sequence[Scaler]):
        self._operators = operators
        self._kind = scalers[0].of_y.kind
        powers = np.array([[scaler.of_y.power if self._kind == "boxcox" else 0.0] for scaler in scalers])
        is_log = np.abs(powers) < LEAST_POWER
        of_forecasts = np.array([scaler.of_forecasts for scaler in scalers])
        tables = {
            "y_center": np.array([[scaler.center[0]] for scaler in scalers]),
            "y_scale": np.array([[scaler.scale[0]] for scaler in scalers]),
            "y_forecast_center": of_forecasts[:, :1],
            "y_forecast_scale": of_forecasts[:, 1:],
            "y_power": np.where(is_log, 1.0, powers),
            "y_is_log": is_log,
        }
        self._of_series = {name: self._gather(name, table) for name, table in tables.items()}
        self._has_powers = not is_log.all()

    def scaled(self, y: str) -> str:
        """Add the transform and the scaler of y, (batch, seq, 1); return it scaled, float32."""
        y = self._add("Cast", y, to=_DOUBLE)
        if self._kind == "log1p":
            y = self._add("Add", y, self._number(1.0))
        logs = self._add("Log", y)
        values = logs
        if self._has_powers:
            power, is_log = self._window("y_power"), self._window("y_is_log")
            raised = self._add("Div", self._add("Sub", self._add("Pow", y, power), self._number(1.0)), power)
            values = self._add("Where", is_log, logs, raised)
        centred = self._add("Sub", values, self._window("y_center"))
        return self._add("Cast", self._add("Div", centred, self._window("y_scale")), to=_FLOAT)

    def restored(self, y_hat: str, variance: np.ndarray | None, name: str) -> str:
        """Add what undoes scaler and transform of scaled forecasts; see `data.sequences.transforms.back`.

        Parameters
        ----------
        y_hat : str
            (batch, horizon)
        variance : (horizon,) array or None
            Of the errors of scaled forecasts, where they are corrected to the mean.
        name : str
            Of the table that holds it.

        Returns
        -------
        str
            (batch, horizon) float32, in the unit of y.
        """
        scale = self._of_series["y_forecast_scale"]
        values = self._add("Mul", self._add("Cast", y_hat, to=_DOUBLE), scale)
        logs = self._logs(self._add("Add", values, self._of_series["y_forecast_center"]))
        logs = self._add("Clip", logs, self._number(-_GREATEST_LOG), self._number(_GREATEST_LOG))
        y = self._add("Exp", logs)
        if variance is not None:
            in_unit = self._add(
                "Mul", self._operators.constant(name, variance[None].astype(np.float64)), self._add("Mul", scale, scale)
            )
            y = self._add("Mul", y, self._mean_factor(in_unit, logs))
        if self._kind == "log1p":
            y = self._add("Sub", y, self._number(1.0))
        return self._add("Cast", y, to=_FLOAT)

    def _logs(self, values: str) -> str:
        """Return the logarithms of y for transformed values; very small or large ones beyond what any y has."""
        if not self._has_powers:
            return values
        power, is_log = self._of_series["y_power"], self._of_series["y_is_log"]
        raised = self._add("Add", self._add("Mul", power, values), self._number(1.0))
        inside = self._add("Max", raised, self._number(np.finfo(np.float64).tiny))
        return self._add("Where", is_log, values, self._add("Div", self._add("Log", inside), power))

    def _mean_factor(self, variance: str, logs: str) -> str:
        """Return `data.sequences.transforms.mean_factor`."""
        half = self._add("Mul", variance, self._number(0.5))
        if self._has_powers:
            power, is_log = self._of_series["y_power"], self._of_series["y_is_log"]
            power = self._add("Where", is_log, self._number(0.0), power)
            shrunk = self._add("Exp", self._add("Mul", self._add("Mul", power, self._number(-2.0)), logs))
            share = self._add("Sub", self._number(1.0), power)
            half = self._add("Mul", self._add("Mul", half, share), shrunk)
        factor = self._add("Add", half, self._number(1.0))
        return self._add("Clip", factor, self._number(LEAST_FACTOR), self._number(GREATEST_FACTOR))

    def _gather(self, name: str, table: np.ndarray) -> str:
        table = table if table.dtype == bool else table.astype(np.float64)
        return self._add("Gather", self._operators.constant(name, table), "series", axis=0)

    def _window(self, name: str) -> str:
        """Return a number of each series, as (batch, 1, 1)."""
        return self._add("Unsqueeze", self._of_series[name], self._operators.integers(1))

    def _number(self, value: float) -> str:
        return self._operators.constant(f"number_{len(self._operators.constants)}", np.array(value, np.float64))

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._operators.add(operator, *inputs, **attributes)

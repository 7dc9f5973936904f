"""Forecasts that need no network: what a model has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

__all__ = ["BASELINES", "predict"]

_HAR_SPANS = (1, 5, 22)
_DECAYS = np.linspace(0.01, 0.99, 99)


def predict(
    name: str, frame: pd.DataFrame, keys: pd.DataFrame, train_end: pd.Timestamp, naive: str = "last"
) -> pd.Series:
    """Forecast the rows of `keys` with a baseline, fitted on each series' rows up to `train_end` alone.

    Parameters
    ----------
    name : {"naive", "har", "ewma"}
        naive: the last value, or zero. har: Corsi's (2009) heterogeneous autoregression, a regression on the last value
        and the means of the last 5 and 22, one for each step ahead. ewma: an exponentially weighted mean, its decay
        chosen by the squared error one step ahead.
    frame : DataFrame
        Series frame: ``unique_id``, ``ds``, ``y``.
    keys : DataFrame
        ``unique_id``, ``cutoff``, ``step`` of each forecast wanted, as `Forecaster.predict_windows` returns them.
    train_end : Timestamp
        Last training row.
    naive : {"last", "zero"}
        What the naive forecast is; the others ignore it.

    Returns
    -------
    Series of float64
        The forecasts, indexed as `keys`. NaN if a series has too few training rows for the baseline.
    """
    if naive not in ("last", "zero"):
        raise ValueError(f"the naive forecast {naive!r} is unknown; choose last or zero")
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r} is unknown; choose {', '.join(BASELINES)}")
    series = dict(tuple(frame.groupby("unique_id", sort=False)))
    y_hat = pd.Series(np.nan, index=keys.index)
    for unique_id, wanted in keys.groupby("unique_id", sort=False):
        if unique_id not in series:
            raise ValueError(f"the series frame has no {unique_id!r}; give the frame that the keys were made from")
        y = series[unique_id]["y"].to_numpy(np.float64)
        ds = pd.DatetimeIndex(series[unique_id]["ds"])
        rows = ds.get_indexer(pd.DatetimeIndex(wanted["cutoff"]))
        if (rows < 0).any():
            cutoff = wanted["cutoff"].iloc[int(np.argmin(rows))]
            raise ValueError(
                f"{unique_id!r} has no row at the cutoff {cutoff}; give the frame that the keys were made from"
            )
        trained = int((ds <= train_end).sum())
        for step in np.unique(wanted["step"]):
            at_step = (wanted["step"] == step).to_numpy()
            if name == "naive" and naive == "zero":
                y_hat[wanted.index[at_step]] = 0.0
            else:
                y_hat[wanted.index[at_step]] = BASELINES[name](y, trained, int(step))[rows[at_step]]
    return y_hat


def _last_value(y: np.ndarray, trained: int, step: int) -> np.ndarray:
    """Forecast made at each row: the value of that row."""
    return y


def _har(y: np.ndarray, trained: int, step: int) -> np.ndarray:
    means = [pd.Series(y).rolling(span).mean().to_numpy() for span in _HAR_SPANS]
    inputs = np.column_stack([np.ones(len(y)), *means])
    fitted = np.arange(max(_HAR_SPANS) - 1, trained - step)
    if len(fitted) <= inputs.shape[1]:
        return np.full(len(y), np.nan)
    coefficients, *_ = np.linalg.lstsq(inputs[fitted], y[fitted + step], rcond=None)
    return inputs @ coefficients


def _ewma(y: np.ndarray, trained: int, step: int) -> np.ndarray:
    if trained < 3:
        return np.full(len(y), np.nan)
    training = pd.Series(y[:trained])
    errors = [
        float(np.mean((training.ewm(alpha=alpha, adjust=False).mean().to_numpy()[:-1] - y[1:trained]) ** 2))
        for alpha in _DECAYS
    ]
    return pd.Series(y).ewm(alpha=_DECAYS[int(np.argmin(errors))], adjust=False).mean().to_numpy()


BASELINES: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "naive": _last_value,
    "har": _har,
    "ewma": _ewma,
}

"""`LSTMRegressor`: the network as a scikit-learn estimator."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import require_magnitudes
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import RowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.training.loop import EpochRecord, Snapshot, fit

__all__ = ["LSTMRegressor"]

_BATCH = 256  # rows predicted at once
_LOSSES = ("mse", "mae", "huber")


class LSTMRegressor(RegressorMixin, BaseEstimator):
    """Regression on sequences by an LSTM, for scikit-learn's pipelines, searches and splitters.

    X is (n_samples, n_steps), one variable at several lags with the latest last; or (n_samples, n_steps, n_variables).
    Every variable is standardised over all rows and steps of the training data, and so is every target.

    Parameters
    ----------
    hidden_size, num_layers, bidirectional, residual, layer_norm, attention, attention_heads, dropout, recurrent_dropout
        The network; see `lstm.config.NetworkSettings`.
    loss : {"mse", "mae", "huber"}
        What training makes small, in the unit of standardised targets.
    learning_rate, schedule, weight_decay, gradient_clip, batch_size, max_epochs
        The training; see `lstm.config.ForecasterSettings`.
    validation_fraction : float
        Share of the rows, the last ones, that are held back: training stops when their error has not fallen for
        `patience` epochs, and the best weights are kept. 0 trains on all rows to the last epoch.
    patience : int
    warm_start : bool
        Begin `fit` with the weights of the former fit.
    backend : {"cpu", "cuda", "auto"}
    random_state : int, RandomState or None
        The same int gives the same bits.

    Attributes
    ----------
    n_features_in_ : int
        Steps of a row of X.
    n_iter_ : int
        Epochs that were trained.
    history_ : tuple of EpochRecord
        The record of each epoch.
    """

    def __init__(
        self,
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        residual: bool = False,
        layer_norm: bool = False,
        attention: str = "none",
        attention_heads: int = 1,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        loss: str = "mse",
        learning_rate: float = 1e-2,
        schedule: str = "cosine",
        weight_decay: float = 0.0,
        gradient_clip: float = 1.0,
        batch_size: int = 32,
        max_epochs: int = 100,
        validation_fraction: float = 0.0,
        patience: int = 10,
        warm_start: bool = False,
        backend: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.residual = residual
        self.layer_norm = layer_norm
        self.attention = attention
        self.attention_heads = attention_heads
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.loss = loss
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> Self:
        """Train on rows X and targets y.

        Parameters
        ----------
        X : (n_samples, n_steps) or (n_samples, n_steps, n_variables) array
        y : (n_samples,) or (n_samples, n_outputs) array
        sample_weight : (n_samples,) array, optional
            How much each row counts relative to the others of its batch; 0 leaves it out.
        """
        if self.loss not in _LOSSES:
            raise ValueError(f"loss is {self.loss!r}; choose {', '.join(_LOSSES[:-1])} or {_LOSSES[-1]}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction is {self.validation_fraction}; it must be at least 0 and below 1")
        former = self._snapshot.values if self.warm_start and hasattr(self, "_snapshot") else None
        rows = self._checked(X, y, sample_weight, reset=former is None)
        if former is None:
            self._begin(*rows)
        held_back = int(self.validation_fraction * len(rows[0]))
        training = [a[: len(a) - held_back] for a in rows]
        validation = [a[len(a) - held_back :] for a in rows]
        if not len(training[0]):
            raise ValueError(f"validation_fraction {self.validation_fraction} leaves no row to train on")
        network = self._make_network()
        if former is not None:
            network.parameters.set_flat(former)
        batches = self._batches(training, network.ops)
        patience = self.patience if held_back else self.max_epochs
        settings: Any = self._settings.model_copy(update={"patience": patience})

        def validate() -> float:
            return self._error(network, *validation) if held_back else 0.0

        self._keep(fit(network, batches, validate, settings, make_steps=make_steps), best=bool(held_back))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> Self:
        """Go on training for one epoch over the rows given, with the optimiser as it was; arguments as in `fit`.

        The first call decides the scales of X and y.
        """
        start = getattr(self, "_snapshot", None)
        rows = self._checked(X, y, sample_weight, reset=start is None)
        if start is None:
            self._begin(*rows)
        network = self._make_network()
        epochs = 1 + (len(start.history) if start else 0)
        one_more = {"max_epochs": epochs, "patience": epochs, "schedule": "constant"}
        settings: Any = self._settings.model_copy(update=one_more)
        batches = self._batches(rows, network.ops)
        snapshot = fit(network, batches, lambda: 0.0, settings, start=start, make_steps=make_steps)
        self._keep(snapshot, best=False)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the targets of rows X, of the shape of the y that was fitted."""
        check_is_fitted(self, "_snapshot")
        X = self._checked_inputs(X, validate_data(self, X, reset=False, allow_nd=True, dtype=np.float64))
        network = self._make_network()
        network.parameters.set_flat(self._snapshot.values)
        y = self._predict_scaled(network, self._scaled_inputs(X)) * self._y_scale + self._y_center
        return y[:, 0] if self._is_single else y

    # ------------------------------------------------------------ rows

    def _checked(self, X: Any, y: Any, sample_weight: Any | None, reset: bool) -> list[np.ndarray]:
        """Return X (n, steps, variables), y (n, outputs) and weights (n,), without the rows of weight 0.

        Weights are shares of the greatest, since only their ratios count, and those are numbers in float32 too.
        """
        given = X
        X, y = validate_data(
            self, X, y, reset=reset, allow_nd=True, multi_output=True, y_numeric=True, dtype=np.float64
        )
        weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("sample_weight is zero for every row; at least one has to count")
        weights = weights / weights.max()
        y = np.asarray(y, np.float64)
        if reset:
            self._is_single = y.ndim == 1
            self._is_three_d = X.ndim == 3
        X = self._checked_inputs(given, X)
        y = y.reshape(len(y), -1)
        if not reset and (X.shape[2], y.shape[1]) != (len(self._x_center), len(self._y_center)):
            raise ValueError(
                f"X has {X.shape[2]} variables and y {y.shape[1]} targets; fitted were {len(self._x_center)} and "
                f"{len(self._y_center)}"
            )
        return [array[weights > 0] for array in (X, y, weights)]

    def _checked_inputs(self, given: Any, X: np.ndarray) -> np.ndarray:
        if X.ndim not in (2, 3) or (X.ndim == 3) != self._is_three_d or 0 in X.shape:
            fitted = " as in fit" if hasattr(self, "_snapshot") else ""
            raise ValueError(
                f"X has shape {np.shape(given)}; it must be (n_samples, n_steps) or (n_samples, n_steps, n_variables)"
                f"{fitted}"
            )
        X = X if X.ndim == 3 else X[:, :, None]
        if hasattr(self, "_snapshot") and X.shape[2] != len(self._x_center):
            raise ValueError(f"X has {X.shape[2]} variables; fitted were {len(self._x_center)}")
        return X

    def _begin(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray) -> None:
        """Take scales, sizes and seed from the first rows."""
        self._settings = self._make_settings(X.shape[1], y.shape[1])
        self._x_center, self._x_scale = _scale_of("X", X.reshape(-1, X.shape[2]), np.repeat(weights, X.shape[1]))
        self._y_center, self._y_scale = _scale_of("y", y, weights)

    def _make_settings(self, lookback: int, horizon: int) -> ForecasterSettings:
        names = set(ForecasterSettings.model_fields) & set(self.get_params(deep=False))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        chosen = {name: getattr(self, name) for name in names - {"residual"}}
        chosen["residual_layers"] = self.residual
        return ForecasterSettings(**chosen, lookback=lookback, horizon=horizon, seed=seed)

    def _scaled_inputs(self, X: np.ndarray) -> np.ndarray:
        return _scaled("X", X, self._x_center, self._x_scale)

    def _scaled_targets(self, y: np.ndarray) -> np.ndarray:
        return _scaled("y", y, self._y_center, self._y_scale)

    # ------------------------------------------------------------ the network

    def _make_network(self) -> Network:
        return Network(len(self._x_center), len(self._y_center), self._settings, loss=self.loss)

    def _batches(self, rows: list[np.ndarray], ops: ModuleType) -> RowBatches:
        X, y, weights = rows
        arrays = self._scaled_inputs(X), self._scaled_targets(y), weights.astype("float32")
        return RowBatches(*arrays, self.loss, self._settings.batch_size, self._settings.seed, ops)

    def _predict_scaled(self, network: Network, X: np.ndarray) -> np.ndarray:
        """Return scaled predictions, float64; the network is not kept, since a fitted estimator has to be picklable."""
        parts = []
        for first in range(0, len(X), _BATCH):
            y_hat, _ = network.forward(network.ops.as_array(X[first : first + _BATCH], network.dtype))
            parts.append(network.ops.to_host(y_hat))
        return np.concatenate(parts).astype(np.float64)

    def _error(self, network: Network, X: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        errors = np.abs(self._predict_scaled(network, self._scaled_inputs(X)) - self._scaled_targets(y))
        losses = {
            "mse": lambda: errors**2,
            "mae": lambda: errors,
            "huber": lambda: np.where(errors < 1, errors**2 / 2, errors - 0.5),
        }
        return float(np.average(losses[self.loss]().mean(axis=1), weights=weights))

    def _keep(self, snapshot: Snapshot, best: bool) -> None:
        values = snapshot.best_values if best else snapshot.values
        self._snapshot = Snapshot(
            values, snapshot.optimizer, snapshot.optimizer_steps, snapshot.best_values, snapshot.history
        )
        self.history_: tuple[EpochRecord, ...] = snapshot.history
        self.n_iter_ = len(snapshot.history)


def _scaled(name: str, values: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return values scaled, float32; InputError if one is out of its range."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = ((values - center) / scale).astype("float32")
    if not np.isfinite(scaled).all():
        raise InputError(f"{name} has a value that is too large to scale to float32; correct it.")
    return scaled


def _scale_of(name: str, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted mean and standard deviation of columns; 1 for a constant one."""
    require_magnitudes(values, [f"column {number}" for number in range(values.shape[1])], name)
    center = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - center) ** 2, axis=0, weights=weights))
    # The deviation of a constant column is only rounding, which is not a scale.
    is_constant = scale <= 1e-10 * np.abs(values).max(axis=0)
    return center, np.where(is_constant, 1, scale)

"""Scaling of the columns of one series, fitted on its training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.sequences.transforms import AS_IS, TransformKind, YTransform, back, is_outside, transformed

# Variances stay finite up to here, and above zero down to its inverse.
LARGEST = 1e150
ScalerKind = Literal["standard", "minmax", "robust", "size", "none"]


@dataclass(frozen=True, eq=False)
class Scaler:
    """``(values - center) / scale``, column by column; the first column, y, is transformed before.

    Attributes
    ----------
    kind : {"standard", "minmax", "robust", "size", "none"}
        Mean and standard deviation, minimum and range, median and interquartile range, zero and mean absolute value, or
        no change.
    columns : tuple of str
        Names of the columns.
    center, scale : float64, (n_columns,)
        A constant column has scale 1.
    is_constant : bool
        Whether the first column was constant, so that a forecast of it can only be that constant.
    constant : float
        That constant, scaled: 0, or of the kind size -1, 0 or 1.
    of_y : YTransform
        What the first column goes through before it is scaled.
    """

    kind: ScalerKind
    columns: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    is_constant: bool = False
    of_y: YTransform = AS_IS
    constant: float = 0.0

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        columns: Sequence[str],
        kind: ScalerKind = "standard",
        series: str = "The data",
        transform: TransformKind = "none",
    ) -> Self:
        """Fit to `values`, shape (rows, n_columns), but for those that are NaN; the caller passes training rows only.

        A column without any value keeps center 0 and scale 1. One whose only value is known is not called constant.

        Raises
        ------
        InputError
            An unknown kind, no rows, values of a column of `series` that cannot be squared in float64, or one of y
            that cannot be transformed.
        """
        if kind not in get_args(ScalerKind):
            raise InputError(f"Unknown scaling {kind!r}; choose one of {', '.join(get_args(ScalerKind))}.")
        if len(values) == 0:
            raise InputError("A scaler needs at least one training row; give more rows.")
        values = np.asarray(values, dtype=np.float64)
        require_magnitudes(values, columns, series)
        of_y = YTransform.fit(values[:, 0], transform, series)
        if of_y.kind != "none":
            values = _with_y(values, of_y)
            require_magnitudes(values, columns, f"{series}, after the transform {of_y.kind},")
        center, scale = _center_and_scale(values, kind)
        y = values[~np.isnan(values[:, 0]), 0]
        is_constant = kind != "none" and len(y) > 1 and bool((y == y[0]).all())
        constant = (y[0] - center[0]) / scale[0] if is_constant and kind == "size" else 0.0
        return cls(kind, tuple(columns), center, scale, is_constant, of_y, float(constant))

    @property
    def of_forecasts(self) -> tuple[float, float]:
        """Center and scale that turn scaled forecasts back; of a constant, that constant and 0."""
        center, scale = float(self.center[0]), float(self.scale[0])
        return (center + self.constant * scale, 0.0) if self.is_constant else (center, scale)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Transform and scale `values`, shape (..., n_columns), to float64 of the same shape."""
        return (_with_y(values, self.of_y) - self.center) / self.scale

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Undo `transform`."""
        values = values * self.scale + self.center
        if self.of_y.kind != "none":
            values[..., 0] = back(self.of_y.kind, values[..., 0], self.of_y.power)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` gives back the same bits."""
        state = {
            "kind": self.kind,
            "columns": list(self.columns),
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
        }
        # Only where it is true, so that the hashes of other series are those of 0.1.0.
        if self.is_constant:
            state["is_constant"] = True
        if self.constant:
            state["constant"] = self.constant
        if self.of_y.kind != "none":
            state["of_y"] = self.of_y.to_dict()
        return state

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Build the scaler that `to_dict` described."""
        center, scale = (np.array(state[name], dtype=np.float64) for name in ("center", "scale"))
        if not center.shape == scale.shape == (len(state["columns"]),) or not np.isfinite([center, scale]).all():
            raise ValueError("a scaler needs a finite center and scale of each column")
        of_y = YTransform.from_dict(state["of_y"]) if "of_y" in state else AS_IS
        is_constant = bool(state.get("is_constant", False))
        constant = float(state.get("constant", 0.0))
        return cls(state["kind"], tuple(state["columns"]), center, scale, is_constant, of_y, constant)


def scale(series: str, values: np.ndarray, scaler: Scaler) -> np.ndarray:
    """Return the values of one series scaled, float32, in the shape of `values`.

    Raises
    ------
    InputError
        A value is beyond float32, or one of y cannot be transformed.
    """
    scaler.of_y.require(values[:, 0], series)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = scaler.transform(values).astype(np.float32)
    finite = (np.isfinite(scaled) | np.isnan(values)).all(axis=0)
    if not finite.all():
        column = scaler.columns[int(finite.argmin())]
        raise InputError(f"{series} has a value of {column} that is too large to scale to float32; correct it.")
    return scaled


def scale_all(
    unique_ids: Sequence[str], values: np.ndarray, offsets: np.ndarray, scalers: Sequence[Scaler]
) -> np.ndarray:
    """Return the values of several series, one after another, each scaled by its own scaler: as `scale`, at once.

    Parameters
    ----------
    unique_ids : sequence of str, (n_series,)
    values : float64, (rows, n_columns)
    offsets : int64, (n_series + 1,)
        Rows of series k are ``offsets[k]:offsets[k + 1]``.
    scalers : sequence of Scaler, (n_series,)
        All of one transform.

    Raises
    ------
    InputError
        A value is beyond float32, or one of y cannot be transformed.
    """
    kind = scalers[0].of_y.kind
    _require_finite(~is_outside(kind, values[:, 0]), unique_ids, values, offsets, scalers)
    lengths = np.diff(offsets)
    center = np.repeat([scaler.center for scaler in scalers], lengths, axis=0)
    spread = np.repeat([scaler.scale for scaler in scalers], lengths, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        straight = values
        if kind != "none":
            power = np.repeat([scaler.of_y.power for scaler in scalers], lengths)
            straight = np.column_stack([transformed(kind, values[:, 0], power), values[:, 1:]])
        scaled = ((straight - center) / spread).astype(np.float32)
    finite = (np.isfinite(scaled) | np.isnan(values)).all(axis=1)
    _require_finite(finite, unique_ids, values, offsets, scalers)
    return scaled


def _require_finite(
    fine: np.ndarray,
    unique_ids: Sequence[str],
    values: np.ndarray,
    offsets: np.ndarray,
    scalers: Sequence[Scaler],
) -> None:
    """Raise what `scale` raises of the series of the first row that is not `fine`."""
    if not fine.all():
        series = int(np.searchsorted(offsets, np.argmin(fine), side="right")) - 1
        scale(unique_ids[series], values[offsets[series] : offsets[series + 1]], scalers[series])


def unscale_y(
    values: np.ndarray, scalers: Sequence[Scaler], series: np.ndarray, variance: np.ndarray | None = None
) -> np.ndarray:
    """Turn scaled values of y back into its unit.

    Parameters
    ----------
    values : float, (n,) or (n, horizon)
        Scaled.
    scalers : sequence of Scaler, (n_series,)
        All of one transform.
    series : int, (n,)
        Number of the series of each row.
    variance : float, (horizon,), optional
        Of the errors of scaled forecasts, step by step, to turn the mean of transformed values into that of y; see
        `transforms.back`. A constant has none.

    Returns
    -------
    float64, shape of `values`
    """
    each_row = (-1,) + (1,) * (values.ndim - 1)

    def of_rows(numbers: list[float]) -> np.ndarray:
        return np.array(numbers)[series].reshape(each_row)

    center, spread = (of_rows([getattr(scaler, name)[0] for scaler in scalers]) for name in ("center", "scale"))
    straight = values.astype(np.float64) * spread + center
    kind = scalers[0].of_y.kind
    if kind == "none":
        return straight
    varies = of_rows([0.0 if scaler.is_constant else 1.0 for scaler in scalers])
    noise = 0.0 if variance is None else variance * varies * spread**2
    return back(kind, straight, of_rows([scaler.of_y.power for scaler in scalers]), noise)


def scaler_of(unique_id: str, columns: Sequence[str], scalers: Mapping[str, Scaler]) -> Scaler:
    """Return the scaler of a series among those of a trained model.

    Raises
    ------
    InputError
        There is none, or it is of other columns.
    """
    if unique_id not in scalers:
        raise InputError(f"The model was not trained on {unique_id!r}; leave it out or train again.")
    scaler = scalers[unique_id]
    if scaler.columns != tuple(columns):
        raise InputError(
            f"{unique_id} has the columns {', '.join(columns)}, but the model was trained on "
            f"{', '.join(scaler.columns)}; give the same ones."
        )
    return scaler


def require_magnitudes(values: np.ndarray, columns: Sequence[str], series: str) -> None:
    """Raise InputError if a column of `values` has numbers whose squares are beyond float64, or vanish in it."""
    for column, largest in zip(columns, np.fmax.reduce(np.abs(values), axis=0), strict=True):
        if largest > LARGEST:
            raise InputError(
                f"{series} has a value of {column} that is too large to scale, {largest:.3g}; correct it, or give"
                f" {column} in another unit."
            )
        if 0 < largest < 1 / LARGEST:
            raise InputError(
                f"{series} has values of {column} that are too small to scale, {largest:.3g} at most; give {column} in"
                " another unit."
            )


def _with_y(values: np.ndarray, of_y: YTransform) -> np.ndarray:
    """Return values (..., n_columns) with y transformed."""
    if of_y.kind == "none":
        return values
    values = np.array(values, np.float64)
    values[..., 0] = transformed(of_y.kind, values[..., 0], of_y.power)
    return values


def _center_and_scale(values: np.ndarray, kind: ScalerKind) -> tuple[np.ndarray, np.ndarray]:
    # The definitions of scikit-learn's scalers, which a test compares; importing it would double the start-up time.
    if kind == "none":
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    is_missing = np.isnan(values)
    if is_missing.any():
        center = np.zeros(values.shape[1])
        scale = np.ones(values.shape[1])
        for column in np.flatnonzero(~is_missing.all(axis=0)):
            (center[column],), (scale[column],) = _center_and_scale(values[~is_missing[:, column], column, None], kind)
        return center, scale
    if kind == "standard":
        center = values.mean(axis=0)
        scale = values.std(axis=0)
    elif kind == "minmax":
        center = values.min(axis=0)
        scale = values.max(axis=0) - center
    elif kind == "size":
        center = np.zeros(values.shape[1])
        scale = np.abs(values).mean(axis=0)
    else:
        low, center, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        scale = high - low
    # The spread of a constant column is rounding error, or nothing.
    is_constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(values).max(axis=0)
    return center, np.where(is_constant, 1.0, scale)

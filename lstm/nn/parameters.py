"""A model's parameters: one flat vector of values, one of gradients, and named views into both.

The optimiser and the clipping work on the flat vectors in one call; layers work on the views. A model joins the
parameters of its layers, which from then on are views of the model's vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Parameters", "require_dtype", "require_size"]


class _Version:
    """What a model shares with its layers: an object that is replaced when the values change."""

    def __init__(self):
        self.now = object()


class Parameters:
    """Named arrays in one flat vector, with their gradients.

    Parameters
    ----------
    arrays : mapping of name to array
        First values, copied; all of one dtype.
    ops : module
        The backend that holds the vectors.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], ops: ModuleType):
        self._ops = ops
        self._shapes = {name: array.shape for name, array in arrays.items()}
        self._version = _Version()
        self._parts: tuple[Parameters, ...] = ()
        flat = np.concatenate([array.ravel() for array in arrays.values()])
        self.values: Any = ops.as_array(flat, flat.dtype.name)
        self.gradients: Any = ops.zeros(flat.shape, flat.dtype.name)
        self._make_views()

    @classmethod
    def join(cls, parts: Mapping[str, Parameters], ops: ModuleType) -> Parameters:
        """Return the parameters of all parts, named ``part.name``; the parts become views of the whole."""
        arrays = {f"{prefix}.{name}": array for prefix, part in parts.items() for name, array in part.to_host().items()}
        whole = cls(arrays, ops)
        whole._parts = tuple(parts.values())
        whole._bind_parts()
        return whole

    def __getitem__(self, name: str) -> Any:
        return self._value_views[name]

    def gradient(self, name: str) -> Any:
        """The gradient of one parameter: a view."""
        return self._gradient_views[name]

    def __iter__(self):
        return iter(self._shapes)

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def version(self) -> object:
        """What was made from the values is valid as long as this is the same object."""
        return self._version.now

    def changed(self) -> None:
        """Say that `values` has been written; whoever writes it directly calls this."""
        self._version.now = object()

    def to_host(self) -> dict[str, np.ndarray]:
        """Copy the values into NumPy arrays."""
        return {name: self._ops.to_host(self[name]) for name in self}

    def gradients_to_host(self) -> dict[str, np.ndarray]:
        """Copy the gradients into NumPy arrays."""
        return {name: self._ops.to_host(self.gradient(name)) for name in self}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Overwrite all values, ``=``.

        Raises
        ------
        ValueError
            When a name is missing or unknown, or a shape differs; nothing has been overwritten then.
        """
        missing = set(self._shapes) - set(arrays)
        unknown = set(arrays) - set(self._shapes)
        if missing or unknown:
            raise ValueError(f"parameters do not match: missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, shape in self._shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"parameter {name} has shape {arrays[name].shape}, but the model needs {shape}")
        dtype = np.dtype(self.values.dtype)
        self.set_flat(np.concatenate([np.asarray(arrays[name], dtype).ravel() for name in self]))

    def set_flat(self, vector: np.ndarray) -> None:
        """Overwrite the flat vector of values, ``=``."""
        self._ops.copy_into(vector, self.values)
        self.changed()

    def _bind(self, values: Any, gradients: Any, version: _Version) -> None:
        self.values = values
        self.gradients = gradients
        self._version = version
        self.changed()
        self._make_views()
        self._bind_parts()

    def _bind_parts(self) -> None:
        start = 0
        for part in self._parts:
            stop = start + part.values.shape[0]
            part._bind(self.values[start:stop], self.gradients[start:stop], self._version)
            start = stop

    def _make_views(self) -> None:
        self._value_views = self._views(self.values)
        self._gradient_views = self._views(self.gradients)

    def _views(self, vector: Any) -> dict[str, Any]:
        views = {}
        start = 0
        for name, shape in self._shapes.items():
            stop = start + math.prod(shape)
            views[name] = vector[start:stop].reshape(shape)
            start = stop
        return views


def require_dtype(dtype: object) -> None:
    """Raise ValueError unless a layer can compute in this dtype."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}; choose float32 or float64")


def require_size(name: str, size: object) -> None:
    """Raise ValueError unless a layer can have this size."""
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{name} is {size!r}; it must be a whole number of at least 1")

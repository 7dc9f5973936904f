"""`LayerNorm`: every row of features brought to mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.lstm.nn.parameters import Parameters, require_dtype, require_size

__all__ = ["LayerNorm"]


class LayerNorm:
    """Layer normalisation (Ba, Kiros & Hinton 2016, arXiv 1607.06450); names and shapes as in ``torch.nn.LayerNorm``.

    ::

        y = (x - mean) / sqrt(variance + epsilon) * weight + bias      mean and variance over the features of a row

    Parameters
    ----------
    size : int
        Features of a row.
    epsilon : float
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    """

    def __init__(self, size: int, *, epsilon: float = 1e-5, dtype: str = "float32", backend: str = "cpu"):
        require_size("size", size)
        if epsilon <= 0:
            raise ValueError(f"epsilon is {epsilon}; it must be positive")
        require_dtype(dtype)
        self.size = size
        self.epsilon = epsilon
        self.dtype = dtype
        self._ops: ModuleType = get_backend(backend)
        self.parameters = Parameters({"weight": np.ones(size, dtype), "bias": np.zeros(size, dtype)}, self._ops)
        self._workspaces: dict[int, Any] = {}
        self._rows: int | None = None

    def forward(self, x: Any) -> Any:
        """Return y (rows, size) for x (rows, size)."""
        x = self._ops.as_array(x, self.dtype)
        if x.ndim != 2 or x.shape[1] != self.size or 0 in x.shape:
            raise ValueError(f"x has shape {x.shape}; it must be (rows, {self.size}), with at least one row")
        self._rows = x.shape[0]
        if self._rows not in self._workspaces:
            if len(self._workspaces) == 2:  # as in LSTM: a full batch and the last one of an epoch
                self._workspaces.clear()
            self._workspaces[self._rows] = self._ops.layer_norm_workspace(*x.shape, self.dtype)
        y = self._ops.empty(x.shape, self.dtype)
        self._ops.layer_norm_forward(self._weights(), x, self._workspaces[self._rows], y, self.epsilon)
        return y

    def backward(self, dy: Any) -> Any:
        """Return dx (rows, size) for dy (rows, size) of the last forward pass; gradients are ``=``."""
        if self._rows is None:
            raise RuntimeError("backward needs a forward before it")
        dy = self._ops.as_array(dy, self.dtype)
        if dy.shape != (self._rows, self.size):
            raise ValueError(f"dy has shape {dy.shape}; it must be ({self._rows}, {self.size})")
        dx = self._ops.empty(dy.shape, self.dtype)
        gradients = self._ops.LayerNormWeights(self.parameters.gradient("weight"), self.parameters.gradient("bias"))
        self._ops.layer_norm_backward(self._weights(), dy, self._workspaces[self._rows], gradients, dx)
        return dx

    def _weights(self) -> Any:
        return self._ops.LayerNormWeights(self.parameters["weight"], self.parameters["bias"])

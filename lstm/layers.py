"""Layers beside the recurrent ones."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from kernels import get_backend
from lstm.initialisation import init_linear
from lstm.parameters import Parameters

__all__ = ["Linear"]


class Linear:
    """``y = x @ weight.T + bias`` over rows of features; names and shapes as in ``torch.nn.Linear``.

    Parameters
    ----------
    input_size, output_size : int
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        if input_size < 1 or output_size < 1:
            raise ValueError(f"input_size is {input_size} and output_size {output_size}; both must be at least 1")
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {dtype!r}; choose float32 or float64")
        self.input_size, self.output_size, self.dtype = input_size, output_size, dtype
        self._ops: ModuleType = get_backend(backend)
        self.parameters = Parameters(init_linear(input_size, output_size, seed, dtype), self._ops)
        self._workspaces: dict[int, Any] = {}
        self._rows: int | None = None

    def forward(self, x: Any) -> Any:
        """Return y (rows, output_size) for x (rows, input_size)."""
        x = self._ops.as_array(x, self.dtype)
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(f"x has shape {x.shape}; it must be (rows, {self.input_size})")
        rows = x.shape[0]
        if rows not in self._workspaces:
            if len(self._workspaces) == 2:  # as in LSTM: a full batch and the last one of an epoch
                self._workspaces.clear()
            self._workspaces[rows] = self._ops.linear_workspace(rows, self.input_size, self.output_size, self.dtype)
        self._rows = rows
        y = self._ops.zeros((rows, self.output_size), self.dtype)
        self._ops.linear_forward(self._weights(), x, self._workspaces[rows], y)
        return y

    def backward(self, dy: Any) -> Any:
        """Return dx (rows, input_size) for dy (rows, output_size) of the last forward pass; gradients are ``=``."""
        if self._rows is None:
            raise RuntimeError("backward needs a forward before it")
        dy = self._ops.as_array(dy, self.dtype)
        if dy.shape != (self._rows, self.output_size):
            raise ValueError(f"dy has shape {dy.shape}; it must be ({self._rows}, {self.output_size})")
        dx = self._ops.zeros((self._rows, self.input_size), self.dtype)
        gradients = self._ops.LinearWeights(self.parameters.gradient("weight"), self.parameters.gradient("bias"))
        self._ops.linear_backward(self._weights(), dy, self._workspaces[self._rows], gradients, dx)
        return dx

    def _weights(self) -> Any:
        return self._ops.LinearWeights(self.parameters["weight"], self.parameters["bias"])

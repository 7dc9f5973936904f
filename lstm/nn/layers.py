"""Layers other than the recurrent ones."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.kernels.masks import mask
from gatecast.lstm.nn.dropout import DropoutKind, checked_rate
from gatecast.lstm.nn.initialisation import init_embedding, init_linear
from gatecast.lstm.nn.parameters import Parameters, require_dtype, require_size

__all__ = ["Dropout", "Embedding", "Linear", "checked_indices"]


def checked_indices(indices: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Return a copy, int64: the caller may write to its own array before the backward pass.

    Raises
    ------
    ValueError
        When they are not integers, or not all are in the vocabulary.
    """
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise ValueError(f"indices have dtype {indices.dtype}; they must be integers")
    if indices.size and (indices.min() < 0 or indices.max() >= vocabulary_size):
        raise ValueError(
            f"indices run from {indices.min()} to {indices.max()}; they must lie between 0 and {vocabulary_size - 1}"
        )
    return np.array(indices, "int64", order="C")


class Embedding:
    """A learnt vector for each entry of a vocabulary; names and shapes as in ``torch.nn.Embedding``.

    Parameters
    ----------
    vocabulary_size, embedding_size : int
    scale : float
        Standard deviation of the first values; 1 as in torch.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        *,
        scale: float = 1.0,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        require_size("vocabulary_size", vocabulary_size)
        require_size("embedding_size", embedding_size)
        require_dtype(dtype)
        self.vocabulary_size = vocabulary_size
        self.embedding_size = embedding_size
        self.dtype = dtype
        self._ops: ModuleType = get_backend(backend)
        arrays = init_embedding(vocabulary_size, embedding_size, seed, dtype, scale)
        self.parameters = Parameters(arrays, self._ops)
        self._indices: Any = None
        self._shape: tuple[int, ...] = ()

    def forward(self, indices: np.ndarray) -> Any:
        """Return the vectors (..., embedding_size) of indices (...), integers of any shape in NumPy."""
        indices = checked_indices(indices, self.vocabulary_size)
        y = self.look_up(self._ops.as_array(indices.ravel(), "int64"))
        self._shape = indices.shape
        return y.reshape(*self._shape, self.embedding_size)

    def look_up(self, indices: Any) -> Any:
        """Return the vectors (rows, embedding_size) of int64 indices (rows,) on the backend, which are not checked."""
        self._shape = indices.shape
        self._indices = indices
        y = self._ops.zeros((indices.shape[0], self.embedding_size), self.dtype)
        self._ops.embedding_forward(self.parameters["weight"], indices, y)
        return y

    def backward(self, dy: Any, accumulate: bool = False) -> None:
        """Write the gradient of `weight` from dy (..., embedding_size) of the last forward pass.

        It is ``=``; with `accumulate` it is ``+=``, for a weight that another layer shares and has written before.
        """
        if self._indices is None:
            raise RuntimeError("backward needs a forward before it")
        dy = self._ops.as_array(dy, self.dtype)
        if dy.shape != (*self._shape, self.embedding_size):
            raise ValueError(f"dy has shape {dy.shape}; it must be {(*self._shape, self.embedding_size)}")
        rows = dy.reshape(-1, self.embedding_size)
        self._ops.embedding_backward(self._indices, rows, self.parameters.gradient("weight"), accumulate)


class Linear:
    """``y = x @ weight.T + bias`` over rows of features; names and shapes as in ``torch.nn.Linear``.

    Parameters
    ----------
    input_size, output_size : int
    bias : bool
        False leaves the bias out.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        require_size("input_size", input_size)
        require_size("output_size", output_size)
        require_dtype(dtype)
        self.input_size = input_size
        self.output_size = output_size
        self.dtype = dtype
        self._ops: ModuleType = get_backend(backend)
        arrays = init_linear(input_size, output_size, seed, dtype)
        self.parameters = Parameters({name: arrays[name] for name in arrays if bias or name != "bias"}, self._ops)
        # The kernels have one form of the layer: a bias that is left out is zero, and its gradient is not used.
        self._absent_bias = None if bias else tuple(self._ops.zeros((output_size,), dtype) for _ in range(2))
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
        d_bias = self._absent_bias[1] if self._absent_bias else self.parameters.gradient("bias")
        gradients = self._ops.LinearWeights(self.parameters.gradient("weight"), d_bias)
        self._ops.linear_backward(self._weights(), dy, self._workspaces[self._rows], gradients, dx)
        return dx

    def _weights(self) -> Any:
        bias = self._absent_bias[0] if self._absent_bias else self.parameters["bias"]
        return self._ops.LinearWeights(self.parameters["weight"], bias)


class Dropout:
    """Set elements to zero in training, and multiply the others by 1 / (1 - rate) (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float
        Share of the elements that become zero.
    kind : {"variational", "per_step"}
        One mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv 1512.05287), or another at each step.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int
        Layers of one model need different ones.
    """

    def __init__(
        self,
        rate: float,
        kind: DropoutKind = "variational",
        *,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int = 0,
    ):
        if kind not in ("variational", "per_step"):
            raise ValueError(f"kind is {kind!r}; choose variational or per_step")
        require_dtype(dtype)
        self.rate = checked_rate("a layer's", rate)
        self.kind = kind
        self.dtype = dtype
        self.training = False
        self._ops: ModuleType = get_backend(backend)
        self._seed = seed
        self._training_passes = 0
        self._mask = mask(0, False)

    def train(self) -> None:
        """Make ``training=True`` the default of `forward`."""
        self.training = True

    def eval(self) -> None:
        """Make ``training=False`` the default of `forward`."""
        self.training = False

    def forward(self, x: Any, training: bool | None = None, step: int | None = None) -> Any:
        """Return a fresh array of the shape of x (batch, seq, features); `x` itself where nothing is dropped.

        Parameters
        ----------
        x : (batch, seq, features) array
        training : bool, optional
            Drop out; by default what `train` or `eval` has set.
        step : int, optional
            Number of the training step, which decides the mask; by default the training passes are counted.
        """
        x = self._ops.as_array(x, self.dtype)
        training = self.training if training is None else training
        if training and step is None:
            step = self._training_passes
            self._training_passes += 1
        rate = self.rate if training else 0
        self._mask = mask(rate, self.kind == "per_step", self._seed, 0 if step is None else step)
        return self._dropped(x)

    def backward(self, dy: Any) -> Any:
        """Return dx for dy of the last forward pass."""
        return self._dropped(self._ops.as_array(dy, self.dtype))

    def _dropped(self, values: Any) -> Any:
        if not self._mask.threshold:
            return values
        dropped = self._ops.zeros(values.shape, self.dtype)
        self._ops.dropout(values, dropped, self._mask)
        return dropped

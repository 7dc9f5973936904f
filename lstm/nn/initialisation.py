"""First values of the parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatecast.lstm.nn.parameters import require_dtype, require_size

__all__ = ["Initialisation", "count_weights", "init_embedding", "init_linear", "init_parameters", "layer_shapes"]


def layer_shapes(input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one LSTM layer's trained parameters, under torch's names without the layer's suffix."""
    return {
        "weight_ih": (4 * hidden_size, input_size),
        "weight_hh": (4 * hidden_size, hidden_size),
        "bias_ih": (4 * hidden_size,),
    }


def count_weights(input_size: int, hidden_size: int, num_layers: int = 1, directions: int = 1) -> int:
    """Return how many parameters LSTM layers have, one on top of the other."""
    sizes = [input_size, *[directions * hidden_size] * (num_layers - 1)]
    shapes = (shape for size in sizes for shape in layer_shapes(size, hidden_size).values())
    return directions * sum(map(math.prod, shapes))


@dataclass(frozen=True)
class Initialisation:
    """How the parameters of an LSTM layer are drawn.

    Attributes
    ----------
    weights : {"uniform", "orthogonal"}
        Uniform on ±1/√hidden_size, biases too, as torch.nn.LSTM; or, gate by gate, weight_hh orthogonal (Saxe et al.
        2014, arXiv 1312.6120) and weight_ih uniform on ±√(6 / (input_size + hidden_size)) (Glorot & Bengio 2010), with
        biases zero.
    forget_bias : float, optional
        Bias of the forget gate (Gers, Schmidhuber & Cummins 2000), which lets a new network remember.
    max_lag : int, optional
        Chrono initialisation (Tallec & Ollivier 2018, arXiv 1804.11188, §3): the forget gate's biases are the logarithm
        of a uniform draw from 1 to max_lag - 1, the input gate's their negatives, the others zero, so that units
        remember for times of all lengths up to `max_lag` steps.
    """

    weights: Literal["uniform", "orthogonal"] = "uniform"
    forget_bias: float | None = None
    max_lag: int | None = None

    def __post_init__(self):
        if self.weights not in ("uniform", "orthogonal"):
            raise ValueError(f"weights is {self.weights!r}; choose uniform or orthogonal")
        if self.forget_bias is not None and self.max_lag is not None:
            raise ValueError("forget_bias and max_lag both set the bias of the forget gate; choose one")
        if self.max_lag is not None and self.max_lag < 3:
            raise ValueError(f"max_lag is {self.max_lag}; it must be at least 3")


def init_parameters(
    input_size: int,
    hidden_size: int,
    seed: int | np.random.Generator = 0,
    dtype: str = "float32",
    initialisation: Initialisation | None = None,
) -> dict[str, np.ndarray]:
    """Draw the parameters of one LSTM layer.

    Parameters
    ----------
    input_size, hidden_size : int
    seed : int or Generator
    dtype : {"float32", "float64"}
    initialisation : Initialisation, optional
        Uniform on ±1/√hidden_size by default, as torch.nn.LSTM does.

    Returns
    -------
    dict
        weight_ih (4H, I), weight_hh (4H, H) and bias_ih (4H,), gates in the order i, f, g, o.
    """
    require_size("input_size", input_size)
    require_size("hidden_size", hidden_size)
    require_dtype(dtype)
    initialisation = initialisation or Initialisation()
    generator = np.random.default_rng(seed)
    draw = _uniform if initialisation.weights == "uniform" else _orthogonal
    arrays = draw(layer_shapes(input_size, hidden_size), generator)
    input_gate = slice(hidden_size)
    forget_gate = slice(hidden_size, 2 * hidden_size)
    if initialisation.forget_bias is not None:
        arrays["bias_ih"][forget_gate] = initialisation.forget_bias
    if initialisation.max_lag is not None:
        arrays["bias_ih"][:] = 0
        arrays["bias_ih"][forget_gate] = np.log(generator.uniform(1, initialisation.max_lag - 1, hidden_size))
        arrays["bias_ih"][input_gate] = -arrays["bias_ih"][forget_gate]
    return {name: array.astype(dtype) for name, array in arrays.items()}


def _uniform(shapes: dict[str, tuple[int, ...]], generator: np.random.Generator) -> dict[str, np.ndarray]:
    bound = shapes["weight_hh"][1] ** -0.5
    return {name: generator.uniform(-bound, bound, shape) for name, shape in shapes.items()}


def _orthogonal(shapes: dict[str, tuple[int, ...]], generator: np.random.Generator) -> dict[str, np.ndarray]:
    hidden_size = shapes["weight_hh"][1]
    input_size = shapes["weight_ih"][1]
    bound = (6 / (input_size + hidden_size)) ** 0.5
    gates = []
    for _ in range(4):
        rotation, triangle = np.linalg.qr(generator.normal(size=(hidden_size, hidden_size)))
        gates.append(rotation * np.where(np.diag(triangle) < 0, -1, 1))  # signs that make the draw uniform
    return {
        "weight_ih": generator.uniform(-bound, bound, shapes["weight_ih"]),
        "weight_hh": np.concatenate(gates),
        "bias_ih": np.zeros(shapes["bias_ih"]),
    }


def init_linear(
    input_size: int, output_size: int, seed: int | np.random.Generator = 0, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Draw weight (out, in) and bias (out,) of a linear layer, uniform on ±1/√in, as torch.nn.Linear does."""
    generator = np.random.default_rng(seed)
    bound = input_size**-0.5
    return {
        "weight": generator.uniform(-bound, bound, (output_size, input_size)).astype(dtype),
        "bias": generator.uniform(-bound, bound, output_size).astype(dtype),
    }


def init_embedding(
    vocabulary_size: int,
    embedding_size: int,
    seed: int | np.random.Generator = 0,
    dtype: str = "float32",
    scale: float = 1.0,
) -> dict[str, np.ndarray]:
    """Draw weight (vocabulary, size) of an embedding, normal with standard deviation `scale`, 1 as in torch."""
    generator = np.random.default_rng(seed)
    return {"weight": generator.normal(0, scale, (vocabulary_size, embedding_size)).astype(dtype)}

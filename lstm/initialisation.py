"""First values of the parameters."""

from __future__ import annotations

import numpy as np

__all__ = ["init_linear", "init_parameters", "layer_shapes"]


def layer_shapes(input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one LSTM layer's trained parameters, under torch's names without the layer's suffix."""
    return {
        "weight_ih": (4 * hidden_size, input_size),
        "weight_hh": (4 * hidden_size, hidden_size),
        "bias_ih": (4 * hidden_size,),
    }


def init_parameters(
    input_size: int, hidden_size: int, seed: int | np.random.Generator = 0, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Draw the parameters of one LSTM layer, uniform on ±1/√hidden_size, as torch.nn.LSTM does.

    Parameters
    ----------
    input_size, hidden_size : int
    seed : int or Generator
    dtype : {"float32", "float64"}

    Returns
    -------
    dict
        weight_ih (4H, I), weight_hh (4H, H) and bias_ih (4H,), gates in the order i, f, g, o.
    """
    generator = np.random.default_rng(seed)
    bound = hidden_size**-0.5
    return {
        name: generator.uniform(-bound, bound, shape).astype(dtype)
        for name, shape in layer_shapes(input_size, hidden_size).items()
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

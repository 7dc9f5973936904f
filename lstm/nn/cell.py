"""`LSTMCell`: a single step, with its gates on view."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatecast.lstm.nn.recurrent import LSTM

__all__ = ["LSTMCell"]


class LSTMCell:
    """One step of an LSTM: the unit that `LSTM` repeats, with its gates on view.

    Parameters
    ----------
    input_size, hidden_size : int
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        self._layer = LSTM(input_size, hidden_size, dtype=dtype, backend=backend, seed=seed)

    def forward(
        self, x: Any, h: Any, c: Any, return_gates: bool = False
    ) -> tuple[Any, Any] | tuple[Any, Any, dict[str, np.ndarray]]:
        """Take one step.

        Parameters
        ----------
        x : (batch, input_size) array
        h, c : (batch, hidden_size) arrays
            State before the step.
        return_gates : bool

        Returns
        -------
        h, c : (batch, hidden_size) arrays
            State after the step.
        gates : dict
            With `return_gates`: the activations "i", "f", "g" and "o", each (batch, hidden_size).
        """
        _, (h_n, c_n) = self._layer.forward(x[:, None, :], (h[None], c[None]), training=True, every_step=False)
        if not return_gates:
            return h_n[0], c_n[0]
        return h_n[0], c_n[0], {name: gate[:, 0] for name, gate in self._layer.last_gates().items()}

    def backward(self, dh: Any, dc: Any) -> tuple[Any, Any, Any]:
        """Back-propagate through the last step, once: from (dh, dc) after it to (dx, dh, dc) before it."""
        dx, (dh_0, dc_0) = self._layer.backward(None, (dh[None], dc[None]))
        return dx[:, 0], dh_0[0], dc_0[0]

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients of the last backward pass, under the names of `state_dict`."""
        return {name.removesuffix("_l0"): array for name, array in self._layer.grads.items()}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy the parameters, under the names and shapes of ``torch.nn.LSTMCell``."""
        return {name.removesuffix("_l0"): array for name, array in self._layer.state_dict().items()}

    def load_state_dict(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters under torch's names; the two biases are added."""
        self._layer.load_state_dict({f"{name}_l0": array for name, array in arrays.items()})

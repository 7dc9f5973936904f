"""LSTM layers and a linear head: the network of `Forecaster`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels import get_backend
from lstm.layers import Linear
from lstm.parameters import Parameters
from lstm.recurrent import LSTM, State

__all__ = ["Network"]


class Network:
    """From a batch of windows to what follows each; or, step by step, to what follows each step.

    Parameters
    ----------
    input_size, hidden_size, num_layers, output_size : int
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        output_size: int,
        *,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int = 0,
    ):
        self.ops = get_backend(backend)
        self.dtype = dtype
        generator = np.random.default_rng(seed)
        self.lstm = LSTM(input_size, hidden_size, num_layers, dtype=dtype, backend=backend, seed=generator)
        self.head = Linear(hidden_size, output_size, dtype=dtype, backend=backend, seed=generator)
        self.parameters = Parameters.join({"lstm": self.lstm.parameters, "head": self.head.parameters}, self.ops)
        self._every_step: tuple[int, int] | None = None

    def forward(
        self, x: Any, state: State | None = None, *, training: bool = False, every_step: bool = False
    ) -> tuple[Any, State]:
        """Predict from the last hidden state of each window, or from that of every step.

        Parameters
        ----------
        x : (batch, seq, input_size) array
        state : (h_0, c_0), optional
        training : bool
            Keep what `backward` needs.
        every_step : bool

        Returns
        -------
        y_hat : (batch, output_size) array; (batch * seq, output_size), window after window, where `every_step`
        state : (h_n, c_n)
        """
        y, (h_n, c_n) = self.lstm.forward(x, state, training=training, every_step=every_step)
        self._every_step = (x.shape[0], x.shape[1]) if every_step else None
        hidden = y.reshape(-1, self.lstm.hidden_size) if every_step else h_n[-1]
        return self.head.forward(hidden), (h_n, c_n)

    def backward(self, dy_hat: Any) -> None:
        """Write the gradients of all parameters, ``=``, from that of the predictions of the last training pass.

        The state that came in counts as given: no gradient flows into the batch before (truncated back-propagation).
        """
        d_hidden = self.head.backward(dy_hat)
        if self._every_step is not None:
            self.lstm.backward(d_hidden.reshape(*self._every_step, -1), input_grad=False)
            return
        shape = (self.lstm.num_layers, *d_hidden.shape)
        dh_n, dc_n = self.ops.zeros(shape, self.dtype), self.ops.zeros(shape, self.dtype)
        dh_n[-1] = d_hidden
        self.lstm.backward(None, (dh_n, dc_n), input_grad=False)

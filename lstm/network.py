"""LSTM layers and a linear head: the network of `Forecaster`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels import get_backend
from lstm.batches import Batch
from lstm.layers import Linear
from lstm.parameters import Parameters
from lstm.recurrent import LSTM, State

__all__ = ["Network"]


class Network:
    """From a batch of windows to what follows each; or, step by step, to what follows each step.

    Parameters
    ----------
    input_size, hidden_size, num_layers, output_size : int
    bidirectional : bool
        Read each window from both ends; the head sees the last hidden states of both directions.
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
        bidirectional: bool = False,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int = 0,
    ):
        self.ops = get_backend(backend)
        self.dtype = dtype
        generator = np.random.default_rng(seed)
        self.lstm = LSTM(
            input_size, hidden_size, num_layers, bidirectional, dtype=dtype, backend=backend, seed=generator
        )
        self._directions = 2 if bidirectional else 1
        self.head = Linear(self._directions * hidden_size, output_size, dtype=dtype, backend=backend, seed=generator)
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
        hidden = y.reshape(-1, y.shape[2]) if every_step else self._last_hidden(h_n)
        return self.head.forward(hidden), (h_n, c_n)

    def _last_hidden(self, h_n: Any) -> Any:
        """Return the last layer's final hidden states, (batch, directions * hidden_size)."""
        if self._directions == 1:
            return h_n[-1]
        last = self.ops.zeros((h_n.shape[1], 2 * h_n.shape[2]), self.dtype)
        self._swap_sides(h_n, last, join=True)
        return last

    def _swap_sides(self, h_n: Any, last: Any, *, join: bool) -> None:
        """Copy between the two directions' states and the head's input, where they lie side by side."""
        batch_size, hidden_size = h_n.shape[1:]
        ones = self.ops.as_array(np.ones(batch_size), "int64")
        whole = last.reshape(batch_size, 1, 2 * hidden_size)
        for direction in range(2):
            side = h_n[direction - 2].reshape(batch_size, 1, hidden_size)
            if join:
                self.ops.copy_steps(side, 0, whole, direction * hidden_size, hidden_size, ones, False, False)
            else:
                self.ops.copy_steps(whole, direction * hidden_size, side, 0, hidden_size, ones, False, False)

    def backward(self, dy_hat: Any) -> None:
        """Write the gradients of all parameters, ``=``, from that of the predictions of the last training pass.

        The state that came in counts as given: no gradient flows into the batch before (truncated back-propagation).
        """
        d_hidden = self.head.backward(dy_hat)
        if self._every_step is not None:
            self.lstm.backward(d_hidden.reshape(*self._every_step, -1), input_grad=False)
            return
        shape = (self._directions * self.lstm.num_layers, d_hidden.shape[0], self.lstm.hidden_size)
        dh_n, dc_n = self.ops.zeros(shape, self.dtype), self.ops.zeros(shape, self.dtype)
        if self._directions == 1:
            dh_n[-1] = d_hidden
        else:
            self._swap_sides(dh_n, d_hidden, join=False)
        self.lstm.backward(None, (dh_n, dc_n), input_grad=False)

    def backpropagate(self, batch: Batch, state: State | None, step: int) -> tuple[float, State]:
        """Write the gradients of one batch, ``=``; return its loss and the state after it: a `lstm.train.Trainable`."""
        every_step = batch.every_step
        y_hat, state = self.forward(batch.x, state if every_step else None, training=True, every_step=every_step)
        gradient = self.ops.zeros(y_hat.shape, self.dtype)
        loss = self.ops.mse_loss(y_hat, batch.y, batch.weights, gradient)
        self.backward(gradient)
        return loss, state

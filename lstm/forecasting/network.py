"""LSTM layers, attention if wanted, and a linear head: the network of `Forecaster` and `LSTMRegressor`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.kernels.losses import LOSSES
from gatecast.lstm.config import NetworkSettings
from gatecast.lstm.forecasting.batches import Batch
from gatecast.lstm.nn.attention import Attention
from gatecast.lstm.nn.columns import copy_columns
from gatecast.lstm.nn.layers import Dropout, Embedding, Linear
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM, State
from gatecast.lstm.nn.stack import Stack

__all__ = ["Network"]


class Network:
    r"""Predicts what follows each window of a batch; or, step by step, what follows each step.

    ::

        windows -> LSTM layers -> last output [-> attention over all outputs] [-> dropout] -> linear head
                \------------------------- [linear skip] ------------------------------------> +

    Parameters
    ----------
    input_size, output_size : int
    settings : NetworkSettings
    skip_size : int
        Rows of the target that the linear skip reads; 0 leaves it out. With it, the head begins at zero, so that a
        network begins as its skip.
    loss : str
        One of `kernels.losses.LOSSES`.
    embedding : (int, int)
        How many series there are, and of how many numbers the vector is that is learnt for each and read at every step,
        next to the inputs. The vectors begin at zero, and that of number `n_series` stays so: it is for series that the
        network does not know.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        settings: NetworkSettings,
        skip_size: int = 0,
        loss: str = "mse",
        embedding: tuple[int, int] = (0, 0),
    ):
        self.settings = settings
        self.dtype = settings.dtype
        self.ops = get_backend(settings.backend)
        generator = np.random.default_rng(settings.seed)
        where: dict[str, Any] = {"dtype": settings.dtype, "backend": settings.backend}
        width = settings.directions * settings.hidden_size
        n_series, embedding_size = embedding
        self.lstm: LSTM | Stack = _make_layers(input_size + embedding_size, settings, generator)
        parts = {"lstm": self.lstm.parameters}
        self.attention: Attention | None = None
        if settings.attention != "none":
            self.attention = Attention(width, settings.attention, settings.attention_heads, **where, seed=generator)
            parts["attention"] = self.attention.parameters
        self.dropout = Dropout(settings.dropout, settings.dropout_kind, **where, seed=settings.seed)
        self.head = Linear(width, output_size, **where, seed=generator)
        parts["head"] = self.head.parameters
        self.skip: Linear | None = None
        if skip_size:
            self.skip = Linear(skip_size, output_size, **where, seed=generator)
            self.skip.parameters.set_flat(np.zeros(len(self.skip.parameters), self.dtype))
            self.head.parameters.set_flat(np.zeros(len(self.head.parameters), self.dtype))
            parts["skip"] = self.skip.parameters
        self.series: Embedding | None = None
        if embedding_size:
            self.series = Embedding(n_series + 1, embedding_size, scale=0.0, **where)
            parts["series"] = self.series.parameters
        self.loss = loss
        self.parameters = Parameters.join(parts, self.ops)
        self._every_step: tuple[int, int] | None = None

    def forward(
        self,
        x: Any,
        state: State | None = None,
        *,
        training: bool = False,
        step: int | None = None,
        every_step: bool = False,
        past: Any = None,
        series: Any = None,
    ) -> tuple[Any, State]:
        """Predict from the last output of each window, or from that of every step.

        Parameters
        ----------
        x : (batch, seq, input_size) array
            Where there are vectors of the series, their columns come last and are written, ``=``.
        state : (h_0, c_0), optional
        training : bool
            Drop out, and keep what `backward` needs.
        step : int, optional
            Number of the training step, which decides the dropout masks; by default the training passes are counted.
        every_step : bool
            Cannot be used with attention, which looks back from the last step.
        past : (batch, skip_size) array, optional
            What the linear skip reads; required where there is one.
        series : (batch,) int64 array, optional
            Number of each window's series; required where there are vectors of them.

        Returns
        -------
        y_hat : (batch, output_size) array; (batch * seq, output_size), window after window, where `every_step`
        state : (h_n, c_n)
        """
        if every_step and self.attention is not None:
            raise ValueError("attention looks back from the last step, so there is no prediction for every step")
        if self.series is not None:
            self.ops.repeat_over_steps(self.series.look_up(series), x)
        y, (h_n, c_n) = self.lstm.forward(
            x, state, training=training, step=step, every_step=every_step or self.attention is not None
        )
        self._every_step = (x.shape[0], x.shape[1]) if every_step else None
        if not every_step:
            last = self._last_output(h_n)
            if self.attention is not None:
                last = self.attention.forward(y, last)
            y = last.reshape(last.shape[0], 1, last.shape[1])
        y = self.dropout.forward(y, training, step)
        y_hat = self.head.forward(y.reshape(-1, y.shape[2]))
        if self.skip is not None:
            copy_columns(self.ops, self.skip.forward(past), y_hat, accumulate=True)
        return y_hat, (h_n, c_n)

    def backward(self, dy_hat: Any) -> None:
        """Write the gradients of all parameters, ``=``, from that of the predictions of the last training pass.

        The incoming state is a constant: no gradient flows into the batch before (truncated back-propagation).
        """
        if self.skip is not None:
            self.skip.backward(dy_hat)
        d_head = self.head.backward(dy_hat)
        batch_size, steps = self._every_step or (d_head.shape[0], 1)
        d_outputs = self.dropout.backward(d_head.reshape(batch_size, steps, d_head.shape[1]))
        if self._every_step is not None:
            self.lstm.backward(d_outputs, input_grad=False)
            return
        dy = None
        d_last = d_outputs.reshape(d_head.shape)
        if self.attention is not None:
            dy, d_last = self.attention.backward(d_last, in_place=True)
        is_embedded = self.series is not None
        dx, _ = self.lstm.backward(dy, self._last_output_gradient(d_last), input_grad=is_embedded)
        if self.series is not None:
            d_vectors = self.ops.empty((dx.shape[0], self.series.embedding_size), self.dtype)
            self.ops.sum_over_steps(dx, d_vectors)
            self.series.backward(d_vectors)

    def backpropagate(self, batch: Batch, state: State | None, step: int) -> tuple[float, State]:
        """Write the gradients of one batch, ``=``; return its loss and the state after it, as `Trainable` has it."""
        every_step = batch.every_step
        y_hat, state = self.forward(
            batch.x, state if every_step else None, training=True, step=step, every_step=every_step,
            past=batch.past, series=batch.series,
        )  # fmt: skip
        gradient = self.ops.zeros(y_hat.shape, self.dtype)
        if batch.base is None:
            loss = self.ops.mse_loss(y_hat, batch.y, batch.weights, gradient)
        else:
            loss = self.ops.forecast_loss(
                LOSSES[self.loss], y_hat, batch.y, batch.weights, batch.base, batch.spread, gradient
            )
        self.backward(gradient)
        return loss, state

    def _last_output(self, h_n: Any) -> Any:
        """Return the layers' output at the end of each window, (batch, directions * hidden_size).

        That is the last layer's final hidden state, of both directions side by side; with residual connections the sum
        of all layers' hidden states, since every layer adds its own to what it read.
        """
        places = self._places_of_last_output()
        if len(places) == 1:
            return h_n[places[0]]
        directions = self.settings.directions
        hidden_size = self.settings.hidden_size
        last = self.ops.zeros((h_n.shape[1], directions * hidden_size), self.dtype)
        for place in places:
            column = place % directions * hidden_size
            copy_columns(self.ops, h_n[place], last, destination_column=column, accumulate=True)
        return last

    def _last_output_gradient(self, d_last: Any) -> State:
        """Return the gradient of the final state, from that of the last output."""
        directions = self.settings.directions
        hidden_size = self.settings.hidden_size
        shape = directions * self.settings.num_layers, d_last.shape[0], hidden_size
        dh_n = self.ops.zeros(shape, self.dtype)
        dc_n = self.ops.zeros(shape, self.dtype)
        for place in self._places_of_last_output():
            column = place % directions * hidden_size
            copy_columns(self.ops, d_last, dh_n[place], source_column=column, columns=hidden_size)
        return dh_n, dc_n

    def _places_of_last_output(self) -> range:
        """Return the positions, among all layers' and directions' states, of those that make the last output."""
        directions = self.settings.directions
        places = directions * self.settings.num_layers
        return range(0 if self.settings.residual_layers else places - directions, places)


def _make_layers(input_size: int, settings: NetworkSettings, generator: np.random.Generator) -> LSTM | Stack:
    sizes = input_size, settings.hidden_size, settings.num_layers, settings.bidirectional
    options: dict[str, Any] = {
        "dropout": settings.dropout,
        "recurrent_dropout": settings.recurrent_dropout,
        "input_dropout": settings.input_dropout,
        "weight_dropout": settings.weight_dropout,
        "dropout_kind": settings.dropout_kind,
        "dtype": settings.dtype,
        "backend": settings.backend,
        "seed": generator,
    }
    if settings.residual_layers or settings.layer_norm:
        return Stack(*sizes, residual=settings.residual_layers, layer_norm=settings.layer_norm, **options)
    return LSTM(*sizes, **options)

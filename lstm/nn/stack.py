"""`Stack`: LSTM layers with what makes deep stacks train, residual connections and layer normalisation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.lstm.nn.columns import copy_columns
from gatecast.lstm.nn.layer_norm import LayerNorm
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM, State

__all__ = ["Stack"]


class Stack:
    """LSTM layers; each may read its input normalised and add its output to what it read.

    ::

        y_0 = LSTM_0(x)
        y_l = LSTM_l(y_{l-1})                           plain
        y_l = y_{l-1} + LSTM_l(y_{l-1})                 residual (Wu et al. 2016, arXiv 1609.08144, §3.1)
        y_l = y_{l-1} + LSTM_l(LayerNorm_l(y_{l-1}))    both, the normalisation within the branch (Xiong et al. 2020,
                                                        arXiv 2002.04745), so that gradients bypass it unchanged

    Arguments, shapes and results are those of `gatecast.LSTM`; the parameters are called ``layers.0.weight_ih_l0``, ...
    and ``norms.0.weight``, ..., where ``norms.0`` comes before the second layer.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bidirectional, residual, layer_norm : bool
    dropout, input_dropout, **dropouts
        As in `gatecast.LSTM`; what a layer reads is dropped from within its branch.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool = False,
        *,
        residual: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
        **dropouts: Any,
    ):
        if num_layers < 2:
            raise ValueError(f"num_layers is {num_layers}; residual and layer_norm go between layers, at least 2")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.residual = residual
        self.dtype = dtype
        self._directions = 2 if bidirectional else 1
        self._ops: ModuleType = get_backend(backend)
        generator = np.random.default_rng(seed)
        width = self._directions * hidden_size
        where: dict[str, Any] = {"dtype": dtype, "backend": backend, "seed": generator}
        reads = [(input_size, input_dropout), *[(width, dropout)] * (num_layers - 1)]
        self.layers = [
            LSTM(size, hidden_size, 1, bidirectional, input_dropout=rate, **dropouts, **where) for size, rate in reads
        ]
        norms = num_layers - 1 if layer_norm else 0
        self.norms = [LayerNorm(width, dtype=dtype, backend=backend) for _ in range(norms)]
        self.parameters = Parameters.join(
            {f"layers.{number}": layer.parameters for number, layer in enumerate(self.layers)}
            | {f"norms.{number}": norm.parameters for number, norm in enumerate(self.norms)},
            self._ops,
        )
        self._lengths: Any = None
        self._whole_lengths: dict[tuple[int, int], Any] = {}

    def forward(
        self,
        x: Any,
        state: State | None = None,
        lengths: Any | None = None,
        training: bool = False,
        step: int | None = None,
        *,
        every_step: bool = True,
    ) -> tuple[Any, State]:
        """Run the layers over a batch of sequences; arguments and results as `gatecast.LSTM.forward`.

        The final hidden states are those of the LSTM layers themselves; with residual connections the last output is
        the sum of them all, since every layer adds its own.
        """
        batch_size, seq_len = x.shape[:2]
        self._lengths = self._whole(batch_size, seq_len) if lengths is None else self._ops.as_array(lengths, "int64")
        h_n, c_n = (self._ops.zeros(self._state_shape(batch_size), self.dtype) for _ in range(2))
        y = x
        for number, layer in enumerate(self.layers):
            is_wanted = every_step or number < self.num_layers - 1
            place = self._places(number)
            first = None if state is None else (state[0][place], state[1][place])
            output, last = layer.forward(
                self._normalised(number, y), first, lengths, training, step, every_step=is_wanted
            )
            self._copy_states(last, (h_n[place], c_n[place]))
            if self.residual and number and is_wanted:
                self._add(y, output)
            y = output
        return y, (h_n, c_n)

    def backward(self, dy: Any, dstate: State | None = None, input_grad: bool = True) -> tuple[Any, State]:
        """Back-propagate through time; arguments and results as `gatecast.LSTM.backward`."""
        batch_size = self._lengths.shape[0]
        dh_0, dc_0 = (self._ops.zeros(self._state_shape(batch_size), self.dtype) for _ in range(2))
        for number in reversed(range(self.num_layers)):
            place = self._places(number)
            last = None if dstate is None else (dstate[0][place], dstate[1][place])
            dx, d_first = self.layers[number].backward(dy, last, bool(number) or input_grad)
            self._copy_states(d_first, (dh_0[place], dc_0[place]))
            if self.norms and number:
                dx = self.norms[number - 1].backward(dx.reshape(-1, dx.shape[2])).reshape(dx.shape)
            if self.residual and number and dy is not None:
                self._add(self._ops.as_array(dy, self.dtype), dx)
            dy = dx
        return dy, (dh_0, dc_0)

    def release_memory(self) -> None:
        """Make new memory for the passes to come; as `LSTM.release_memory`."""
        for layer in self.layers:
            layer.release_memory()

    def _whole(self, batch_size: int, seq_len: int) -> Any:
        """Return the lengths of sequences that are not padded."""
        sizes = batch_size, seq_len
        if sizes not in self._whole_lengths:
            if len(self._whole_lengths) == 4:  # as many as LSTM has workspaces
                self._whole_lengths.clear()
            self._whole_lengths[sizes] = self._ops.as_array(np.full(batch_size, seq_len), "int64")
        return self._whole_lengths[sizes]

    def _copy_states(self, sources: State, destinations: State) -> None:
        for source, destination in zip(sources, destinations, strict=True):
            rows = source.shape[0] * source.shape[1], source.shape[2]
            copy_columns(self._ops, source.reshape(*rows), destination.reshape(*rows))

    def _normalised(self, number: int, y: Any) -> Any:
        if not self.norms or not number:
            return y
        return self.norms[number - 1].forward(y.reshape(-1, y.shape[2])).reshape(y.shape)

    def _add(self, source: Any, destination: Any) -> None:
        """``destination += source``, within the true lengths."""
        self._ops.copy_steps(source, 0, destination, 0, source.shape[2], self._lengths, False, True)

    def _places(self, layer: int) -> slice:
        return slice(layer * self._directions, (layer + 1) * self._directions)

    def _state_shape(self, batch_size: int) -> tuple[int, int, int]:
        return self.num_layers * self._directions, batch_size, self.hidden_size

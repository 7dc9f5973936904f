"""`LSTM`: layers, in one direction or both, over whole sequences."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels import get_backend
from gatecast.kernels.lookup import Lookup
from gatecast.kernels.masks import Mask
from gatecast.lstm.nn.biases import with_both_biases, with_one_bias
from gatecast.lstm.nn.directions import Directions
from gatecast.lstm.nn.dropout import NO_MASKS, DropoutKind, DropoutRates, LayerMasks
from gatecast.lstm.nn.initialisation import Initialisation, init_parameters
from gatecast.lstm.nn.kept_arrays import KeptArrays
from gatecast.lstm.nn.layers import checked_indices
from gatecast.lstm.nn.parameters import Parameters, require_dtype, require_size

__all__ = ["LSTM"]

State = tuple[Any, Any]
_NAMES = ("weight_ih", "weight_hh", "bias_ih")
_SUFFIXES = ("", "_reverse")  # of the names of the two directions, as in torch


class _Pass(NamedTuple):
    """What a forward pass keeps for the backward pass."""

    batch_size: int
    seq_len: int
    lookup: Lookup | None  # what was read, if it was one
    lengths: Any | None
    workspaces: list[Any]
    masks: list[LayerMasks]  # of each layer and direction


class LSTM:
    """Stacked LSTM layers (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000), batch first.

    One object serves one thread at a time, since it reuses its workspace; several objects run side by side.

    ::

        i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
        c_t = f * c_{t-1} + i * g               h_t = o * tanh(c_t)
        z = weight_ih @ x_t + weight_hh @ h_{t-1} + bias

    Shapes and names are those of ``torch.nn.LSTM(batch_first=True)``. One bias per gate is trained; under torch's two
    names it is stored in ``bias_ih``, with zeros in ``bias_hh``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
    bidirectional : bool
        A second LSTM in each layer reads the sequence from its end (Schuster & Paliwal 1997); `y` holds the hidden
        states of both, forward first, and the state has an entry for each layer and direction.
    dropout, recurrent_dropout, input_dropout, weight_dropout : float
        Shares of what is dropped in training: of the hidden states between layers (no effect on a single layer, as in
        torch), of h_{t-1} where it enters the gates, of `x`, and of the recurrent matrix; see `lstm.nn.dropout`.
    dropout_kind : {"variational", "per_step"}
        One mask for all steps of a sequence, or another at each step.
    initialisation : Initialisation, optional
        How the parameters are drawn; as in torch by default.
    dtype : {"float32", "float64"}
    precision : {"float32", "tf32"}
        "tf32" multiplies on the GPU's tensor cores, all but the recurrent products: their operands keep 10 bits behind
        the point, sums stay float32, and an output is off by about 1e-3 at most.
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        *,
        input_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        dropout_kind: DropoutKind = "variational",
        initialisation: Initialisation | None = None,
        dtype: str = "float32",
        precision: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            require_size(name, size)
        require_dtype(dtype)
        if precision not in ("float32", "tf32"):
            raise ValueError(f"precision is {precision!r}; choose float32 or tf32")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self._directions = 2 if bidirectional else 1
        self.dtype = dtype
        self._precision = precision
        self.training = False
        self.dropout_rates = DropoutRates(input_dropout, dropout, recurrent_dropout, weight_dropout, dropout_kind)
        self._ops: ModuleType = get_backend(backend)
        generator = np.random.default_rng(seed)
        self._mask_seed = int(generator.spawn(1)[0].integers(1 << 63))
        self._training_passes = 0
        self.parameters = Parameters(
            {
                f"{name}_l{layer}{suffix}": array
                for layer in range(num_layers)
                for suffix in _SUFFIXES[: self._directions]
                for name, array in init_parameters(
                    self._layer_input_size(layer), hidden_size, generator, dtype, initialisation
                ).items()
            },
            self._ops,
        )
        self._names = [
            [f"{name}_l{layer}{suffix}" for name in _NAMES]
            for layer in range(num_layers)
            for suffix in _SUFFIXES[: self._directions]
        ]
        self._workspaces: dict[tuple[int, int, bool, int], list[Any]] = {}
        self._kept = KeptArrays(self._ops, dtype)  # from layer to layer, which no caller sees
        self._ways = Directions(self._directions, hidden_size, self._ops, self._kept)
        self._versions: dict[tuple[int, int, bool, int], object] = {}  # of the parameters that each was last used with
        self._pass: _Pass | None = None

    def train(self) -> None:
        """Make ``training=True`` the default of `forward`."""
        self.training = True

    def eval(self) -> None:
        """Make ``training=False`` the default of `forward`."""
        self.training = False

    def forward(
        self,
        x: Any,
        state: State | None = None,
        lengths: Any | None = None,
        training: bool | None = None,
        step: int | None = None,
        *,
        every_step: bool = True,
    ) -> tuple[Any, State]:
        """Run the layers over a batch of sequences.

        Parameters
        ----------
        x : (batch, seq, input_size) array, or Lookup
            A `kernels.lookup.Lookup` takes the place of the first layer's `weight_ih` and `bias_ih`, see
            `lstm.nn.gate_table`; it serves one direction, without dropout on inputs, and its indices are in NumPy.
        state : (h_0, c_0), each (num_layers * directions, batch, hidden_size), optional
            State before the first step, zeros by default.
        lengths : (batch,) integers from 1 to seq, optional
            True lengths of sequences that are padded on the right: `x` beyond them is not read, `y` is zero there, the
            final state is that of the true end, and the reverse direction starts from it.
        training : bool, optional
            Drop out, and keep what `backward` needs; by default what `train` or `eval` has set.
        step : int, optional
            Number of the training step: the dropout masks are a function of the seed and of this number. By default
            the training passes are counted.
        every_step : bool
            False returns None for `y`, which saves writing it.

        Returns
        -------
        y : (batch, seq, directions * hidden_size) array
            Hidden states of the last layer at every step.
        (h_n, c_n) : (num_layers * directions, batch, hidden_size) arrays
            State after the last step.
        """
        training = self.training if training is None else training
        x = self._checked_lookup(x, training) if isinstance(x, Lookup) else self._checked(x)
        lookup = x if isinstance(x, Lookup) else None
        batch_size, seq_len = (x if lookup is None else lookup.indices).shape[:2]
        lengths = self._checked_lengths(lengths, batch_size, seq_len)
        h_0, c_0 = self._zero_state(batch_size) if state is None else self._checked_state(state, batch_size)
        h_n, c_n = self._empty_state(batch_size)
        vocabulary_size = 0 if lookup is None else lookup.table.shape[0]
        workspaces, weights_changed = self._workspaces_for(batch_size, seq_len, training, vocabulary_size)
        masks = self._draw_masks(step) if training else [NO_MASKS] * len(workspaces)
        self._pass = _Pass(batch_size, seq_len, lookup, lengths, workspaces, masks) if training else None
        y = x
        for layer in range(self.num_layers):
            is_wanted = every_step or layer < self.num_layers - 1
            outputs = []
            for place, inputs in zip(self._places(layer), self._ways.read(y, lengths), strict=True):
                output = self._output(place, batch_size, seq_len) if is_wanted else None
                self._ops.lstm_forward(
                    self._weights(place, masks[place].weight), inputs, h_0[place], c_0[place], workspaces[place],
                    output, h_n[place], c_n[place], training or weights_changed, lengths,
                    masks[place].input, masks[place].recurrent,
                )  # fmt: skip
                outputs.append(output)
            y = self._join(layer, outputs, lengths)
        return y, (h_n, c_n)

    def backward(self, dy: Any, dstate: State | None = None, input_grad: bool = True) -> tuple[Any, State]:
        """Back-propagate through time, once after each ``forward(training=True)``.

        Parameters
        ----------
        dy : (batch, seq, directions * hidden_size) array or None
            Gradient of `y`; None for zeros. Values beyond the true lengths are not read.
        dstate : (dh_n, dc_n), each (num_layers * directions, batch, hidden_size), optional
            Gradient of the final state, zeros by default.
        input_grad : bool
            False returns None for `dx` and saves its product.

        Returns
        -------
        dx : (batch, seq, input_size) array or None
            Where `x` was a `Lookup`, one with the gradient of its table.
        (dh_0, dc_0) : (num_layers * directions, batch, hidden_size) arrays

        The gradients of the parameters are written, ``=``, to `grads`; not those that a `Lookup` took the place of.
        """
        if self._pass is None:
            raise RuntimeError("backward needs a forward(training=True) before it, and each such pass serves once")
        batch_size, seq_len, lookup, lengths, workspaces, masks = self._pass
        output_shape = (batch_size, seq_len, self._directions * self.hidden_size)
        dy = None if dy is None else self._checked_gradient(dy, output_shape)
        dh_n, dc_n = self._zero_state(batch_size) if dstate is None else self._checked_state(dstate, batch_size)
        self._pass = None
        dh_0, dc_0 = self._empty_state(batch_size)
        for layer in reversed(range(self.num_layers)):
            input_gradients = []
            for place, d_output in zip(self._places(layer), self._ways.split(dy, lengths), strict=True):
                dx = self._input_gradient(place, batch_size, seq_len, lookup) if layer or input_grad else None
                gradients = self._gradients(place)
                self._ops.lstm_backward(
                    self._weights(place, masks[place].weight), d_output, dh_n[place], dc_n[place], workspaces[place],
                    gradients, dx, dh_0[place], dc_0[place], lengths, masks[place].input, masks[place].recurrent,
                )  # fmt: skip
                self._drop_weights(gradients.w_hh, gradients.w_hh, masks[place].weight)
                input_gradients.append(dx)
            dy = self._ways.add(input_gradients, lengths)
        return dy, (dh_0, dc_0)

    def release_memory(self) -> None:
        """Make new memory for the passes to come: that of earlier ones belongs to whoever has recorded them."""
        self._workspaces.clear()
        self._versions.clear()
        self._kept.clear()

    def last_gates(self, layer: int = 0) -> dict[str, np.ndarray]:
        """Return a layer's gates in the last ``forward(training=True)``, before its backward pass overwrites them.

        They are those of the forward direction; after the end of a sequence f is 1 and the others are 0.

        Returns
        -------
        dict
            "i", "f", "g" and "o", each (batch, seq, hidden_size).
        """
        if self._pass is None:
            raise RuntimeError("last_gates needs a forward(training=True) before it, and comes before its backward")
        gates = self._ops.lstm_gates(self._pass.workspaces[self._places(layer)[0]])
        return dict(zip("ifgo", np.split(gates, 4, axis=2), strict=True))

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients of the last backward pass under the names of `state_dict`; the bias's is under both names."""
        return with_both_biases(self.parameters.gradients_to_host(), np.copy)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy the parameters, under torch's names and shapes."""
        return with_both_biases(self.parameters.to_host(), np.zeros_like)

    def load_state_dict(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters under torch's names; the two biases are added.

        Raises
        ------
        ValueError
            When a name or a shape does not match; nothing has been changed then.
        """
        self.parameters.load(with_one_bias(arrays))

    def _layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self._directions * self.hidden_size

    def _places(self, layer: int) -> range:
        """Return the positions of a layer's directions among the states, workspaces and names."""
        return range(layer * self._directions, (layer + 1) * self._directions)

    def _draw_masks(self, step: int | None) -> list[LayerMasks]:
        if step is None:
            step = self._training_passes
            self._training_passes += 1
        return [
            self.dropout_rates.masks(layer, place, self._mask_seed, step)
            for layer in range(self.num_layers)
            for place in self._places(layer)
        ]

    def _weights(self, place: int, mask: Mask) -> Any:
        weights = self._ops.LSTMWeights(*[self.parameters[name] for name in self._names[place]])
        if not mask.threshold:
            return weights
        dropped = self._kept.get(f"recurrent weights {place}", *weights.w_hh.shape)
        self._drop_weights(weights.w_hh, dropped, mask)
        return weights._replace(w_hh=dropped)

    def _drop_weights(self, source: Any, destination: Any, mask: Mask) -> None:
        if mask.threshold:
            rows, columns = source.shape
            self._ops.dropout(source.reshape(rows, 1, columns), destination.reshape(rows, 1, columns), mask)

    def _gradients(self, place: int) -> Any:
        return self._ops.LSTMWeights(*[self.parameters.gradient(name) for name in self._names[place]])

    def _output(self, place: int, batch_size: int, seq_len: int) -> Any:
        shape = batch_size, seq_len, self.hidden_size
        is_returned = place == self.num_layers - 1 and not self.bidirectional
        return self._empty(*shape) if is_returned else self._kept.get(f"output {place}", *shape)

    def _input_gradient(self, place: int, batch_size: int, seq_len: int, lookup: Lookup | None) -> Any:
        if place == 0 and lookup is not None:
            return Lookup(self._empty(*lookup.table.shape), lookup.indices)
        shape = batch_size, seq_len, self._layer_input_size(place // self._directions)
        return self._empty(*shape) if place == 0 else self._kept.get(f"input gradient {place}", *shape)

    def _join(self, layer: int, outputs: list[Any], lengths: Any | None) -> Any:
        is_returned = layer == self.num_layers - 1
        return self._ways.join(
            outputs, self._empty if is_returned else partial(self._kept.get, f"outputs {layer}"), lengths
        )

    def _workspaces_for(
        self, batch_size: int, seq_len: int, training: bool, vocabulary_size: int
    ) -> tuple[list[Any], bool]:
        """Return the layers' workspaces, and whether the parameters have changed since these were last used."""
        sizes = (batch_size, seq_len, training, vocabulary_size)
        version = self.parameters.version
        if sizes not in self._workspaces:
            # An epoch has batches of one size and a last, smaller one, and so has a validation; more sizes than that
            # are not worth their memory, which is reused for the next size.
            former: list[Any] | None = None
            if len(self._workspaces) == 4:
                oldest = next(iter(self._workspaces))
                former = self._workspaces.pop(oldest)
                self._versions.pop(oldest)
                self._kept.clear()
            self._workspaces[sizes] = [
                self._ops.lstm_workspace(
                    batch_size,
                    seq_len,
                    self._layer_input_size(layer),
                    self.hidden_size,
                    self.dtype,
                    training,
                    self._precision,
                    0 if layer else vocabulary_size,
                    None if former is None else former[place],
                )
                for layer in range(self.num_layers)
                for place in self._places(layer)
            ]
        weights_changed = self._versions.get(sizes) is not version
        self._versions[sizes] = version
        return self._workspaces[sizes], weights_changed

    def _empty(self, *shape: int) -> Any:
        return self._ops.empty(shape, self.dtype)

    def _empty_state(self, batch_size: int) -> State:
        shape = (self.num_layers * self._directions, batch_size, self.hidden_size)
        return self._empty(*shape), self._empty(*shape)

    def _zero_state(self, batch_size: int) -> State:
        shape = (self.num_layers * self._directions, batch_size, self.hidden_size)
        return self._ops.zeros(shape, self.dtype), self._ops.zeros(shape, self.dtype)

    def _checked(self, x: Any) -> Any:
        x = self._ops.as_array(x, self.dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size or 0 in x.shape:
            raise ValueError(f"x has shape {x.shape}; it must be (batch, seq, {self.input_size}), none of them 0")
        return x

    def _checked_lookup(self, lookup: Lookup, training: bool) -> Lookup:
        if self.bidirectional or (training and self.dropout_rates.input):
            raise ValueError("inputs are looked up in one direction and without dropout on inputs; give x itself")
        table = self._ops.as_array(lookup.table, self.dtype)
        width = 4 * self.hidden_size
        shape = np.shape(lookup.indices)
        if table.ndim != 2 or table.shape[1] != width or len(shape) != 2 or 0 in (*table.shape, *shape):
            raise ValueError(
                f"table and indices have shapes {table.shape} and {shape}; they must be (vocabulary, {width}) and "
                "(batch, seq), none of them 0"
            )
        return Lookup(table, self._ops.as_array(checked_indices(lookup.indices, table.shape[0]), "int64"))

    def _checked_lengths(self, lengths: Any | None, batch_size: int, seq_len: int) -> Any | None:
        if lengths is None:
            return None
        host = np.asarray(lengths)
        if host.shape != (batch_size,) or host.dtype.kind not in "iu":
            raise ValueError(f"lengths has shape {host.shape} and dtype {host.dtype}; it must be {batch_size} integers")
        if host.min() < 1 or host.max() > seq_len:
            raise ValueError(f"lengths run from {host.min()} to {host.max()}; they must lie between 1 and {seq_len}")
        return self._ops.as_array(host, "int64")

    def _checked_gradient(self, dy: Any, shape: tuple[int, ...]) -> Any:
        dy = self._ops.as_array(dy, self.dtype)
        if dy.shape != shape:
            raise ValueError(f"dy has shape {dy.shape}; it must be {shape}")
        return dy

    def _checked_state(self, state: State, batch_size: int) -> State:
        shape = (self.num_layers * self._directions, batch_size, self.hidden_size)
        for name, array in zip(("h", "c"), state, strict=True):
            if array.shape != shape:
                raise ValueError(f"state {name} has shape {array.shape}; it must be {shape}")
        h, c = state
        return self._ops.as_array(h, self.dtype), self._ops.as_array(c, self.dtype)

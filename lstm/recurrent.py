"""LSTM layers: `LSTM` over whole sequences, `LSTMCell` for a single step."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from kernels import get_backend
from lstm.initialisation import init_parameters
from lstm.parameters import Parameters

__all__ = ["LSTM", "LSTMCell", "with_both_biases", "with_one_bias"]

State = tuple[Any, Any]
_NAMES = ("weight_ih", "weight_hh", "bias_ih")


class _Pass(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    shape: tuple[int, int, int]  # B, T, I
    workspaces: list[Any]


class LSTM:
    """Stacked LSTM layers (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000), batch first.

    One object serves one thread at a time, since it reuses its workspace; several objects run side by side.

    ::

        i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
        c_t = f * c_{t-1} + i * g               h_t = o * tanh(c_t)
        z = weight_ih @ x_t + weight_hh @ h_{t-1} + bias

    Shapes and names are those of ``torch.nn.LSTM(batch_first=True)``. One bias per gate is trained; under torch's two
    names it stands in ``bias_ih``, with zeros in ``bias_hh``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {dtype!r}; choose float32 or float64")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.dtype, self.training = dtype, False
        self._ops: ModuleType = get_backend(backend)
        generator = np.random.default_rng(seed)
        self.parameters = Parameters(
            {
                f"{name}_l{layer}": array
                for layer in range(num_layers)
                for name, array in init_parameters(self._layer_input_size(layer), hidden_size, generator, dtype).items()
            },
            self._ops,
        )
        self._names = [[f"{name}_l{layer}" for name in _NAMES] for layer in range(num_layers)]
        self._workspaces: dict[tuple[int, int], list[Any]] = {}
        self._versions: dict[tuple[int, int], object] = {}  # of the parameters that each workspace was last used with
        self._pass: _Pass | None = None

    def train(self) -> None:
        """Make ``training=True`` the default of `forward`."""
        self.training = True

    def eval(self) -> None:
        """Make ``training=False`` the default of `forward`."""
        self.training = False

    def forward(
        self, x: Any, state: State | None = None, training: bool | None = None, *, every_step: bool = True
    ) -> tuple[Any, State]:
        """Run the layers over a batch of sequences.

        Parameters
        ----------
        x : (batch, seq, input_size) array
        state : (h_0, c_0), each (num_layers, batch, hidden_size), optional
            State before the first step, zeros by default.
        training : bool, optional
            Keep what `backward` needs; by default what `train` or `eval` has set.
        every_step : bool
            False returns None for `y`, which saves writing it.

        Returns
        -------
        y : (batch, seq, hidden_size) array
            Hidden state of the last layer at every step.
        (h_n, c_n) : (num_layers, batch, hidden_size) arrays
            State after the last step.
        """
        x = self._checked(x)
        batch_size, seq_len, _ = x.shape
        h_0, c_0 = self._zero_state(batch_size) if state is None else self._checked_state(state, batch_size)
        h_n, c_n = self._zero_state(batch_size)
        training = self.training if training is None else training
        workspaces, weights_changed = self._workspaces_for(batch_size, seq_len)
        self._pass = _Pass(x.shape, workspaces) if training else None
        y = x
        for layer, workspace in enumerate(workspaces):
            is_last = layer == self.num_layers - 1
            inputs = y
            y = self._empty(batch_size, seq_len, self.hidden_size) if every_step or not is_last else None
            self._ops.lstm_forward(
                self._weights(layer), inputs, h_0[layer], c_0[layer], workspace, y, h_n[layer], c_n[layer],
                training or weights_changed,
            )  # fmt: skip
        return y, (h_n, c_n)

    def backward(self, dy: Any, dstate: State | None = None, input_grad: bool = True) -> tuple[Any, State]:
        """Back-propagate through time, once after each ``forward(training=True)``.

        Parameters
        ----------
        dy : (batch, seq, hidden_size) array or None
            Gradient of `y`; None for zeros.
        dstate : (dh_n, dc_n), each (num_layers, batch, hidden_size), optional
            Gradient of the final state, zeros by default.
        input_grad : bool
            False returns None for `dx` and saves its product.

        Returns
        -------
        dx : (batch, seq, input_size) array or None
        (dh_0, dc_0) : (num_layers, batch, hidden_size) arrays

        The gradients of the parameters are written, ``=``, to `grads`.
        """
        if self._pass is None:
            raise RuntimeError("backward needs a forward(training=True) before it, and each such pass serves once")
        (batch_size, seq_len, _), workspaces = self._pass
        dy = None if dy is None else self._checked_gradient(dy, (batch_size, seq_len, self.hidden_size))
        dh_n, dc_n = self._zero_state(batch_size) if dstate is None else self._checked_state(dstate, batch_size)
        self._pass = None
        dh_0, dc_0 = self._zero_state(batch_size)
        for layer in reversed(range(self.num_layers)):
            dx = self._empty(batch_size, seq_len, self._layer_input_size(layer)) if layer or input_grad else None
            self._ops.lstm_backward(
                self._weights(layer), dy, dh_n[layer], dc_n[layer], workspaces[layer],
                self._gradients(layer), dx, dh_0[layer], dc_0[layer],
            )  # fmt: skip
            dy = dx
        return dy, (dh_0, dc_0)

    def last_gates(self, layer: int = 0) -> dict[str, np.ndarray]:
        """Return the gates of the last ``forward(training=True)``, before its backward pass overwrites them.

        Returns
        -------
        dict
            "i", "f", "g" and "o", each (batch, seq, hidden_size).
        """
        if self._pass is None:
            raise RuntimeError("last_gates needs a forward(training=True) before it, and comes before its backward")
        gates = self._ops.lstm_gates(self._pass.workspaces[layer])
        return dict(zip("ifgo", np.split(gates, 4, axis=2), strict=True))

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients of the last backward pass under the names of `state_dict`; the bias's stands under both names."""
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
        return self.input_size if layer == 0 else self.hidden_size

    def _weights(self, layer: int) -> Any:
        return self._ops.LSTMWeights(*[self.parameters[name] for name in self._names[layer]])

    def _gradients(self, layer: int) -> Any:
        return self._ops.LSTMWeights(*[self.parameters.gradient(name) for name in self._names[layer]])

    def _workspaces_for(self, batch_size: int, seq_len: int) -> tuple[list[Any], bool]:
        """Return the layers' workspaces, and whether the parameters have changed since these were last used."""
        sizes, version = (batch_size, seq_len), self.parameters.version
        if sizes not in self._workspaces:
            # An epoch has batches of one size and a last, smaller one; more sizes than that are not worth their memory.
            if len(self._workspaces) == 2:
                self._workspaces.clear()
            self._workspaces[sizes] = [
                self._ops.lstm_workspace(*sizes, self._layer_input_size(layer), self.hidden_size, self.dtype)
                for layer in range(self.num_layers)
            ]
            self._versions.pop(sizes, None)
        weights_changed = self._versions.get(sizes) is not version
        self._versions[sizes] = version
        return self._workspaces[sizes], weights_changed

    def _empty(self, *shape: int) -> Any:
        return self._ops.zeros(shape, self.dtype)

    def _zero_state(self, batch_size: int) -> State:
        shape = (self.num_layers, batch_size, self.hidden_size)
        return self._empty(*shape), self._empty(*shape)

    def _checked(self, x: Any) -> Any:
        x = self._ops.as_array(x, self.dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size or 0 in x.shape:
            raise ValueError(f"x has shape {x.shape}; it must be (batch, seq, {self.input_size}), none of them 0")
        return x

    def _checked_gradient(self, dy: Any, shape: tuple[int, ...]) -> Any:
        dy = self._ops.as_array(dy, self.dtype)
        if dy.shape != shape:
            raise ValueError(f"dy has shape {dy.shape}; it must be {shape}")
        return dy

    def _checked_state(self, state: State, batch_size: int) -> State:
        shape = (self.num_layers, batch_size, self.hidden_size)
        for name, array in zip(("h", "c"), state, strict=True):
            if array.shape != shape:
                raise ValueError(f"state {name} has shape {array.shape}; it must be {shape}")
        h, c = state
        return self._ops.as_array(h, self.dtype), self._ops.as_array(c, self.dtype)


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


def with_both_biases(arrays: dict[str, np.ndarray], make_other: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
    """Add torch's second bias, made from the one that is trained."""
    both = {}
    for name, array in arrays.items():
        both[name] = array
        if "bias_ih" in name:
            both[name.replace("bias_ih", "bias_hh")] = make_other(array)
    return both


def with_one_bias(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add torch's second bias to the one that is trained."""
    one = {name: array for name, array in arrays.items() if "bias_hh" not in name}
    for name, array in arrays.items():
        if "bias_hh" in name:
            partner = name.replace("bias_hh", "bias_ih")
            if partner not in arrays:
                raise ValueError(f"parameters do not match: {name} without {partner}")
            if arrays[partner].shape != array.shape:
                raise ValueError(f"{name} has shape {array.shape}, but {partner} has {arrays[partner].shape}")
            one[partner] = arrays[partner] + array
    return one

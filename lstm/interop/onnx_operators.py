"""The operators of a network in an ONNX graph.

ONNX orders the gates i, o, f, c, which are our i, o, f, g; it is time-major, and keeps directions on an axis of their
own. Its two biases are ours and zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.nn.stack import Stack

__all__ = ["Operators", "add_combined", "add_networks", "import_onnx"]


class Operators:
    """Operators and constants of a graph, added one after another; methods take and return names of values."""

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add_node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add an operator."""
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **attributes))

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.add_node(operator, inputs, [output], **attributes)
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant."""
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of integers: a shape, or axes."""
        return self.constant(f"integers_{len(self.constants)}", np.array(values, np.int64))

    def median(self, *values: str, output: str | None = None) -> str:
        """Add the median of values of one shape, element by element."""
        count = len(values)
        stack = self.add("Concat", *(self.add("Unsqueeze", value, self.integers(0)) for value in values), axis=0)
        ordered = f"ordered_{len(self.nodes)}"
        self.add_node("TopK", [stack, self.integers(count)], [ordered, f"{ordered}_places"], axis=0)
        middle = self.add("Gather", ordered, self.integers((count - 1) // 2, count // 2), axis=0)
        return self.add("ReduceMean", middle, axes=[0], keepdims=0, output=output)


def add_networks(
    operators: Operators,
    networks: Sequence[Network],
    x: str,
    past: str = "",
    series: str = "",
    output: str | None = None,
) -> list[str]:
    """Add networks; return the names of their forecasts, each (batch, horizon).

    Their attention, if they have one, is the value ``attention``: the mean of several.

    Parameters
    ----------
    operators : Operators
    networks : sequence of Network
    x, past : str
        Of (batch, seq, input) and, for a linear skip, (batch, seq).
    series : str
        Of (batch,), the numbers of the series, for networks that have learnt vectors of them.
    output : str, optional
        Name of the forecasts of a single network.
    """
    if len(networks) == 1:
        return [_NetworkOperators(operators, networks[0]).add_all(x, past, series, output, "attention")[0]]
    of_members = [
        _NetworkOperators(operators, network, f"members.{number}.").add_all(x, past, series)
        for number, network in enumerate(networks)
    ]
    forecasts, attentions = zip(*of_members, strict=True)
    if networks[0].attention is not None:
        operators.add("Mean", *attentions, output="attention")
    return list(forecasts)


def add_combined(operators: Operators, forecasts: Sequence[str], combine: str, output: str | None = None) -> str:
    """Add what makes one forecast of several: their mean or median; a single one is taken as it is."""
    if len(forecasts) == 1:
        return operators.add("Identity", *forecasts, output=output)
    if combine == "median":
        return operators.median(*forecasts, output=output)
    return operators.add("Mean", *forecasts, output=output)


class _NetworkOperators:
    """Adds the operators of one network, the names of whose constants begin with a prefix."""

    def __init__(self, operators: Operators, network: Network, prefix: str = ""):
        self._operators = operators
        self._add = operators.add
        self._integers = operators.integers
        self._network = network
        self._prefix = prefix
        self._arrays = {name: array.astype("float32") for name, array in network.parameters.to_host().items()}
        self._directions = network.settings.directions
        self._hidden_size = network.settings.hidden_size

    def _constant(self, name: str, array: np.ndarray) -> str:
        return self._operators.constant(self._prefix + name, array)

    def add_all(
        self, x: str, past: str, series: str, output: str | None = None, attention: str | None = None
    ) -> tuple[str, str]:
        """Add the whole network, from (batch, seq, input) to forecasts (batch, horizon) and the attention's weights."""
        if self._network.series is not None:
            x = self._with_vectors(x, series)
        y, last = self._layers(x)
        weights = ""
        if self._network.attention is not None:
            last, weights = self._attention(y, last, attention)
        if self._network.skip is None:
            return self._linear("head", last, output=output), weights
        return self._add("Add", self._linear("head", last), self._linear("skip", past), output=output), weights

    def _with_vectors(self, x: str, series: str) -> str:
        """Add the vectors of the series to the columns of every step."""
        table = self._constant("series.weight", self._arrays["series.weight"])
        vectors = self._add("Unsqueeze", self._add("Gather", table, series, axis=0), self._integers(1))
        steps = self._add("Slice", self._add("Shape", x), self._integers(1), self._integers(2))
        return self._add(
            "Concat",
            x,
            self._add("Tile", vectors, self._add("Concat", self._integers(1), steps, self._integers(1), axis=0)),
            axis=2,
        )

    def _layers(self, x: str) -> tuple[str, str]:
        """Add the LSTM layers: outputs of every step (seq, batch, D), and the last output (batch, D)."""
        layers = self._network.lstm
        y = self._add("Transpose", x, perm=[1, 0, 2])
        last = ""
        for number in range(layers.num_layers):
            inputs = y
            prefix = "lstm."
            suffix = f"_l{number}"
            if isinstance(layers, Stack):
                prefix = f"lstm.layers.{number}."
                suffix = "_l0"
                inputs = self._normalised(number, y)
            output, final = self._lstm(number, prefix, suffix, inputs)
            is_added = number > 0 and self._network.settings.residual_layers
            y = self._add("Add", y, output) if is_added else output
            last = self._add("Add", last, final) if is_added else final
        return y, last

    def _normalised(self, number: int, y: str) -> str:
        if not self._network.settings.layer_norm or number == 0:
            return y
        names = [f"lstm.norms.{number - 1}.{name}" for name in ("weight", "bias")]
        scale, shift = (self._constant(name, self._arrays[name]) for name in names)
        assert isinstance(self._network.lstm, Stack)
        epsilon = self._network.lstm.norms[number - 1].epsilon
        return self._add("LayerNormalization", y, scale, shift, axis=-1, epsilon=epsilon)

    def _lstm(self, number: int, prefix: str, suffix: str, x: str) -> tuple[str, str]:
        """Add one layer; return its outputs (seq, batch, D) and its final hidden state (batch, D)."""
        ends = ("", "_reverse")[: self._directions]
        of_directions = {
            name: np.stack([_onnx_gates(self._arrays[f"{prefix}{name}{suffix}{end}"]) for end in ends])
            for name in ("weight_ih", "weight_hh", "bias_ih")
        }
        bias = np.concatenate([of_directions["bias_ih"], np.zeros_like(of_directions["bias_ih"])], axis=1)
        constants = {"W": of_directions["weight_ih"], "R": of_directions["weight_hh"], "B": bias}
        weights = [self._constant(f"{prefix}{name}{suffix}", array) for name, array in constants.items()]
        outputs = [f"{self._prefix}Y_{number}", f"{self._prefix}Y_h_{number}"]
        direction = "bidirectional" if self._directions == 2 else "forward"
        self._operators.add_node("LSTM", [x, *weights], outputs, hidden_size=self._hidden_size, direction=direction)
        y = self._add("Transpose", outputs[0], perm=[0, 2, 1, 3])
        final = self._add("Transpose", outputs[1], perm=[1, 0, 2])
        return self._add("Reshape", y, self._integers(0, 0, -1)), self._add("Reshape", final, self._integers(0, -1))

    def _attention(self, y: str, query: str, name: str | None) -> tuple[str, str]:
        """Add the attention over `y` (seq, batch, D); return the context with the query, and its weights."""
        attention = self._network.attention
        assert attention is not None
        y = self._add("Transpose", y, perm=[1, 0, 2])
        parts = self._add("Reshape", y, self._integers(0, 0, attention.heads, attention.size // attention.heads))
        values = self._add("Transpose", parts, perm=[0, 2, 1, 3])  # (batch, heads, seq, features of a head)
        if attention.score == "additive":
            scores = self._additive_scores(y, query, attention.heads)
        else:
            scores = self._product_scores(values, query, attention.heads)
        weights = self._add("Softmax", scores, axis=2, output=name)
        rows = self._add("Unsqueeze", weights, self._integers(2))
        context = self._add("Reshape", self._add("MatMul", rows, values), self._integers(0, -1))
        joined = self._add("Concat", context, query, axis=1)
        return self._add("Tanh", self._linear("attention.projection", joined)), weights

    def _product_scores(self, values: str, query: str, heads: int) -> str:
        if "attention.query.weight" in self._arrays:
            query = self._product("attention.query", query)
        columns = self._add("Reshape", query, self._integers(0, heads, -1, 1))
        return self._add("Squeeze", self._add("MatMul", values, columns), self._integers(3))

    def _additive_scores(self, y: str, query: str, heads: int) -> str:
        query = self._add("Unsqueeze", self._product("attention.query", query), self._integers(1))
        hidden = self._add("Tanh", self._add("Add", self._product("attention.key", y), query))
        v = self._constant("attention.score.weight", self._arrays["attention.score.weight"])
        terms = self._add("Reshape", self._add("Mul", hidden, v), self._integers(0, 0, heads, -1))
        scores = self._add("ReduceSum", terms, self._integers(3), keepdims=0)
        return self._add("Transpose", scores, perm=[0, 2, 1])

    def _product(self, layer: str, x: str) -> str:
        name = f"{layer}.weight"
        return self._add("MatMul", x, self._constant(f"{name}.T", self._arrays[name].T))

    def _linear(self, layer: str, x: str, output: str | None = None) -> str:
        """Add a linear layer over rows."""
        names = [f"{layer}.weight", f"{layer}.bias"]
        weight, bias = (self._constant(name, self._arrays[name]) for name in names)
        return self._add("Gemm", x, weight, bias, transB=1, output=output)


def _onnx_gates(array: np.ndarray) -> np.ndarray:
    """From our order of the gates, i f g o, to ONNX's, i o f c."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def import_onnx() -> Any:
    """Return the package onnx.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise InputError("ONNX files need the package onnx; run: pip install 'gatecast[onnx]'.") from error
    return onnx

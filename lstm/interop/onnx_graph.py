"""A network as an ONNX graph of standard operators, and LSTM operators read back.

ONNX orders the gates i, o, f, c, which are our i, o, f, g; it is time-major, and keeps directions on an axis of their
own. Its two biases are ours and zeros.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.kernels.window_scaling import LAST, MEAN, STANDARD, WindowScaling
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.nn.stack import Stack

if TYPE_CHECKING:
    from onnx import ModelProto

    from gatecast.lstm.forecasting.forecaster import Forecaster

__all__ = ["forecaster_graph", "network_graph", "read_model", "state_dict_of"]

# The first version with LayerNormalization, and the oldest file format that has it: old runtimes can read it.
_OPSET = 17
_IR_VERSION = 8
_NOT_OURS = ("activation_alpha", "activation_beta", "clip", "input_forget")
_DEFAULT_ACTIVATIONS = [b"Sigmoid", b"Tanh", b"Tanh"]


def forecaster_graph(model: Forecaster) -> ModelProto:
    """Return a fitted forecaster as an ONNX model with its scalers and names as metadata; see `interop.save_onnx`."""
    settings = model.chosen
    length: int | str = "seq" if settings.stateful else settings.window
    if model.scaling is None:
        graph = network_graph(model.network, len(model.columns), length, settings.horizon)
        text = (
            "x holds the columns of the metadata, y first, each scaled as (value - center) / scale with its series'"
            " entry in scalers; y_hat * scale[0] + center[0] is the forecast in y's unit."
        )
    else:
        graph = _raw_graph(model, model.scaling)
        text = (
            "x holds the columns of the metadata, y first, as they are and without gaps; series the number of each"
            " window's series among the scalers. y_hat is the forecast in y's unit."
        )
    metadata = {
        "kind": model.kind,
        "columns": list(model.columns),
        "scalers": {unique_id: scaler.to_dict() for unique_id, scaler in model.scalers.items()},
        "lookback": settings.window,
        "horizon": settings.horizon,
        "settings": settings.model_dump(mode="json"),
        "data_hash": model.data_hash,
    }
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key = key
        entry.value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    graph.doc_string = f"A Gatecast forecaster. {text}"
    return graph


def network_graph(network: Network, input_size: int, seq_len: int | str, output_size: int) -> ModelProto:
    """Return a network as a checked ONNX model: from ``x`` (batch, seq, input) to ``y_hat``, and to ``attention``.

    Parameters
    ----------
    network : Network
        float64 parameters are written as float32; without a linear skip.
    input_size, output_size : int
    seq_len : int or str
        Length of the windows; a name if it may vary.
    """
    builder = _Builder(_import_onnx(), network)
    builder.network("x", "y_hat")
    return _model(builder, [("x", "FLOAT", ["batch", seq_len, input_size])], seq_len, output_size)


def _raw_graph(model: Forecaster, scaling: WindowScaling) -> ModelProto:
    """Return a forecaster as an ONNX model that scales ``x`` (batch, lookback, columns) itself."""
    builder = _Builder(_import_onnx(), model.network)
    settings = model.chosen
    scalers = list(model.scalers.values())
    tables = {
        "series_center": np.array([scaler.center for scaler in scalers]),
        "series_scale": np.array([scaler.scale for scaler in scalers]),
        # Of a series that was constant in training, the forecast is that constant.
        "forecast_scale": np.array([[0.0 if scaler.is_constant else scaler.scale[0]] for scaler in scalers]),
        "forecast_center": np.array([[scaler.center[0]] for scaler in scalers]),
    }
    of_series = {
        name: builder.add("Gather", builder.constant(name, table.astype("float32")), "series", axis=0)
        for name, table in tables.items()
    }
    columns = [builder.add("Unsqueeze", of_series[name], builder.integers(1)) for name in list(tables)[:2]]
    values = builder.add("Div", builder.add("Sub", "x", columns[0]), columns[1])
    windows = _ScaledWindow(builder, values, scaling, settings.window, settings.horizon)
    y_hat = builder.network(windows.x, past=windows.past)
    forecast = builder.add("Add", windows.base, builder.add("Mul", y_hat, windows.spread))
    scaled = builder.add("Mul", forecast, of_series["forecast_scale"])
    builder.add("Add", scaled, of_series["forecast_center"], output="y_hat")
    inputs: list[tuple[str, str, list[Any]]] = [
        ("x", "FLOAT", ["batch", settings.window, len(model.columns)]),
        ("series", "INT64", ["batch"]),
    ]
    return _model(builder, inputs, settings.window, settings.horizon)


class _ScaledWindow:
    """What `kernels.cpu.gather.scale_windows` does with a window without gaps, as operators; names of values.

    Attributes
    ----------
    x : (batch, seq, columns [+ 1])
    past : (batch, seq)
    base : (batch, horizon)
    spread : (batch, 1)
    """

    def __init__(self, builder: _Builder, values: str, scaling: WindowScaling, lookback: int, horizon: int):
        self._builder = builder
        add, floor = builder.add, builder.constant("floor", np.array([scaling.floor], "float32"))
        last = add("Gather", values, builder.integers(lookback - 1), axis=1)
        nothing = add("Sub", last, last)
        center, spread = nothing, add("Exp", nothing)
        if scaling.kind == LAST:
            center = last
        elif scaling.kind == MEAN:
            spread = add("Max", add("ReduceMean", add("Abs", values), axes=[1]), floor)
        elif scaling.kind == STANDARD:
            center = add("ReduceMean", values, axes=[1])
            apart = add("Sub", values, center)
            variance = add("ReduceMean", add("Mul", apart, apart), axes=[1])
            spread = add("Max", add("Sqrt", variance), floor)
        scaled = add("Div", add("Sub", values, center), spread)
        y = self._first(scaled)
        present = add("Sub", y, y)
        self.x = add("Concat", scaled, present, axis=2) if scaling.indicator else scaled
        share = builder.constant("share", np.array([1 / np.sqrt(lookback)], "float32"))
        self.past = add("Mul", add("Squeeze", y, builder.integers(2)), share)
        self.spread = add("Squeeze", self._first(spread), builder.integers(2))
        steps = np.arange(horizon)
        if scaling.season:
            rows = builder.integers(*(lookback - scaling.season + steps % scaling.season).tolist())
            base = add("Gather", self._first(values), rows, axis=1)
        else:
            base = add("Gather", self._first(center), builder.integers(*[0] * horizon), axis=1)
        self.base = add("Squeeze", base, builder.integers(2))

    def _first(self, values: str) -> str:
        """Return column 0 of (batch, seq, columns), as (batch, seq, 1)."""
        return self._builder.add("Gather", values, self._builder.integers(0), axis=2)


def _model(
    builder: _Builder, inputs: list[tuple[str, str, list[Any]]], seq_len: int | str, output_size: int
) -> ModelProto:
    """Return the operators as a checked model."""
    onnx = _import_onnx()

    def info(name: str, kind: str, shape: list[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)

    outputs = [info("y_hat", "FLOAT", ["batch", output_size])]
    attention = builder.attention_heads
    if attention:
        outputs.append(info("attention", "FLOAT", ["batch", attention, seq_len]))
    given = [info(*of_input) for of_input in inputs]
    graph = onnx.helper.make_graph(builder.nodes, "gatecast", given, outputs, builder.constants)
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="gatecast")
    onnx.checker.check_model(model, full_check=True)
    return model


class _Builder:
    """Adds the operators of a network one after another; methods take and return names of values."""

    def __init__(self, onnx: Any, network: Network):
        self._onnx = onnx
        self._network = network
        self._arrays = {name: array.astype("float32") for name, array in network.parameters.to_host().items()}
        self._directions = network.settings.directions
        self._hidden_size = network.settings.hidden_size
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant."""
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of integers: a shape, or axes."""
        return self.constant(f"integers_{len(self.constants)}", np.array(values, np.int64))

    @property
    def attention_heads(self) -> int:
        """Of the network's attention; 0 where it has none."""
        return 0 if self._network.attention is None else self._network.attention.heads

    def network(self, x: str, output: str | None = None, past: str = "") -> str:
        """Add the whole network from ``x`` (batch, seq, input) and ``past`` (batch, seq) to (batch, horizon)."""
        y, last = self.layers(x)
        if self._network.attention is not None:
            last = self.attention(y, last)
        if self._network.skip is None:
            return self.linear("head", last, output=output)
        return self.add("Add", self.linear("head", last), self.linear("skip", past), output=output)

    def layers(self, x: str) -> tuple[str, str]:
        """Add the LSTM layers: outputs of every step (seq, batch, D), and the last output (batch, D)."""
        layers = self._network.lstm
        y = self.add("Transpose", x, perm=[1, 0, 2])
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
            y = self.add("Add", y, output) if is_added else output
            last = self.add("Add", last, final) if is_added else final
        return y, last

    def _normalised(self, number: int, y: str) -> str:
        if not self._network.settings.layer_norm or number == 0:
            return y
        names = [f"lstm.norms.{number - 1}.{name}" for name in ("weight", "bias")]
        scale, shift = (self.constant(name, self._arrays[name]) for name in names)
        assert isinstance(self._network.lstm, Stack)
        epsilon = self._network.lstm.norms[number - 1].epsilon
        return self.add("LayerNormalization", y, scale, shift, axis=-1, epsilon=epsilon)

    def _lstm(self, number: int, prefix: str, suffix: str, x: str) -> tuple[str, str]:
        """Add one layer; return its outputs (seq, batch, D) and its final hidden state (batch, D)."""
        ends = ("", "_reverse")[: self._directions]
        of_directions = {
            name: np.stack([_onnx_gates(self._arrays[f"{prefix}{name}{suffix}{end}"]) for end in ends])
            for name in ("weight_ih", "weight_hh", "bias_ih")
        }
        bias = np.concatenate([of_directions["bias_ih"], np.zeros_like(of_directions["bias_ih"])], axis=1)
        constants = {"W": of_directions["weight_ih"], "R": of_directions["weight_hh"], "B": bias}
        weights = [self.constant(f"{prefix}{name}{suffix}", array) for name, array in constants.items()]
        outputs = [f"Y_{number}", f"Y_h_{number}"]
        direction = "bidirectional" if self._directions == 2 else "forward"
        self.nodes.append(
            self._onnx.helper.make_node(
                "LSTM", [x, *weights], outputs, hidden_size=self._hidden_size, direction=direction
            )
        )
        y = self.add("Transpose", outputs[0], perm=[0, 2, 1, 3])
        final = self.add("Transpose", outputs[1], perm=[1, 0, 2])
        return self.add("Reshape", y, self.integers(0, 0, -1)), self.add("Reshape", final, self.integers(0, -1))

    def attention(self, y: str, query: str) -> str:
        """Add the attention over `y` (seq, batch, D), whose weights are the output ``attention``."""
        attention = self._network.attention
        assert attention is not None
        y = self.add("Transpose", y, perm=[1, 0, 2])
        parts = self.add("Reshape", y, self.integers(0, 0, attention.heads, attention.size // attention.heads))
        values = self.add("Transpose", parts, perm=[0, 2, 1, 3])  # (batch, heads, seq, features of a head)
        if attention.score == "additive":
            scores = self._additive_scores(y, query, attention.heads)
        else:
            scores = self._product_scores(values, query, attention.heads)
        weights = self.add("Softmax", scores, axis=2, output="attention")
        rows = self.add("Unsqueeze", weights, self.integers(2))
        context = self.add("Reshape", self.add("MatMul", rows, values), self.integers(0, -1))
        joined = self.add("Concat", context, query, axis=1)
        return self.add("Tanh", self.linear("attention.projection", joined))

    def _product_scores(self, values: str, query: str, heads: int) -> str:
        if "attention.query.weight" in self._arrays:
            query = self._product("attention.query", query)
        columns = self.add("Reshape", query, self.integers(0, heads, -1, 1))
        return self.add("Squeeze", self.add("MatMul", values, columns), self.integers(3))

    def _additive_scores(self, y: str, query: str, heads: int) -> str:
        query = self.add("Unsqueeze", self._product("attention.query", query), self.integers(1))
        hidden = self.add("Tanh", self.add("Add", self._product("attention.key", y), query))
        v = self.constant("attention.score.weight", self._arrays["attention.score.weight"])
        terms = self.add("Reshape", self.add("Mul", hidden, v), self.integers(0, 0, heads, -1))
        scores = self.add("ReduceSum", terms, self.integers(3), keepdims=0)
        return self.add("Transpose", scores, perm=[0, 2, 1])

    def _product(self, layer: str, x: str) -> str:
        name = f"{layer}.weight"
        return self.add("MatMul", x, self.constant(f"{name}.T", self._arrays[name].T))

    def linear(self, layer: str, x: str, output: str | None = None) -> str:
        """Add a linear layer over rows."""
        names = [f"{layer}.weight", f"{layer}.bias"]
        weight, bias = (self.constant(name, self._arrays[name]) for name in names)
        return self.add("Gemm", x, weight, bias, transB=1, output=output)


def read_model(path: Path) -> ModelProto:
    """Read an ONNX file.

    Raises
    ------
    InputError
        When onnx is not installed, or the file is not one of its.
    """
    onnx = _import_onnx()
    try:
        return onnx.load(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name an ONNX file.") from error
    except Exception as error:  # protobuf's decoder, whichever is installed, has its own exceptions
        if not type(error).__module__.startswith("google.protobuf"):
            raise
        raise InputError(f"{path} is not an ONNX file; name one.") from error


def state_dict_of(model: ModelProto) -> dict[str, np.ndarray]:
    """Return the parameters of a model's LSTM operators under torch's names, one layer for each.

    Raises
    ------
    ValueError
        When the model has no LSTM, or one that Gatecast cannot run.
    """
    onnx = _import_onnx()
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = onnx.numpy_helper.to_array(onnx.helper.get_attribute_value(node.attribute[0]))
    nodes = [node for node in model.graph.node if node.op_type == "LSTM"]
    if not nodes:
        raise ValueError("the graph has no LSTM operator")
    state: dict[str, np.ndarray] = {}
    for layer, node in enumerate(nodes):
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        _require_ours(attributes, list(node.input))
        missing = [name for name in node.input[1:4] if name and name not in constants]
        if missing:
            raise ValueError(f"the weights {', '.join(missing)} are computed, not stored")
        weights = [constants[name] if name else None for name in (*node.input[1:4], "", "")[:3]]
        state |= {f"{name}_l{layer}{end}": array for name, end, array in _torch_arrays(*weights)}
    return state


def _require_ours(attributes: dict[str, Any], inputs: list[str]) -> None:
    if attributes.get("direction", b"forward") == b"reverse":
        raise ValueError("it reads in reverse only; turn the sequences round and export it as forward")
    if len(inputs) > 7 and inputs[7]:
        raise ValueError("it has peepholes, which Gatecast does not have")
    activations = attributes.get("activations", _DEFAULT_ACTIVATIONS)
    if activations[:3] != _DEFAULT_ACTIVATIONS or activations[3:] not in ([], _DEFAULT_ACTIVATIONS):
        raise ValueError("its activations are not sigmoid, tanh, tanh")
    if others := [name for name in _NOT_OURS if attributes.get(name)]:
        raise ValueError(f"it sets {', '.join(others)}, which Gatecast does not have")


def _torch_arrays(w: Any, r: Any, b: Any | None) -> list[tuple[str, str, np.ndarray]]:
    """Take W (directions, 4H, I), R and B (directions, 8H) apart; returns names, suffixes and arrays."""
    b = np.zeros((w.shape[0], 2 * w.shape[1]), w.dtype) if b is None else b
    found = []
    for direction, end in enumerate(("", "_reverse")[: w.shape[0]]):
        for name, array in zip(
            ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
            (w[direction], r[direction], *np.split(b[direction], 2)),
            strict=True,
        ):
            i, o, f, g = np.split(array, 4)
            found.append((name, end, np.concatenate([i, f, g, o])))
    return found


def _onnx_gates(array: np.ndarray) -> np.ndarray:
    """From our order of the gates, i f g o, to ONNX's, i o f c."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise InputError("ONNX files need the package onnx; run: pip install 'gatecast[onnx]'.") from error
    return onnx

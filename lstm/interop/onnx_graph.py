"""A forecaster as an ONNX graph of standard operators, and LSTM operators read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.kernels.window_scaling import LAST, MEAN, NONE, STANDARD, WindowScaling
from gatecast.lstm.interop.onnx_operators import Operators, add_combined, add_networks, import_onnx
from gatecast.lstm.interop.onnx_transforms import TransformedSeries

if TYPE_CHECKING:
    from onnx import ModelProto

    from gatecast.lstm.forecasting.forecaster import Forecaster
    from gatecast.lstm.forecasting.network import Network

__all__ = ["forecaster_graph", "read_model", "state_dict_of"]

# The first version with LayerNormalization, and the oldest file format that has it: old runtimes can read it.
_OPSET = 17
_IR_VERSION = 8
_NOT_OURS = ("activation_alpha", "activation_beta", "clip", "input_forget")
_DEFAULT_ACTIVATIONS = [b"Sigmoid", b"Tanh", b"Tanh"]


def forecaster_graph(model: Forecaster) -> ModelProto:
    """Return a fitted forecaster as an ONNX model with its scalers and names as metadata; see `interop.save_onnx`."""
    settings = model.chosen
    length: int | str = "seq" if settings.stateful else settings.window
    if not reads_raw(model):
        graph = _scaled_graph(model, length)
        text = (
            "x holds the columns of the metadata, y first, each scaled as (value - center) / scale with its series'"
            " entry in scalers; y_hat * scale[0] + center[0] is the forecast in y's unit."
        )
    else:
        graph = _raw_graph(model, model.scaling or WindowScaling(NONE, season=0, floor=1.0, indicator=False))
        text = (
            "x holds the columns of the metadata, y first, as they are and without gaps; series the number of each"
            " window's series among the scalers. y_hat is the forecast in y's unit; of a series that was constant in"
            " training it is that constant."
        )
    metadata = {
        "kind": model.kind,
        "columns": list(model.columns),
        "scalers": {unique_id: scaler.to_dict() for unique_id, scaler in model.scalers.items()},
        "lookback": settings.window,
        "horizon": settings.horizon,
        "settings": model.settings.model_dump(mode="json"),
        "chosen": settings.model_dump(mode="json"),
        "data_hash": model.data_hash,
    }
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key = key
        entry.value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    graph.doc_string = f"A Gatecast forecaster. {text}"
    return graph


def reads_raw(model: Forecaster) -> bool:
    """Tell whether the graph of a forecaster takes values as they are, and scales and transforms them itself."""
    return model.scaling is not None or model.chosen.of_y != "none"


def _scaled_graph(model: Forecaster, seq_len: int | str) -> ModelProto:
    """Return a forecaster as an ONNX model from ``x`` (batch, seq, columns), scaled, to scaled ``y_hat``."""
    builder = Operators()
    networks = _networks(model)
    name = "y_hat" if len(networks) == 1 else None
    forecasts = add_networks(builder, networks, "x", output=name)
    if name is None:
        add_combined(builder, forecasts, model.chosen.ensemble, output="y_hat")
    return _checked(builder, [("x", "FLOAT", ["batch", seq_len, len(model.columns)])], seq_len, model)


def _networks(model: Forecaster) -> list[Network]:
    return [member.network for member in model.members]


def _raw_graph(model: Forecaster, scaling: WindowScaling) -> ModelProto:
    """Return a forecaster as an ONNX model that scales ``x`` (batch, lookback, columns) itself."""
    settings = model.chosen
    if settings.stateful:
        raise InputError("An ONNX file cannot hold a stateful model with a transform; train with transform none.")
    builder = Operators()
    series = _SeriesScalers(builder, model)
    windows = _ScaledWindow(builder, series.values, len(model.columns), scaling, settings.window, settings.horizon)
    outputs = add_networks(builder, _networks(model), windows.x, windows.past, _numbers(builder, model))
    forecasts = [builder.add("Add", windows.base, builder.add("Mul", y_hat, windows.spread)) for y_hat in outputs]
    variances = [member.step_variance for member in model.members]
    restored = [series.restored(*each) for each in zip(forecasts, variances, range(len(forecasts)), strict=True)]
    add_combined(builder, restored, settings.ensemble, output="y_hat")
    inputs: list[tuple[str, str, list[Any]]] = [
        ("x", "FLOAT", ["batch", settings.window, len(model.columns)]),
        ("series", "INT64", ["batch"]),
    ]
    return _checked(builder, inputs, settings.window, model)


class _SeriesScalers:
    """The scaler, and transform of y, of each series, as operators on the inputs ``x`` and ``series``.

    Attributes
    ----------
    values : str
        ``x`` scaled, (batch, seq, columns).
    """

    def __init__(self, builder: Operators, model: Forecaster):
        self._builder = builder
        scalers = list(model.scalers.values())
        center, scale = (
            self._of_series(f"series_{name}", np.array([getattr(scaler, name) for scaler in scalers]))
            for name in ("center", "scale")
        )
        columns = [builder.add("Unsqueeze", table, builder.integers(1)) for table in (center, scale)]
        self.values = builder.add("Div", builder.add("Sub", "x", columns[0]), columns[1])
        self._transformed: TransformedSeries | None = None
        if model.chosen.of_y != "none":
            self._transformed = TransformedSeries(builder, scalers)
            y = builder.add("Gather", "x", builder.integers(0), axis=2)
            scaled = self._transformed.scaled(y)
            self.values = _with_first_column(builder, scaled, self.values, len(model.columns))
            return
        of_forecasts = np.array([scaler.of_forecasts for scaler in scalers])
        self._center = self._of_series("forecast_center", of_forecasts[:, :1])
        self._scale = self._of_series("forecast_scale", of_forecasts[:, 1:])

    def restored(self, y_hat: str, variance: np.ndarray | None, number: int) -> str:
        """Add what turns the scaled forecasts of a network, the `number`-th, into the unit of y."""
        if self._transformed is not None:
            return self._transformed.restored(y_hat, variance, f"variance_{number}")
        return self._builder.add("Add", self._builder.add("Mul", y_hat, self._scale), self._center)

    def _of_series(self, name: str, table: np.ndarray) -> str:
        builder = self._builder
        return builder.add("Gather", builder.constant(name, table.astype("float32")), "series", axis=0)


def _numbers(builder: Operators, model: Forecaster) -> str:
    """Add the numbers by which the networks know the series; nothing where they have learnt nothing of each."""
    if not model.chosen.series_embedding:
        return ""
    places = [model.unique_ids.index(unique_id) for unique_id in model.scalers]
    return builder.add("Gather", builder.constant("numbers", np.array(places, np.int64)), "series", axis=0)


def _with_first_column(builder: Operators, first: str, values: str, columns: int) -> str:
    """Return values (batch, seq, columns) with another column 0, (batch, seq, 1)."""
    if columns == 1:
        return first
    others = builder.add("Gather", values, builder.integers(*range(1, columns)), axis=2)
    return builder.add("Concat", first, others, axis=2)


class _ScaledWindow:
    """What `kernels.cpu.gather.scale_windows` does with a window without gaps, as operators; names of values.

    Attributes
    ----------
    x : (batch, seq, columns [+ 1])
    past : (batch, seq)
    base : (batch, horizon)
    spread : (batch, 1)
    """

    def __init__(
        self, builder: Operators, values: str, columns: int, scaling: WindowScaling, lookback: int, horizon: int
    ):
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
        if scaling.lag:
            before = add("Slice", y, builder.integers(0), builder.integers(-scaling.lag), builder.integers(1))
            after = add("Slice", y, builder.integers(scaling.lag), builder.integers(lookback), builder.integers(1))
            first = add("Slice", present, builder.integers(0), builder.integers(scaling.lag), builder.integers(1))
            y = add("Concat", first, add("Sub", after, before), axis=1)
            scaled = _with_first_column(builder, y, scaled, columns)
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


def _checked(
    builder: Operators, inputs: list[tuple[str, str, list[Any]]], seq_len: int | str, model: Forecaster
) -> ModelProto:
    """Return the operators as a checked ONNX model; float64 parameters are float32 there."""
    onnx = import_onnx()

    def info(name: str, kind: str, shape: list[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)

    settings = model.chosen
    outputs = [info("y_hat", "FLOAT", ["batch", settings.horizon])]
    if settings.attention != "none":
        outputs.append(info("attention", "FLOAT", ["batch", settings.attention_heads, seq_len]))
    given = [info(*of_input) for of_input in inputs]
    graph = onnx.helper.make_graph(builder.nodes, "gatecast", given, outputs, builder.constants)
    opset = onnx.helper.make_opsetid("", _OPSET)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="gatecast")
    onnx.checker.check_model(made, full_check=True)
    return made


def read_model(path: Path) -> ModelProto:
    """Read an ONNX file.

    Raises
    ------
    InputError
        When onnx is not installed, or the file is not one of its.
    """
    onnx = import_onnx()
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
    onnx = import_onnx()
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = onnx.numpy_helper.to_array(onnx.helper.get_attribute_value(node.attribute[0]))
    nodes = [node for node in model.graph.node if node.op_type == "LSTM"]
    if not nodes:
        raise ValueError("the graph has no LSTM operator")
    if any(name.startswith("members.") for node in nodes for name in node.input):
        raise ValueError("it is an ensemble of several networks")
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

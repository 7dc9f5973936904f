"""A forecaster as an ONNX graph of standard operators, and LSTM operators read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.sequences.transforms import mean_factor
from gatecast.kernels.window_scaling import LAST, MEAN, NONE, STANDARD, WindowScaling
from gatecast.lstm.interop.onnx_operators import Operators, add_networks, import_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

    from gatecast.lstm.config import ForecasterSettings
    from gatecast.lstm.forecasting.forecaster import Forecaster
    from gatecast.lstm.forecasting.network import Network

__all__ = ["forecaster_graph", "read_model", "state_dict_of"]

# The first version with LayerNormalization, and the oldest file format that has it: old runtimes can read it.
_OPSET = 17
_IR_VERSION = 8
_LOGS = {"least_log": -87.0, "greatest_log": 87.0}
"""Logarithms whose exponentials are float32"""
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
            " window's series among the scalers. y_hat is the forecast in y's unit."
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
    add_networks(builder, _networks(model), model.chosen.ensemble, "x", output="y_hat")
    return _checked(builder, [("x", "FLOAT", ["batch", seq_len, len(model.columns)])], seq_len, model)


def _networks(model: Forecaster) -> list[Network]:
    return [member.network for member in model.members]


def _raw_graph(model: Forecaster, scaling: WindowScaling) -> ModelProto:
    """Return a forecaster as an ONNX model that scales ``x`` (batch, lookback, columns) itself."""
    settings = model.chosen
    _require_transform(settings)
    builder = Operators()
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
    straight = _transformed(builder, settings.of_y, len(model.columns))
    values = builder.add("Div", builder.add("Sub", straight, columns[0]), columns[1])
    windows = _ScaledWindow(builder, values, len(model.columns), scaling, settings.window, settings.horizon)
    # The scaling is the same for all networks, and so is what undoes it: their mean may be taken before.
    y_hat = add_networks(
        builder, _networks(model), settings.ensemble, windows.x, windows.past, _numbers(builder, model)
    )
    forecast = builder.add("Add", windows.base, builder.add("Mul", y_hat, windows.spread))
    scaled = builder.add("Mul", forecast, of_series["forecast_scale"])
    if settings.of_y == "none":
        builder.add("Add", scaled, of_series["forecast_center"], output="y_hat")
    else:
        logs = builder.add("Add", scaled, of_series["forecast_center"])
        _back(builder, model, logs, tables["forecast_scale"])
    inputs: list[tuple[str, str, list[Any]]] = [
        ("x", "FLOAT", ["batch", settings.window, len(model.columns)]),
        ("series", "INT64", ["batch"]),
    ]
    return _checked(builder, inputs, settings.window, model)


def _numbers(builder: Operators, model: Forecaster) -> str:
    """Add the numbers by which the networks know the series; nothing where they have learnt nothing of each."""
    if not model.chosen.series_embedding:
        return ""
    places = [model.unique_ids.index(unique_id) for unique_id in model.scalers]
    return builder.add("Gather", builder.constant("numbers", np.array(places, np.int64)), "series", axis=0)


def _require_transform(settings: ForecasterSettings) -> None:
    """Raise InputError if a graph cannot hold the transform."""
    # Forecasts of several networks are put together after their transform is undone, and by then one graph is left.
    limits = {
        "a stateful model with a transform": settings.stateful,
        "several networks with a transform": settings.n_models > 1 and settings.of_y != "none",
        "the transform boxcox": settings.of_y == "boxcox",
    }
    for what, is_given in limits.items():
        if is_given:
            raise InputError(f"An ONNX file cannot hold {what}; train one network with transform log, or with none.")


def _transformed(builder: Operators, kind: str, columns: int) -> str:
    """Add the transform of y, the first column of ``x``."""
    if kind == "none":
        return "x"
    y = builder.add("Gather", "x", builder.integers(0), axis=2)
    if kind == "log1p":
        y = builder.add("Add", y, builder.constant("one", np.ones(1, "float32")))
    y = builder.add("Log", y)
    return _with_first_column(builder, y, "x", columns)


def _with_first_column(builder: Operators, first: str, values: str, columns: int) -> str:
    """Return values (batch, seq, columns) with another column 0, (batch, seq, 1)."""
    if columns == 1:
        return first
    others = builder.add("Gather", values, builder.integers(*range(1, columns)), axis=2)
    return builder.add("Concat", first, others, axis=2)


def _back(builder: Operators, model: Forecaster, logs: str, spread: np.ndarray) -> None:
    """Add what `data.sequences.transforms.back` does with logarithms, within float32: the output.

    `spread` (n_series, 1) are the deviations of the series, in logarithms.
    """
    least, most = (builder.constant(name, np.array(bound, "float32")) for name, bound in _LOGS.items())
    y = builder.add("Exp", builder.add("Clip", logs, least, most))
    if model.step_variance is not None:
        factors = mean_factor(model.step_variance * spread**2)
        table = builder.constant("factors", factors.astype("float32"))
        y = builder.add("Mul", y, builder.add("Gather", table, "series", axis=0))
    if model.chosen.of_y == "log1p":
        y = builder.add("Sub", y, builder.constant("added", np.ones(1, "float32")))
    builder.add("Identity", y, output="y_hat")


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

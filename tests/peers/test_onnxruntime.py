from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast import LSTM, Forecaster
from gatecast.data.errors import InputError
from gatecast.lstm.interop.exchange import load_onnx, save_onnx
from tests.lstm.frames import sine_frame, small_model
from tests.reference import relative_error

onnx = pytest.importorskip("onnx", reason="make test-peers installs onnx in an environment of its own")
onnxruntime = pytest.importorskip("onnxruntime", reason="make test-peers installs ONNX Runtime")


def in_onnx_order(array: np.ndarray) -> np.ndarray:
    """From the gate order i, f, g, o to ONNX's i, o, f, c, with the axis of directions in front."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])[None]


@pytest.mark.parametrize(("batch", "seq", "input_size", "hidden_size"), [(1, 60, 3, 64), (33, 10, 5, 7)])
def test_lstm_agrees_with_onnx_runtime(batch, seq, input_size, hidden_size):
    rng = np.random.default_rng(batch)
    ours = LSTM(input_size, hidden_size, seed=4)
    state = ours.state_dict()
    bias = np.concatenate([in_onnx_order(state["bias_ih_l0"]), in_onnx_order(state["bias_hh_l0"])], axis=1)
    constants = {"W": in_onnx_order(state["weight_ih_l0"]), "R": in_onnx_order(state["weight_hh_l0"]), "B": bias}
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y", "Y_h"], hidden_size=hidden_size)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("X", kind, [seq, batch, input_size])],
        [
            helper.make_tensor_value_info("Y", kind, [seq, 1, batch, hidden_size]),
            helper.make_tensor_value_info("Y_h", kind, [1, batch, hidden_size]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng.normal(size=(batch, seq, input_size)).astype("float32")
    y_peer, h_peer = session.run(None, {"X": np.ascontiguousarray(x.swapaxes(0, 1))})
    y, (h_n, _) = ours.forward(x)
    assert relative_error(y, y_peer[:, 0].swapaxes(0, 1)) < 1e-5
    assert relative_error(h_n, h_peer) < 1e-5


@pytest.mark.parametrize("attention", ["none", "dot"])
@pytest.mark.parametrize("window_scaling", ["standard", "none"])
@pytest.mark.parametrize(("n_models", "ensemble"), [(3, "mean"), (3, "median"), (4, "median")])
def test_an_ensemble_is_one_graph(tmp_path, n_models, ensemble, window_scaling, attention):
    skip = "auto" if window_scaling == "standard" else "none"
    residual = "auto" if window_scaling == "standard" else "none"
    model = small_model(
        n_models=n_models, ensemble=ensemble, window_scaling=window_scaling, residual=residual, linear_skip=skip,
        attention=attention, hidden_size=4, max_epochs=1, horizon=2,
    ).fit(sine_frame(names=("alpha", "beta")))  # fmt: skip
    path = save_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    context = model._context
    scaled = np.stack([context.rows_of(k)[-8:] for k in range(2)]).astype("float32")
    scale, center = (np.stack([getattr(s, name) for s in context.scalers]) for name in ("scale", "center"))
    inputs = {"x": scaled}
    if model.scaling is not None:
        inputs = {"x": (scaled * scale[:, None] + center[:, None]).astype("float32"), "series": np.arange(2)}
    y_hat, *weights = session.run(None, inputs)
    if model.scaling is None:
        y_hat = y_hat * scale[:, :1] + center[:, :1]
    assert relative_error(y_hat.ravel(), model.predict()["y_hat"].to_numpy()) < 1e-5
    if weights:
        assert relative_error(weights[0].ravel(), model.attention_weights()["weight"].to_numpy()) < 1e-5
    with pytest.raises(InputError, match="an ensemble of several networks"):
        load_onnx(path)


def panel(columns: list[str]) -> pd.DataFrame:
    """Positive weeks of two series, and a covariate."""
    rng = np.random.default_rng(0)
    days = np.arange(120)
    ds = pd.date_range("2000-01-01", periods=len(days))
    parts = []
    for number, name in enumerate("ab"):
        y = np.exp(1 + number + 0.5 * np.sin(2 * np.pi * days / 7) + 0.1 * rng.normal(size=len(days)))
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y, "z": rng.normal(size=len(days))}))
    return pd.concat(parts)[["unique_id", "ds", *columns]]


@pytest.mark.parametrize("columns", [["y"], ["y", "z"]])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"window_scaling": "last", "residual": "none"},
        {"window_scaling": "mean", "residual": "last"},
        {"window_scaling": "none", "residual": "seasonal", "season": 7},
        {"attention": "dot", "bidirectional": True},
        {"differences": "first"},
        {"differences": "seasonal", "season": 7},
        {"series_embedding": 3, "weight_decay": 0.0},
        {"series_embedding": 3, "n_models": 2},
        {"transform": "log"},
        {"transform": "log", "loss": "mse"},
        {"transform": "log1p", "loss": "mse"},
        {"transform": "boxcox"},
        {"transform": "boxcox", "loss": "mse", "window_scaling": "last", "residual": "none"},
        {"transform": "boxcox", "loss": "mse", "n_models": 2, "differences": "first"},
        {"transform": "log", "n_models": 3, "ensemble": "median"},
        {"transform": "log", "loss": "mse", "window_scaling": "none", "residual": "none", "linear_skip": "none"},
    ],
)
def test_a_graph_that_scales_windows_itself_forecasts_as_the_model_does(tmp_path, columns, settings):
    frame = panel(columns)
    model = Forecaster(lookback=14, horizon=9, hidden_size=4, max_epochs=1, **settings).fit(frame)
    path = save_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    windows = np.stack([of_series[columns].to_numpy()[-14:] for _, of_series in frame.groupby("unique_id")])
    y_hat = session.run(["y_hat"], {"x": windows.astype("float32"), "series": np.arange(2)})[0]
    assert relative_error(y_hat.ravel(), model.predict()["y_hat"].to_numpy()) < 1e-5


def test_a_transform_that_no_graph_holds_is_named(tmp_path):
    model = Forecaster(lookback=14, hidden_size=4, max_epochs=1, transform="log", stateful=True).fit(panel(["y"]))
    with pytest.raises(InputError, match="cannot hold a stateful model with a transform; train with transform none"):
        save_onnx(model, tmp_path / "model.onnx")

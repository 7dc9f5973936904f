"""Models written for other frameworks, run by them."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import safetensors.numpy

from gatecast import Forecaster
from gatecast.data.errors import InputError
from gatecast.lstm.interop import exchange as interop
from gatecast.lstm.interop.onnx_graph import state_dict_of
from tests.lstm.frames import PLAIN, sine_frame, small_model
from tests.reference import relative_error

torch = pytest.importorskip("torch", reason="make test-peers installs torch in an environment of its own")
onnx = pytest.importorskip("onnx", reason="make test-peers installs onnx in an environment of its own")
onnxruntime = pytest.importorskip("onnxruntime", reason="make test-peers installs ONNX Runtime")


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torch_writes_what_we_read_and_reads_what_we_write(tmp_path, rng, bias, bidirectional):
    from safetensors.torch import load_file, save_file

    peer = torch.nn.LSTM(3, 5, 2, batch_first=True, bidirectional=bidirectional, bias=bias)
    save_file(peer.state_dict(), tmp_path / "theirs.safetensors")
    ours = interop.load_torch(tmp_path / "theirs.safetensors")
    x = rng.normal(size=(4, 7, 3)).astype("float32")
    with torch.no_grad():
        expected, (h_n, c_n) = peer(torch.from_numpy(x))
        y, (h, c) = ours.forward(x)
        for result, exact in ((y, expected), (h, h_n), (c, c_n)):
            assert relative_error(result, exact.numpy()) <= 1e-5
        back = torch.nn.LSTM(3, 5, 2, batch_first=True, bidirectional=bidirectional)
        back.load_state_dict(load_file(interop.save_torch(ours, tmp_path / "ours.safetensors")))
        assert relative_error(y, back(torch.from_numpy(x))[0].numpy()) <= 1e-5


def test_a_forecaster_is_a_torch_module(tmp_path):
    model = small_model(max_epochs=1, num_layers=2, horizon=3, **PLAIN).fit(sine_frame())

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(2, 5, 2, batch_first=True)
            self.head = torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    module = Module()
    arrays = safetensors.numpy.load_file(interop.save_torch(model, tmp_path / "model.safetensors"))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    x = windows(model)
    with torch.no_grad():
        assert relative_error(model.network.forward(x)[0], module(torch.from_numpy(x)).numpy()) <= 1e-5


def variants():
    """Every combination of layers, directions, what is between layers, score and heads."""
    for layers, bidirectional, residual, norm in itertools.product((1, 3), *[(False, True)] * 3):
        if layers == 1 and (residual or norm):
            continue
        for attention, heads in (("none", 1), *itertools.product(("dot", "general", "additive"), (1, 3))):
            yield {
                "num_layers": layers, "bidirectional": bidirectional, "residual_layers": residual, "layer_norm": norm,
                "attention": attention, "attention_heads": heads,
            }  # fmt: skip


EXTRA = [{"stateful": True}, {"dtype": "float64"}, {"dropout": 0.3, "recurrent_dropout": 0.2, "num_layers": 2}]


@pytest.fixture(scope="module")
def frame():
    return sine_frame(names=("alpha", "beta"))


def windows(model):
    """The windows that `predict` continues."""
    context = model._context
    lookback = model.settings.lookback
    return np.stack([context.rows_of(k)[-lookback:] for k in range(len(context.unique_ids))])


@pytest.mark.parametrize("settings", [*variants(), *EXTRA], ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items()))
def test_the_graph_gives_the_forecasters_output(tmp_path, frame, settings):
    model = small_model(hidden_size=6, horizon=2, max_epochs=1, **PLAIN, **settings).fit(frame)
    path = interop.save_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["columns"]) == ["y", "wave"]
    assert Forecaster(**json.loads(metadata["settings"])).settings == model.settings
    scalers = json.loads(metadata["scalers"])

    rows = {name: windows(model)[k : k + 1] for k, name in enumerate(model.scalers)}
    if model.settings.stateful:
        rows = {name: model._context.rows_of(k)[None] for k, name in enumerate(model.scalers)}
    forecast = model.predict()
    for name, x in rows.items():
        y_hat, *weights = session.run(None, {"x": x.astype("float32")})
        in_unit = y_hat[0] * scalers[name]["scale"][0] + scalers[name]["center"][0]
        ours = forecast.loc[forecast["unique_id"] == name, "y_hat"].to_numpy()
        assert relative_error(in_unit, ours) <= 1e-5
        assert relative_error(y_hat, model.network.forward(x)[0]) <= 1e-5
        if weights:
            expected = model.attention_weights()
            expected = expected.loc[expected["unique_id"] == name, "weight"].to_numpy()
            assert weights[0].shape == (1, model.settings.attention_heads, 8)
            assert relative_error(weights[0].ravel(), expected) <= 1e-5

    many = np.repeat(windows(model), 5, axis=0).astype("float32")
    assert relative_error(session.run(["y_hat"], {"x": many})[0], model.network.forward(many)[0]) <= 1e-5
    if not (model.settings.residual or model.settings.layer_norm):
        again = interop.load_onnx(path, dtype=model.settings.dtype)
        state = model.network.lstm.state_dict()
        for name, array in again.state_dict().items():
            assert np.array_equal(array, state[name].astype("float32")), name


# ------------------------------------------------------------ the node tests that ONNX ships


def node_tests():
    """The cases of the operator LSTM; importing its module, and only its, makes them."""
    from onnx.backend.test.case import node
    from onnx.backend.test.case.node import lstm  # noqa: F401

    return {case.name: case for case in node._NodeTestCases}


NODE_TESTS = node_tests()
PEEPHOLES = "test_lstm_with_peepholes"


def test_onnx_ships_the_cases_that_are_run_here():
    assert set(NODE_TESTS) >= {
        "test_lstm_defaults", "test_lstm_with_initial_bias", "test_lstm_batchwise", "test_lstm_reverse",
        "test_lstm_bidirectional", PEEPHOLES,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted({*NODE_TESTS} - {PEEPHOLES}))
def test_an_onnx_backend_node_test(name):
    case = NODE_TESTS[name]
    (node,) = case.model.graph.node
    ((arrays, expected),) = case.data_sets
    inputs = dict(zip([entry.name for entry in case.model.graph.input], arrays, strict=True))
    results = run_node(case.model, node, [inputs.get(name) for name in node.input])
    for output, exact in zip(case.model.graph.output, expected, strict=True):
        assert relative_error(results[list(node.output).index(output.name)], exact) <= 1e-6


def test_peepholes_are_refused():
    case = NODE_TESTS[PEEPHOLES]
    with pytest.raises(ValueError, match="peepholes"):
        state_dict_of(with_weights(case.model, case.model.graph.node[0], case.data_sets[0][0]))


def with_weights(model, node, given):
    """Return the model with its weights stored in it."""
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    for name, array in zip(node.input, given, strict=True):
        if name and array is not None:
            stored.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return stored


def run_node(model, node, given):
    """Run an LSTM operator by ours: Y, Y_h and Y_c in ONNX's layout."""
    model = with_weights(model, node, given)
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    reverse = attributes.get("direction") == b"reverse"
    if reverse:  # ours on sequences that are turned round
        (entry,) = [entry for entry in model.graph.node[0].attribute if entry.name == "direction"]
        entry.s = b"forward"
    layer = interop.lstm_of_state_dict(state_dict_of(model))
    batch_first = attributes.get("layout", 0) == 1
    x = given[0] if batch_first else given[0].swapaxes(0, 1)
    states = [array for array in given[5:7] if array is not None]
    state = tuple(s.swapaxes(0, 1) if batch_first else s for s in states) if len(states) == 2 else None
    lengths = given[4] if len(given) > 4 else None
    y, (h_n, c_n) = layer.forward(x[:, ::-1] if reverse else x, state, lengths)
    y = y[:, ::-1] if reverse else y
    y = y.reshape(*y.shape[:2], len(h_n), -1)  # (batch, seq, directions, hidden)
    if batch_first:
        return y, h_n.swapaxes(0, 1), c_n.swapaxes(0, 1)
    return y.transpose(1, 2, 0, 3), h_n, c_n


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"direction": "reverse"}, "in reverse only"),
        ({"activations": ["Sigmoid", "Relu", "Tanh"]}, "activations"),
        ({"clip": 3.0}, "it sets clip"),
        ({"input_forget": 1}, "it sets input_forget"),
    ],
)
def test_an_operator_that_is_not_ours_is_refused(tmp_path, attributes, message):
    with pytest.raises(InputError, match=message):
        interop.load_onnx(lstm_file(tmp_path, [3], attributes))


def test_layers_of_a_foreign_graph_are_read_in_order(tmp_path, rng):
    layer = interop.load_onnx(lstm_file(tmp_path, [3, 4]))
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (3, 4, 2)


def test_files_that_are_no_lstm_are_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no protobuf at all")
    for path, message in ((tmp_path / "text.onnx", "not an ONNX file"), (tmp_path / "none.onnx", "cannot be read"),
                          (lstm_file(tmp_path, []), "no LSTM operator")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            interop.load_onnx(path)


def lstm_file(folder, input_sizes, attributes=None):
    """Write a graph of LSTM operators of 4 units; what lies between them does not matter."""
    rng = np.random.default_rng(0)
    helper = onnx.helper
    constants = []
    nodes = []
    for number, size in enumerate(input_sizes):
        for name, columns in (("W", size), ("R", 4)):
            array = rng.normal(size=(1, 16, columns)).astype("float32")
            constants.append(onnx.numpy_helper.from_array(array, f"{name}{number}"))
        names = [f"X{number}", f"W{number}", f"R{number}"]
        nodes.append(helper.make_node("LSTM", names, [f"Y{number}"], hidden_size=4, **(attributes or {})))
    graph = helper.make_graph(nodes, "layers", [], [], constants)
    path = folder / "layers.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)
    return path

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import safetensors.numpy

from gatecast.data.errors import InputError
from gatecast.lstm.interop import exchange as interop
from gatecast.lstm.nn.recurrent import LSTM
from tests.lstm.frames import sine_frame, small_model


@pytest.mark.parametrize(("num_layers", "bidirectional"), [(1, False), (3, True)])
def test_a_layer_written_for_torch_is_read_back_bit_for_bit(tmp_path, rng, num_layers, bidirectional):
    layer = LSTM(3, 5, num_layers, bidirectional, seed=1)
    again = interop.load_torch(interop.save_torch(layer, tmp_path / "deep" / "lstm.safetensors"))
    assert (again.input_size, again.hidden_size) == (3, 5)
    assert (again.num_layers, again.bidirectional) == (num_layers, bidirectional)
    x = rng.normal(size=(4, 6, 3)).astype("float32")
    assert np.array_equal(layer.forward(x)[0], again.forward(x)[0])


def test_a_part_of_a_module_is_found_by_its_prefix_and_two_biases_are_added(tmp_path):
    layer = LSTM(2, 3)
    arrays = layer.state_dict()
    arrays["bias_hh_l0"] = arrays["bias_ih_l0"] + 1
    path = tmp_path / "module.safetensors"
    others = {"embedding.weight": np.zeros((2, 2), "float32")}
    safetensors.numpy.save_file({**others, **{f"encoder.lstm.{name}": a for name, a in arrays.items()}}, path)
    read = interop.load_torch(path, "encoder.lstm.", dtype="float64")
    assert read.dtype == "float64"
    np.testing.assert_array_equal(read.state_dict()["bias_ih_l0"], arrays["bias_ih_l0"] + arrays["bias_hh_l0"])
    with pytest.raises(InputError, match=r"embedding\.weight"):
        interop.load_torch(path)


def test_a_layer_without_biases_has_zeros():
    arrays = {name: array for name, array in LSTM(2, 3).state_dict().items() if "bias" not in name}
    assert not interop.lstm_of_state_dict(arrays).state_dict()["bias_ih_l0"].any()


def test_a_forecaster_is_written_with_all_its_parts(tmp_path):
    model = small_model(max_epochs=1, attention="additive").fit(sine_frame())
    arrays = safetensors.numpy.load_file(interop.save_torch(model, tmp_path / "all.safetensors"))
    assert {"lstm.weight_ih_l0", "lstm.bias_hh_l0", "attention.key.weight", "head.bias"} <= set(arrays)
    lstm = interop.load_torch(tmp_path / "all.safetensors", "lstm.")
    assert np.array_equal(lstm.state_dict()["weight_hh_l0"], model.network.parameters["lstm.weight_hh_l0"])


def test_the_networks_of_an_ensemble_have_names_of_their_own(tmp_path):
    model = small_model(max_epochs=1, n_models=2).fit(sine_frame())
    path = interop.save_torch(model, tmp_path / "all.safetensors")
    for number, member in enumerate(model.members):
        lstm = interop.load_torch(path, f"members.{number}.lstm.")
        assert np.array_equal(lstm.state_dict()["weight_hh_l0"], member.network.parameters["lstm.weight_hh_l0"])


def changed(change):
    arrays = LSTM(2, 3, 2).state_dict()
    change(arrays)
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "this one has no array"),
        (changed(lambda a: a.update(weight_hr_l0=np.zeros((2, 3), "float32"))), "proj_size"),
        (changed(lambda a: a.pop("weight_hh_l1")), "missing .*weight_hh_l1"),
        (changed(lambda a: a.pop("bias_ih_l1")), "bias_hh_l1 without bias_ih_l1"),
        (changed(lambda a: a.pop("weight_ih_l0")), "not of shape"),
        (changed(lambda a: a.update(weight_ih_l0=np.zeros((13, 2), "float32"))), "not of shape"),
        (changed(lambda a: a.update(weight_hh_l0=np.zeros((12, 4), "float32"))), "weight_hh_l0 has shape"),
        (changed(lambda a: a.update(spare=np.zeros(1, "float32"))), "unknown .*spare"),
    ],
)
def test_what_is_no_lstm_is_refused(tmp_path, arrays, message):
    path = tmp_path / "wrong.safetensors"
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(InputError, match=message):
        interop.load_torch(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x02} not safetensors")
    with pytest.raises(InputError, match=r"pickle\.pt is not a safetensors file .*save_file"):
        interop.load_torch(tmp_path / "pickle.pt")
    with pytest.raises(InputError, match=r"none\.safetensors cannot be read"):
        interop.load_torch(tmp_path / "none.safetensors")


@pytest.mark.skipif(importlib.util.find_spec("onnx") is not None, reason="onnx is installed here")
def test_without_onnx_the_mend_is_named_and_nothing_is_written(tmp_path):
    model = small_model(max_epochs=1).fit(sine_frame())
    for act in (lambda: interop.save_onnx(model, tmp_path / "m.onnx"), lambda: interop.load_onnx(tmp_path / "m.onnx")):
        with pytest.raises(InputError, match=r"gatecast\[onnx\]"):
            act()
    assert not list(tmp_path.iterdir())


def test_a_model_that_was_not_fitted_is_not_written(tmp_path):
    with pytest.raises(InputError, match="not been fitted"):
        interop.save_torch(small_model(), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())

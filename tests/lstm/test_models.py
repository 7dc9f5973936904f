from __future__ import annotations

import numpy as np
import pytest

from gatecast.data.errors import DamagedError, FormatError, KindError
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load
from gatecast.lstm.tagging.tagger import Tagger
from gatecast.lstm.training import checkpoint
from gatecast.lstm.training.checkpoint import Checkpoint
from tests.lstm.frames import SPLIT, sine_frame, small_model

DOCUMENT = ("settings", "columns", "scalers", "boundaries", "data_hash", "context", "training")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = small_model(max_epochs=1).fit(sine_frame(names=("alpha", "beta")), SPLIT)
    return model.save(tmp_path_factory.mktemp("models") / "model")


def rewritten(saved, path, change):
    """Write the saved model again, whole and with valid hashes, but with other contents."""
    contents = checkpoint.read(saved)
    change(contents)
    return checkpoint.write(contents, path)


def assert_refused(path, *named, error=FormatError):
    with pytest.raises(error) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert all(name in text for name in (str(path), *named)), text


def test_a_saved_model_is_loaded_as_what_it_was(saved):
    model = load(saved)
    assert isinstance(model, Forecaster)
    assert model.columns == ("y", "wave")
    assert load(str(saved)).settings == model.settings


def test_an_unknown_kind_is_named(tmp_path):
    path = checkpoint.write(Checkpoint("Oracle", {}, {"model": {"weight": np.zeros(1)}}), tmp_path / "model")
    assert_refused(path, "'Oracle'")


def test_no_checkpoint_is_refused(tmp_path):
    assert_refused(tmp_path / "nothing", error=DamagedError)


def test_a_model_of_another_kind_is_named(saved):
    with pytest.raises(KindError, match="holds a Forecaster, not a Tagger"):
        Tagger.from_checkpoint(checkpoint.read(saved), saved)


@pytest.mark.parametrize("name", DOCUMENT)
def test_a_missing_part_of_the_document_is_named(saved, tmp_path, name):
    path = rewritten(saved, tmp_path / "model", lambda contents: contents.document.pop(name))
    assert_refused(path, name)


@pytest.mark.parametrize("name", ["settings", "scalers", "context", "training"])
@pytest.mark.parametrize("value", [[], 3, None, "text", {"unknown": 1}])
def test_a_part_of_another_shape_is_refused(saved, tmp_path, name, value):
    path = rewritten(saved, tmp_path / "model", lambda contents: contents.document.update({name: value}))
    assert_refused(path)


@pytest.mark.parametrize(
    "change", [{"hidden_size": -1}, {"unknown_setting": 1}, {"hidden_size": 6}, {"horizon": 2}, {"num_layers": 2}]
)
def test_settings_that_do_not_fit_the_weights_are_refused(saved, tmp_path, change):
    path = rewritten(saved, tmp_path / "model", lambda contents: contents.document["settings"].update(change))
    assert_refused(path)


@pytest.mark.parametrize("name", ["model", "optimizer", "context"])
def test_a_missing_file_of_arrays_is_refused(saved, tmp_path, name):
    path = rewritten(saved, tmp_path / "model", lambda contents: contents.arrays.pop(name))
    assert_refused(path, name)


def test_weights_of_another_shape_are_named(saved, tmp_path):
    def change(contents):
        contents.arrays["model"]["head.weight"] = np.zeros((2, 5), "float32")

    assert_refused(rewritten(saved, tmp_path / "model", change), "head.weight")

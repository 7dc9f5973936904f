"""Checkpoints that somebody forged or a disk damaged: refused in one sentence, and before memory goes to them."""

from __future__ import annotations

import copy
import json
import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatecast import CharLM, Forecaster, Tagger, load
from gatecast.data.errors import InputError
from gatecast.data.store import read_json
from gatecast.lstm.interop.exchange import lstm_of_state_dict
from gatecast.lstm.nn.initialisation import count_weights
from gatecast.lstm.training import checkpoint
from gatecast.lstm.training.checkpoint import CheckpointError
from tests.lstm.frames import SPLIT, sine_frame, small_model
from tests.lstm.sentences import tagged_sentences

TEXT = "the cat sat on the mat, the dog sat on the log. " * 40
SMALL_TAGGER = {
    "word_size": 6, "character_size": 4, "character_hidden_size": 4, "casing_size": 3, "affix_size": 3,
    "hidden_size": 6, "max_epochs": 1,
}  # fmt: skip
ABSURD = (None, True, -1, 2**31, 10**12, 10**400, 1e300, "text", "", [], {}, [["a"]], {"a": {"b": 1}})
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {
        "Forecaster": small_model(max_epochs=1, num_layers=2, attention="dot").fit(
            sine_frame(names=("alpha", "beta")), SPLIT
        ),
        "CharLM": CharLM(hidden_size=8, embedding_size=4, seq_len=8, batch_size=4, max_epochs=1).fit(TEXT),
        "Tagger": Tagger(**SMALL_TAGGER).fit(*tagged_sentences()),
    }


@pytest.fixture(scope="module", params=["Forecaster", "CharLM", "Tagger"])
def model(request, models):
    return models[request.param]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to every value of a document; of a list, only to its first and last element."""
    if path:
        yield path
    keys = list(value) if isinstance(value, dict) else sorted({0, len(value) - 1}) if isinstance(value, list) else []
    for key in keys:
        if value:
            yield from places(value[key], (*path, key))


def forged(contents: checkpoint.Checkpoint, path: tuple[Any, ...], value: Any) -> checkpoint.Checkpoint:
    document = copy.deepcopy(contents.document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return checkpoint.Checkpoint(contents.kind, document, contents.arrays)


def test_no_value_of_a_document_gets_a_model_of_another_size(model):
    contents = model.contents()
    contents = checkpoint.Checkpoint(contents.kind, json.loads(json.dumps(contents.document)), contents.arrays)
    tracemalloc.start()
    try:
        for path in places(contents.document):
            for value in ABSURD:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                try:
                    type(model).from_checkpoint(forged(contents, path, value), "forged")
                except CheckpointError as error:
                    assert "\n" not in str(error), (path, value)
                    assert str(error).startswith("forged "), (path, value)
                assert tracemalloc.get_traced_memory()[1] - before < MOST_BYTES, (path, value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [500, 65_000, 2**31])
@pytest.mark.parametrize("name", ["hidden_size", "num_layers"])
def test_sizes_that_are_not_those_of_the_weights_are_refused(models, tmp_path, name, size, monkeypatch):
    for kind, model in models.items():
        monkeypatch.setattr(type(model), "_make_network", lambda self: pytest.fail("memory was given to a network"))
        path = model.save(tmp_path / kind)
        document = json.loads((path / "model.json").read_text())
        document["settings"][name] = size
        del document["sha256"]
        document["format"] = 1  # which had no hash of its own
        (path / "model.json").write_text(json.dumps(document))
        message = "weights or more, but" if size == 500 or (name, size) == ("hidden_size", 65_000) else "less than or"
        with pytest.raises(CheckpointError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_a_vocabulary_token_that_is_a_list_is_refused(models):
    contents = models["CharLM"].contents()
    with pytest.raises(CheckpointError, match="a token of a vocabulary is no text"):
        CharLM.from_checkpoint(forged(contents, ("vocabulary", "tokens", 3), ["a"]), "forged")


def test_json_without_end_is_refused(models, tmp_path):
    path = models["Forecaster"].save(tmp_path / "model")
    (path / "model.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(CheckpointError, match=r"model\.json is not JSON") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_json(path / "model.json")


HEADERS = {
    "terabytes": {"head.weight": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}},
    "more than there is": {"head.weight": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}},
    "a shape beyond numbers": {"head.weight": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
    "another size than its shape": {"head.weight": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 8]}},
    "nothing of a huge shape": {"head.weight": {"dtype": "F32", "shape": [2**40, 0], "data_offsets": [0, 0]}},
    "no type of ours": {"head.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}},
    "no type at all": {"head.weight": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
    "no table": ["head.weight"],
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_claims_what_is_not_there_is_refused(models, tmp_path, header):
    contents = models["Forecaster"].contents()
    text = json.dumps(header).encode()
    whole = struct.pack("<Q", len(text)) + text + bytes(8)
    path = checkpoint.write(
        checkpoint.Checkpoint(contents.kind, contents.document, contents.arrays), tmp_path / "model"
    )
    (path / "model.safetensors").write_bytes(whole)
    rehash(path)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_header_of_an_absurd_length_is_refused(models, tmp_path):
    path = models["Forecaster"].save(tmp_path / "model")
    (path / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    rehash(path)
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        load(path)


def rehash(path):
    import hashlib

    document = json.loads((path / "model.json").read_text())
    document["files"] = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in document["files"]}
    del document["sha256"]
    document["format"] = 1  # which had no hash of its own
    (path / "model.json").write_text(json.dumps(document))


@pytest.mark.parametrize("kind", ["Forecaster", "CharLM", "Tagger"])
def test_a_training_for_which_no_machine_has_memory_is_refused(kind, monkeypatch):
    huge = {"hidden_size": 65_536, "num_layers": 1000}
    model = {"Forecaster": Forecaster, "CharLM": CharLM, "Tagger": Tagger}[kind](**huge)
    monkeypatch.setattr(type(model), "_make_network", lambda self: pytest.fail("memory was given to a network"))
    data = {"Forecaster": (sine_frame(),), "CharLM": (TEXT,), "Tagger": tagged_sentences()}[kind]
    with pytest.raises(InputError, match=r"weights, and 2,147,483,648 are the most; choose smaller sizes") as caught:
        model.fit(*data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["num_layers", "hidden_size"])
@pytest.mark.parametrize("kind", [Forecaster, CharLM, Tagger])
def test_an_absurd_size_is_refused_where_it_is_set(kind, name):
    with pytest.raises(InputError, match=rf"^{name} 1000000 is not allowed: it should be less than or equal to"):
        kind(**{name: 1_000_000})


def test_weights_are_counted_as_a_network_has_them(models):
    for model in models.values():
        weights = len(model.network.parameters)
        assert 0.5 * weights < model._least_weights() <= weights
    assert count_weights(3, 5) == 4 * 5 * (3 + 5 + 1)


def test_a_state_dict_whose_layers_are_not_all_there_is_refused():
    arrays = {"weight_ih_l0": np.zeros((8, 3)), "weight_hh_l0": np.zeros((8, 2))}
    more = {"weight_ih_l999999999": np.zeros((8, 2))}
    with pytest.raises(ValueError, match="layers are not numbered from 0 to 1"):
        lstm_of_state_dict({**arrays, **more})

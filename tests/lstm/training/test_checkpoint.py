from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gatecast.lstm.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    DamagedError,
    FormatError,
    fingerprint,
    read,
    read_document,
    read_extra_file,
    write,
)

MODEL_FILES = ("model.json", "model.safetensors", "optimizer.safetensors")
FILES = (*MODEL_FILES, "notes.txt")


def contents(value=1.0):
    arrays = {
        "model": {"weight": np.full((2, 3), value, "float32"), "empty": np.empty((0, 2))},
        "optimizer": {"moment": np.linspace(0, value, 5), "count": np.array([3], "int64")},
    }
    document = {"settings": {"size": 0.1 + 0.2, "name": "Zürich"}, "history": [1, 2]}
    return Checkpoint("Forecaster", document, arrays, {"notes.txt": b"\x00kept"})


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_sentence(error):
    text = str(error.value)
    return "\n" not in text and text.endswith(".") and text[:-1].count(". ") == 0


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    original = contents()
    back = read(write(original, tmp_path / "folder" / "model"))
    assert (back.kind, back.document, back.extra_files) == (original.kind, original.document, original.extra_files)
    assert back.arrays.keys() == original.arrays.keys()
    for name, arrays in original.arrays.items():
        assert back.arrays[name].keys() == arrays.keys()
        for key, array in arrays.items():
            assert back.arrays[name][key].dtype == array.dtype
            assert np.array_equal(back.arrays[name][key], array)


def test_arrays_of_any_layout_come_back_with_their_values(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    path = write(Checkpoint("Forecaster", {}, {"model": {"t": array.T, "s": array[:, ::2]}}), tmp_path / "model")
    back = read(path).arrays["model"]
    assert np.array_equal(back["t"], array.T)
    assert np.array_equal(back["s"], array[:, ::2])


def test_the_same_contents_give_the_same_bytes_wherever_and_whenever(tmp_path):
    first = write(contents(), tmp_path / "a")
    second = write(contents(), tmp_path / "deep" / "b")
    assert tree(first) == tree(second)
    assert set(tree(first)) == {Path(name) for name in FILES}
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(write(contents(2.0), tmp_path / "c")) != fingerprint(first)


def test_other_programs_can_read_the_files_and_nothing_is_unpickled(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    path = write(contents(), tmp_path / "model")
    read(path)
    assert json.loads((path / "model.json").read_bytes())["kind"] == "Forecaster"
    assert safetensors.numpy.load_file(path / "model.safetensors")["weight"].shape == (2, 3)


def test_an_existing_path_is_refused_and_left_alone(tmp_path):
    path = write(contents(), tmp_path / "model")
    before = tree(tmp_path)
    with pytest.raises(CheckpointError, match="exists already") as caught:
        write(contents(2.0), path)
    assert one_sentence(caught)
    assert tree(tmp_path) == before


def test_overwrite_replaces_the_whole(tmp_path):
    path = write(contents(), tmp_path / "model")
    write(Checkpoint("Forecaster", {}, {"model": {"weight": np.zeros(2)}}), path, overwrite=True)
    assert set(tree(tmp_path)) == {Path("model/model.json"), Path("model/model.safetensors")}
    assert read(path).arrays["model"]["weight"].tolist() == [0, 0]


@pytest.mark.parametrize("failing", range(1, 5))
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing, overwrite):
    path = tmp_path / "model"
    if overwrite:
        write(contents(), path)
    before = tree(tmp_path)
    calls = []
    write_bytes = Path.write_bytes

    def fail(self, data):
        calls.append(self)
        if len(calls) == failing:
            write_bytes(self, data[:3])
            raise OSError("disk full")
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        write(contents(2.0), path, overwrite=overwrite)
    assert tree(tmp_path) == before
    assert not [leftover for leftover in tmp_path.iterdir() if leftover != path]


def removed(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-3])


def replaced(path):
    path.write_bytes(b"\xff\xfe not what was here")


def made_a_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [removed, emptied, truncated, replaced, made_a_directory])
@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, name, harm):
    path = write(contents(), tmp_path / "model")
    harm(path / name)
    with pytest.raises(DamagedError) as caught:
        read(path)
    assert one_sentence(caught), caught.value
    assert str(path / name) in str(caught.value)


@pytest.mark.parametrize("harm", [removed, emptied, truncated, replaced, made_a_directory])
def test_a_damaged_extra_file_is_named_and_left_out(tmp_path, harm, caplog):
    path = write(contents(), tmp_path / "model")
    harm(path / "notes.txt")
    assert read(path).extra_files == {}
    (message,) = caplog.messages
    assert message.startswith(str(path / "notes.txt"))
    with pytest.raises(CheckpointError) as caught:
        read_extra_file(path, "notes.txt")
    assert str(caught.value) == message
    assert one_sentence(caught)


def test_an_extra_file_is_read_alone(tmp_path):
    path = write(contents(), tmp_path / "model")
    (path / "model.safetensors").unlink()
    assert read_extra_file(path, "notes.txt") == b"\x00kept"
    with pytest.raises(CheckpointError, match=r"was written without other\.txt") as caught:
        read_extra_file(path, "other.txt")
    assert one_sentence(caught)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_single_bit_is_noticed(tmp_path, name):
    path = write(contents(), tmp_path / "model")
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        read_extra_file(path, name)
    if name in MODEL_FILES:
        with pytest.raises(CheckpointError, match="SHA-256 differs"):
            read(path)


def test_any_other_digit_in_the_document_is_noticed(tmp_path):
    path = write(contents(), tmp_path / "model")
    document = path / "model.json"
    text = document.read_text()
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    assert len(places) > 100
    for place in places:
        edited = f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"
        if json.loads(edited) == json.loads(text):
            continue  # the last digit of a number that float64 rounds
        document.write_text(edited)
        with pytest.raises(CheckpointError):
            read(path)


def test_a_document_that_lost_its_hash_is_noticed(tmp_path):
    path = write(contents(), tmp_path / "model")
    document = json.loads((path / "model.json").read_text())
    del document["sha256"]
    (path / "model.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"model\.json is damaged"):
        read(path)


def test_the_first_format_had_no_hash_of_its_own_and_can_still_be_read(tmp_path):
    path = write(contents(), tmp_path / "model")
    document = json.loads((path / "model.json").read_text())
    del document["sha256"]
    (path / "model.json").write_text(json.dumps({**document, "format": 1}))
    assert read(path).document == contents().document


@pytest.mark.parametrize(
    "text",
    ["[]", "5", "null", '"kind format files"', "{}", '["kind", "format", "files"]']
    + [
        json.dumps({"kind": "Forecaster", "format": 1, "files": files})
        for files in ([], 3, None, {"model.safetensors": 5})
    ]
    + [json.dumps({"kind": "Forecaster", "format": 1})],
)
def test_json_that_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, text):
    path = write(contents(), tmp_path / "model")
    (path / "model.json").write_text(text)
    with pytest.raises(DamagedError) as caught:
        read(path)
    assert one_sentence(caught), caught.value
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("format_", "sentence"), [(3, "a newer .* upgrade Gatecast"), (0, "an older .* use that Gatecast")]
)
def test_another_format_is_refused(tmp_path, format_, sentence):
    path = write(contents(), tmp_path / "model")
    document = json.loads((path / "model.json").read_bytes())
    (path / "model.json").write_text(json.dumps({**document, "format": format_}))
    with pytest.raises(FormatError, match=sentence) as caught:
        read(path)
    assert one_sentence(caught)


def test_the_document_and_an_extra_file_are_read_and_checked_alone(tmp_path):
    path = write(contents(), tmp_path / "model")
    (path / "model.safetensors").unlink()
    assert read_document(path)["kind"] == "Forecaster"
    name, content = next(iter(contents().extra_files.items()))
    assert read_extra_file(path, name) == content
    with pytest.raises(FormatError, match=r"without other\.json"):
        read_extra_file(path, "other.json")
    (path / name).write_bytes(content + b" ")
    with pytest.raises(DamagedError, match="SHA-256 differs"):
        read_extra_file(path, name)


def test_a_missing_checkpoint_and_a_file_in_its_place_are_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path):
        with pytest.raises(DamagedError, match="name a complete checkpoint") as caught:
            read(path)
        assert one_sentence(caught)


def test_a_name_that_ends_in_the_fingerprint_is_checked(tmp_path):
    made = write(contents(), tmp_path / "model")
    named = made.rename(tmp_path / f"v1-{fingerprint(made)}")
    assert read(named).kind == "Forecaster"
    wrong = named.rename(tmp_path / "v1-0123456789ab")
    with pytest.raises(DamagedError, match=r"not the one that v1-0123456789ab was named for") as caught:
        read(wrong)
    assert one_sentence(caught)


def test_a_document_that_was_edited_is_noticed_where_the_name_has_the_fingerprint(tmp_path):
    made = write(contents(), tmp_path / "model")
    named = made.rename(tmp_path / f"v1-{fingerprint(made)}")
    text = (named / "model.json").read_text()
    (named / "model.json").write_text(text.replace("Zürich", "Basel"))
    with pytest.raises(DamagedError, match="named for"):
        read(named)


def test_a_document_that_json_cannot_hold_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write(Checkpoint("Forecaster", {"loss": float("nan")}, {}), tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "more.safetensors", "../outside.txt", "in/it.txt"])
def test_an_extra_file_cannot_take_the_place_of_the_model(tmp_path, name):
    original = contents()
    with pytest.raises(ValueError, match=name):
        write(Checkpoint("Forecaster", {}, original.arrays, {name: b"{}"}), tmp_path / "folder" / "model")
    assert not tree(tmp_path)

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy

from gatecast import load
from gatecast.flows.settings.workspace import Workspace
from tests.flows.test_cli import gatecast

Trained = tuple[Workspace, dict[str, Any]]


def test_a_champion_and_a_folder_are_written_for_torch(trained: Trained, tmp_path: Path) -> None:
    workspace, result = trained
    written = []
    for number, model in enumerate(("sample-range", result["checkpoint"]["path"])):
        output = tmp_path / f"{number}.safetensors"
        options = ("--to", "torch", "--output", str(output), "--workspace", str(workspace.root))
        done = gatecast("export", model, *options)
        assert done.exit_code == 0, done.output
        assert str(output) in done.output
        assert "torch.nn.LSTM(input_size=4, hidden_size=4, num_layers=1, batch_first=True)" in done.output
        written.append(output.read_bytes())
    assert written[0] == written[1]
    arrays = safetensors.numpy.load(written[0])
    weights = load(result["checkpoint"]["path"]).network.parameters
    assert (arrays["lstm.weight_hh_l0"] == weights["lstm.weight_hh_l0"]).all()


def test_what_is_there_stays_unless_asked_for(copied: Workspace) -> None:
    first = gatecast("export", "sample-range", "--to", "torch")
    assert first.exit_code == 0, first.output
    (path,) = (copied.root / "exports").iterdir()
    path.write_text("mine")
    again = gatecast("export", "sample-range", "--to", "torch")
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert path.read_text() == "mine"
    assert gatecast("export", "sample-range", "--to", "torch", "--overwrite").exit_code == 0
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none-such"], "There is no model 'none-such', and no folder of a saved one; models: sample-range."),
        (["sample-range", "--to", "tensorflow"], "it should be onnx or torch."),
        (["sample-range", "--to", "torch", "--output", "."], "exists already"),
    ],
)
def test_a_wrong_option_is_one_sentence(copied: Workspace, arguments: list[str], expected: str) -> None:
    done = gatecast("export", *arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output


def test_a_damaged_model_is_named_and_nothing_is_written(copied: Workspace) -> None:
    (weights,) = copied.models.glob("sample-range/v*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    done = gatecast("export", "sample-range", "--to", "torch")
    assert done.exit_code == 2
    assert str(weights) in done.output
    assert not (copied.root / "exports").exists()


@pytest.mark.skipif(importlib.util.find_spec("onnx") is not None, reason="onnx is installed here")
def test_without_onnx_the_mend_is_named(copied: Workspace) -> None:
    done = gatecast("export", "sample-range")
    assert done.exit_code == 2
    assert "pip install 'gatecast[onnx]'" in done.output
    assert not (copied.root / "exports").exists()

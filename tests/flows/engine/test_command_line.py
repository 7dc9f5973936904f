from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gatecast.flows.engine.command_line import CommandLine

ROOT = Path(__file__).parents[3]


def command(text: str) -> CommandLine:
    program, *words = shlex.split(text)
    return CommandLine(program, tuple(words))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("gatecast fetch --source yahoo --workspace /w --symbols A", "gatecast fetch --source yahoo --symbols A"),
        ("gatecast fetch --workspace=/w --verbose", "gatecast fetch --verbose"),
        ("gatecast fetch --workspace /v --workspace=/w", "gatecast fetch"),
        ("gatecast fetch --workspaces /w", "gatecast fetch --workspaces /w"),
    ],
)
def test_an_option_is_taken_out_with_its_value(typed: str, expected: str) -> None:
    assert str(command(typed).without("--workspace")) == expected


def test_an_option_is_found_however_it_is_written() -> None:
    assert command("gatecast retrain --workspace /w").option("--workspace") == ("--workspace", "/w")
    assert command("gatecast retrain --workspace=/w").option("--workspace") == ("--workspace=/w",)
    assert command("gatecast retrain").option("--workspace") == ()


def test_added_words_are_there_once_and_quoted() -> None:
    typed = command("gatecast retrain --resume --name 'a b'")
    assert str(typed.adding("--resume")) == "gatecast retrain --name 'a b' --resume"


def test_an_option_is_called_as_it_was_typed() -> None:
    typed = command("gatecast retrain --max-epochs=3")
    assert typed.spelling(("--epochs", "--max-epochs")) == "--max-epochs"
    assert typed.spelling(("--samples", "--n-samples")) == "--samples"


def test_a_program_off_the_search_path_is_called_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "gatecast"), "retrain"])
    assert str(CommandLine.typed()) == "bin/gatecast retrain"
    monkeypatch.setattr("sys.argv", ["/usr/lib/pytest/__main__.py", "retrain"])
    assert str(CommandLine.typed()) == "gatecast retrain"


def test_the_arguments_of_the_process_are_read_in_one_place() -> None:
    folders = (ROOT / room for room in ("data", "flows", "kernels", "lstm"))
    files = [file for folder in folders for file in folder.rglob("*.py") if "sys.argv" in file.read_text()]
    assert [file.relative_to(ROOT).as_posix() for file in files] == ["flows/engine/command_line.py"]

from __future__ import annotations

import errno
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gatecast.data.sequences.splits import SplitSettings
from gatecast.flows.cli import app
from gatecast.flows.commands.retrain import RetrainOptions
from gatecast.flows.engine.terminal import counted, explain
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import contents
from tests.flows.typed import parsed

SMALL = (
    "--symbols sp500 --start 2010-01-01 --end 2015-06-30 --lookback 8 --hidden-size 4 --epochs 3".split()  # noqa: SIM905
)
HEADER = "Date,Open,High,Low,Close,Volume\n"
ROW = "2020-01-{day:02d},10,11,9,10,100\n"


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


COMMANDS = ["retrain", "forecast", "backtest", "monitor", "export", "doctor"]
OF_MODELS = ["list", "show", "compare", "promote", "rollback", "prune"]


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), *(["models", name] for name in OF_MODELS)])
def test_every_command_explains_itself(command: list[str]) -> None:
    done = gatecast(*command, "--help")
    assert done.exit_code == 0
    assert "--workspace" in plain(done.output)


def test_the_variants_of_the_layer_are_options() -> None:
    typed = "--layers 2 --bidirectional --residual-layers --layer-norm --attention additive --heads 2 --dropout 0.2"
    model = (
        parsed(RetrainOptions, *typed.split(), "--backend", "auto", "--dtype", "float64").fleet.settings().retrain.model
    )
    chosen = {
        "num_layers": 2, "bidirectional": True, "residual_layers": True, "layer_norm": True, "attention": "additive",
        "attention_heads": 2, "dropout": 0.2, "backend": "auto", "dtype": "float64",
    }  # fmt: skip
    assert {name: getattr(model, name) for name in chosen} == chosen
    assert model.model_fields_set == set(chosen)


def test_the_gate_and_the_split_are_set_by_options() -> None:
    typed = "--minimum-gain 0.01 --gate-test bootstrap --significance 0.1 --test-fraction 0.3 --purge 2"
    settings = parsed(RetrainOptions, *typed.split()).fleet.settings().retrain
    assert (settings.gate.minimum_gain, settings.gate.test, settings.gate.significance) == (0.01, "bootstrap", 0.1)
    assert settings.split == SplitSettings(test_fraction=0.3, purge=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--lookback", "-5"], "--lookback -5 is not allowed: it should be greater than 0, or 'auto'."),
        (["--stateful", "--bidirectional"], "bidirectional would show what follows; choose one"),
        (["--residual-layers"], "choose --num-layers of at least 2"),
        (["--attention", "cosine"], "--attention cosine is not allowed: it should be 'none', 'dot', 'general' or"),
        (["--dropout", "1"], "--dropout 1.0 is not allowed: it should be less than 1."),
        (["--dropout-kind", "locked"], "it should be 'variational' or 'per_step'."),
        (["--heads", "4"], "--attention-heads needs an attention"),
        (["--attention", "dot", "--heads", "5"], "--attention-heads is 5; choose a divisor of 32"),
        (["--epochs", "0"], "--epochs 0 is not allowed: it should be greater than 0, or 'auto'."),
        (["--target", "volume"], "--target volume is not allowed: it should be 'range', 'return' or 'close'."),
        (["--source", "excel"], "--source excel is not allowed"),
        (["--train-end", "2010-01-01"], "Give both --train-end and --validation-end, or neither."),
        (
            ["--train-end", "2010-01-01", "--validation-end", "2011-01-01", "--test-fraction", "0.5"],
            "leave --test-fraction out.",
        ),
        (["--validation-fraction", "0.6", "--test-fraction", "0.4"], "--test-fraction leave nothing to train on"),
        (["--backend", "gpu"], "--backend gpu is not allowed: it should be 'cpu', 'cuda' or 'auto'."),
        (["--patience", "0"], "--patience 0 is not allowed: it should be greater than 0, or 'auto'."),
        (["--name", "../up"], "--name ../up is not allowed: it should be letters, digits, dots, dashes and"),
        (["--max-stale", "5 days"], "--max-stale 5 days is not allowed: it should be a number and d, h or min, as 5d"),
        (["--minimum-gain", "2"], "--minimum-gain 2.0 is not allowed: it should be less than 1."),
        (["--gate-test", "t"], "--gate-test t is not allowed: it should be 'none', 'diebold-mariano' or 'bootstrap'."),
    ],
)
def test_a_wrong_option_is_one_sentence(workspace: Workspace, arguments: list[str], expected: str) -> None:
    done = gatecast("retrain", *arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output
    assert not workspace.root.exists()


def test_an_option_of_several_spellings_is_named_as_it_was_typed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed in (["--heads", "3"], ["--attention-heads=3"]):
        arguments = ["retrain", "--attention", "dot", *typed]
        monkeypatch.setattr(sys, "argv", ["gatecast", *arguments])
        assert f"Error: {typed[0].partition('=')[0]} is 3; choose a divisor" in gatecast(*arguments).output


def test_numbers_go_with_their_nouns() -> None:
    assert [counted(number, "epoch") for number in (0, 1, 2, 1000)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,000 epochs",
    ]


def test_an_unknown_option_is_a_usage_error() -> None:
    assert gatecast("retrain", "--no-such-option").exit_code == 2
    assert gatecast("no-such-command").exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "does not exist"),
        ("", "is empty"),
        (HEADER.replace("Close", "Price") + ROW.format(day=1), "no column 'close'"),
        (HEADER + ROW.format(day=1) + "2020-01-02,10,11,9,ten,100\n", "row 2"),
        (HEADER + ROW.format(day=1) + "2020-01-02,10,inf,9,10,100\n", "row 2"),
        (HEADER + ROW.format(day=1) * 2, "row 2"),
        (HEADER + ROW.format(day=2) + ROW.format(day=1), "row 2"),
        (HEADER + "".join(ROW.format(day=day) for day in range(1, 4)), "give"),
    ],
    ids=["missing", "empty", "column", "text", "infinity", "twice", "unsorted", "short"],
)
def test_a_wrong_file_changes_nothing(
    copied: Workspace, server: str, tmp_path: Path, text: str | None, expected: str
) -> None:
    path = tmp_path / "sp500.csv"
    if text is not None:
        path.write_text(text)
    before = contents(copied.root)
    done = gatecast("retrain", "--source", "csv", "--path", str(path), "--name", "sample-range")
    assert done.exit_code == 2, done.output
    assert expected in done.output
    assert done.output.count("Error:") == 1
    assert "Traceback" not in done.output
    after = contents(copied.root)
    assert {name: after.get(name) for name in before} == before


def test_a_damaged_champion_is_named(copied: Workspace, server: str) -> None:
    (weights,) = copied.models.glob("sample-range/v*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    done = gatecast("forecast")
    assert done.exit_code == 2
    assert str(weights) in done.output


def test_retrain_ends_with_scores_paths_and_the_next_command(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    done = gatecast("retrain", *SMALL)
    assert done.exit_code == 0, done.output
    for expected in (
        "HAR(1,5,22)",
        in_trained[1]["evaluate"]["summary"].split(",")[0],  # the verdict
        "Seconds",
        str(in_trained[0].root),
        "unchanged, from cache",
    ):
        assert expected in done.output
    assert done.output.rstrip().splitlines()[-1] == "Next: gatecast forecast --name sample-range"
    for path in re.findall(rf"{in_trained[0].root}\S+", done.output):
        assert Path(path).exists()


def test_forecast_prints_what_it_wrote(trained: tuple[Workspace, dict[str, Any]]) -> None:
    done = gatecast("forecast", "--workspace", str(trained[0].root))
    assert done.exit_code == 0, done.output
    assert "sp500: expected daily volatility" in done.output
    verdict = trained[1]["evaluate"]["summary"].split(",")[0]
    assert f"On its test rows, 2014-01-03 to 2015-06-30: {verdict}" in done.output
    assert trained[1]["forecast"]["path"] in done.output


def test_an_interrupt_names_the_command_that_goes_on(
    workspace: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatecast.flows import retrain

    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retrain.evaluation, "sequence_settings", interrupt)
    monkeypatch.setattr(sys, "argv", ["gatecast", "retrain", *SMALL])
    done = gatecast("retrain", *SMALL)
    assert done.exit_code == 130
    assert f"gatecast retrain {' '.join(SMALL)} --resume" in done.output


def test_a_failure_of_ours_is_one_sentence_and_status_1(
    workspace: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatecast.flows import retrain

    def fail(*arguments: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(retrain.evaluation, "sequence_settings", fail)
    done = gatecast("retrain", *SMALL)
    assert done.exit_code == 1
    assert "OSError: No space left on device" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("error", "free", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            10**9,
            "The disk of {root} is full; free some space and run",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/else/where"), 10**9, "The disk of /else/where is full;"),
        (RuntimeError("Prefect's server ended while it started"), 0, "The disk of {root} is full; free some space and"),
        (RuntimeError("Prefect's server ended while it started"), 10**9, "RuntimeError: Prefect's server ended"),
    ],
)
def test_a_full_disk_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception, free: int, expected: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    sentence, status = explain(error)
    assert expected.format(root=workspace.root) in sentence
    assert status == 1


def test_doctor_finds_nothing_broken(workspace: Workspace) -> None:
    done = gatecast("doctor")
    assert done.exit_code == 0, done.output
    for expected in ("Python", "gatecast from", "processor", "kernels", "GPU", "workspace", "Prefect", "yfinance"):
        assert expected in done.output

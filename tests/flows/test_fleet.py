from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast import load
from gatecast.data.errors import InputError
from gatecast.data.store import read_json, read_parquet
from gatecast.flows import fleet as module
from gatecast.flows.cli import app
from gatecast.flows.commands.fleet import read_groups
from gatecast.flows.engine.runners import require_runner
from gatecast.flows.fleet import fleet, outcome, outcome_table
from gatecast.flows.member import Member, member_name, train_one
from gatecast.flows.monitor import monitor
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import FleetSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import SparingCheckpoints
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.training import epochs
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import TrainedModel

MODEL = {"lookback": 8, "hidden_size": 4, "max_epochs": 2}
GROUPS = (("a",), ("b",), ("c", "d"), ("short",), ("none",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    parts = []
    for name, rows in (("a", 150), ("b", 150), ("c", 150), ("d", 150), ("short", 6)):
        y = np.sin(np.arange(rows) / 3) + 0.1 * rng.normal(size=rows)
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range("2020-01-01", periods=rows), "y": y}))
    file = tmp_path / "load.csv"
    pd.concat(parts).to_csv(file, index=False)
    return file


def settings(path: Path, **changes: Any) -> FleetSettings:
    retrain = RetrainSettings(data=DataSettings(source="csv", path=path), model=ForecasterSettings(**MODEL))
    return FleetSettings(**{"retrain": retrain, "groups": GROUPS, "runner": "threads", "workers": 2, **changes})


def by_symbols(result: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(each["symbols"]): each for each in result["outcomes"]}


def test_a_member_of_a_fleet_may_be_an_ensemble(server: str, workspace: Workspace, path: Path) -> None:
    data = DataSettings(source="csv", path=path)
    retrain = RetrainSettings(data=data, model=ForecasterSettings(**MODEL, n_models=2, ensemble="median"))
    (made,) = fleet(settings(path, retrain=retrain, groups=(("a",),)))["outcomes"]
    registry = Registry(workspace, made["name"])
    assert [member.settings.seed for member in load(registry.path(made["version"])).members] == [0, 1]
    assert np.isfinite(read_parquet(Path(made["forecast"]))[0]["y_hat"]).all()


def test_the_fleet_goes_on_when_some_fail_and_trains_no_model_twice(
    server: str, workspace: Workspace, path: Path
) -> None:
    result = fleet(settings(path))
    found = by_symbols(result)
    assert {group for group, each in found.items() if each["error"]} == {("short",), ("none",)}
    assert "no series none" in found[("none",)]["error"]
    assert "rows from 2020-01-01 to 2020-01-06 leave" in found[("short",)]["error"]
    for group in GROUPS[:3]:
        registry = Registry(workspace, found[group]["name"])
        assert registry.versions() == [found[group]["version"]] == [registry.champion()]
        assert registry.settings(registry.versions()[0]).data.symbols == group
        assert set(load(registry.path(registry.versions()[0])).scalers) == set(group)
        assert registry.lineage(registry.versions()[0])["last"] == "2020-05-29"
        forecasts, metadata = read_parquet(Path(found[group]["forecast"]))
        assert sorted(forecasts["unique_id"]) == sorted(group)
        assert metadata["version"] == found[group]["version"]
    assert Path(result["failed"]).read_text() == "none\nshort\n"
    stored = read_json(Path(result["report"]))
    assert [each["forecast"] and str(workspace.found(each["forecast"])) for each in stored] == [
        each["forecast"] for each in result["outcomes"]
    ]
    assert str(workspace.root) not in Path(result["report"]).read_text()

    judged = monitor(MonitorSettings(name=found[("a",)]["name"]))["check"]
    assert " in " in judged["summary"]

    again = by_symbols(fleet(settings(path)))
    assert [again[group]["cached"] for group in GROUPS] == [True, True, True, None, None]
    assert again[("a",)]["version"] == found[("a",)]["version"]


def test_without_groups_every_series_is_a_model(server: str, workspace: Workspace, path: Path) -> None:
    found = by_symbols(fleet(settings(path, groups=())))
    assert set(found) == {("a",), ("b",), ("c",), ("d",), ("short",)}
    assert [each["symbols"] for each in found.values() if each["error"]] == [["short"]]


def killing(settings: RetrainSettings, *arguments: Any, **options: Any) -> Any:
    """Stands for `train_one`; the first time, the model of series b kills its process after two epochs."""
    workspace = arguments[-1]
    once = workspace.root / "killed-once"
    if settings.data.symbols != ("b",):
        return train_one(settings, *arguments, **options)
    if once.exists():
        left = sorted(path.name for path in workspace.models.joinpath(str(settings.name)).rglob("epoch-*"))
        once.write_text(f"{options} {left}")
        return train_one(settings, *arguments, **options)
    leave = SparingCheckpoints.__call__

    def leave_and_die(checkpoints: SparingCheckpoints, record: EpochRecord) -> None:
        leave(checkpoints, record)
        if record.epoch == 2:
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SparingCheckpoints, "SHARE", math.inf)  # a checkpoint after each epoch
        patch.setattr(SparingCheckpoints, "__call__", leave_and_die)
        return train_one(settings, *arguments, **options)


def test_a_killed_process_loses_no_model_and_processes_train_the_same_as_threads(
    server: str, workspace: Workspace, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = (("a",), ("b",), ("c",), ("short",))
    threads = by_symbols(fleet(settings(path, groups=groups)))
    with monkeypatch.context() as patch:
        patch.setattr(module, "train_one", killing)
        processes = by_symbols(fleet(settings(path, runner="processes", groups=groups), force=True))
    assert (workspace.root / "killed-once").read_text() == "{'resume': True} ['epoch-0001', 'epoch-0002']"
    assert processes[groups[-1]]["error"] == threads[groups[-1]]["error"]
    for group in groups[:-1]:
        assert processes[group]["error"] is None
        assert processes[group]["cached"] is False
        assert processes[group]["version"] == threads[group]["version"]


class StopError(Exception):
    """Stands for what ends a training in its middle."""


@pytest.mark.parametrize("model", [{}, {"warm_start": True}, {"n_models": 2}], ids=["plain", "warm", "ensemble"])
def test_a_fleet_that_was_interrupted_goes_on_with_the_same_bits(
    server: str,
    workspace: Workspace,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: dict[str, Any],
) -> None:
    warm = model.pop("warm_start", False)
    forecaster = ForecasterSettings(**{**MODEL, **model, "max_epochs": 5, "patience": 5})
    retrain = RetrainSettings(data=DataSettings(source="csv", path=path), model=forecaster, warm_start=warm)
    given = settings(path, retrain=retrain, groups=(("a",), ("b",), ("c",)), workers=1)
    with monkeypatch.context() as patch:
        patch.setenv("GATECAST_HOME", str(tmp_path / "uninterrupted"))
        whole = by_symbols(fleet(given))

    with monkeypatch.context() as patch:
        interrupt(patch, ("b",), 3)
        stopped = by_symbols(fleet(given))
    assert [stopped[(name,)]["error"] is None for name in "abc"] == [True, False, True]
    assert "stopped" in stopped[("b",)]["error"]
    trainings = list((workspace.models / "load-b" / ".training").rglob("epoch-*"))
    assert trainings, "the model that was interrupted left no checkpoint"
    assert not list((workspace.models / "load-a").rglob("epoch-*")), "a finished model keeps its checkpoints"

    found: list[Path] = []
    newest = epochs.newest

    def spy(folder: Path, load: Any) -> Any:
        result = newest(folder, load)
        found.extend([result[0]] if result else [])
        return result

    monkeypatch.setattr(epochs, "newest", spy)
    resumed = by_symbols(fleet(given, resume=True))
    assert [resumed[(name,)]["cached"] for name in "abc"] == [True, False, True]
    assert {path.name for path in found} <= {path.name for path in trainings}
    assert found, "it began again"
    assert [resumed[(name,)]["version"] for name in "abc"] == [whole[(name,)]["version"] for name in "abc"]
    assert not list(workspace.models.rglob("epoch-*"))


def interrupt(patch: pytest.MonkeyPatch, symbols: tuple[str, ...], epoch: int) -> None:
    """Let the training of a model end after an epoch."""
    sound = module.train_one

    def train(settings: RetrainSettings, *arguments: Any, **options: Any) -> Any:
        if settings.data.symbols != symbols:
            return sound(settings, *arguments, **options)
        save = TrainedModel.save

        def save_and_stop(model: TrainedModel[Any], path: Path, *rest: Any, **more: Any) -> Path:
            saved = save(model, path, *rest, **more)
            if model.epochs == epoch:
                raise StopError("stopped")
            return saved

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(TrainedModel, "save", save_and_stop)
            inner.setattr(SparingCheckpoints, "SHARE", math.inf)  # a checkpoint after each epoch
            return sound(settings, *arguments, **options)

    patch.setattr(module, "train_one", train)


def test_a_model_that_always_kills_its_worker_is_given_up(
    server: str, workspace: Workspace, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = module._outcome_of
    tried: list[str] = []

    def outcome_of(member: Member, future: Any) -> Any:
        tried.append(str(member.settings.name))
        return None if member.settings.data.symbols == ("b",) else sound(member, future)

    monkeypatch.setattr(module, "_outcome_of", outcome_of)
    found = by_symbols(fleet(settings(path, groups=(("a",), ("b",), ("c",)))))
    assert [found[(name,)]["error"] for name in "ac"] == [None, None]
    assert "died 2 times" in found[("b",)]["error"]
    assert tried.count("load-b") == 1 + module.ATTEMPTS


@pytest.mark.parametrize("symbol", ["AAPL", "^GSPC", "GSPC", "BRK.B", "a/b", "a-b", "x" * 100, "Ä"])
def test_names_of_models_are_safe_and_differ(symbol: str) -> None:
    name = member_name("prices-close", (symbol,))
    RetrainSettings(name=name)
    others = [("A", "B"), ("A-B",), ("GSPC",), ("^GSPC",), ("a/b",), ("a", "b")]
    names = {member_name("prices-close", group) for group in others}
    assert len(names) == len(others)
    if symbol == "AAPL":
        assert name == "prices-close-AAPL"


def test_a_file_of_symbols(tmp_path: Path) -> None:
    file = tmp_path / "symbols.txt"
    file.write_text("# tech\nAAPL\n\nMSFT, GOOG  # two in one\n^GSPC\n")
    assert read_groups(file) == (("AAPL",), ("MSFT", "GOOG"), ("^GSPC",))


NAMES = ("a,b", "C#", 'say "a"', "two\nlines", "because\u2028it is", "a\x85\x1cb", "plain")


def test_the_models_that_failed_can_be_trained_again_whatever_their_series_are_called(tmp_path: Path) -> None:
    outcomes = [module.outcome(f"m{number}", [name, "x"], error="no") for number, name in enumerate(NAMES)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "create_table_artifact", lambda *arguments, **options: None)
        failed = module.summarise.fn("m", outcomes, tmp_path, Workspace(root=tmp_path))["failed"]
    assert read_groups(Path(failed)) == tuple((name, "x") for name in NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "names no series"),
        (b"# nothing\n", "names no series"),
        (b"A\nB\nA\n", "line 3: 'A' is in line 1 already"),
        (b"A,,B\n", "line 1: 'A,,B' names an empty series"),
        (b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_a_wrong_file_of_symbols_is_named(tmp_path: Path, text: bytes, expected: str) -> None:
    file = tmp_path / "symbols.txt"
    file.write_bytes(text)
    with pytest.raises(InputError, match=expected):
        read_groups(file)


def test_a_runner_whose_extra_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_runner("processes")
    for runner in ("dask", "ray"):
        with pytest.raises(InputError, match=rf"pip install 'gatecast\[{runner}\]'"):
            require_runner(runner)


def test_the_table_has_the_failed_first_and_then_the_worst() -> None:
    figures = {"version": "v0001-aaaaaaaaaaaa", "champion": "v0001-aaaaaaaaaaaa", "cached": False}
    outcomes = [
        outcome("good", ["g"], skill=0.5, **figures),
        outcome("bad", ["b"], skill=-0.5, **figures),
        outcome("failed", ["f"], error="it failed"),
    ]
    assert [(row["model"], row["outcome"]) for row in outcome_table(outcomes)] == [
        ("failed", "failed"),
        ("bad", "champion"),
        ("good", "champion"),
    ]


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["retrain", *arguments], env={"COLUMNS": "160"})


def test_the_command_ends_with_a_table_and_what_trains_the_failed_again(
    server: str, workspace: Workspace, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "symbols.txt").write_text("a\nshort\n")
    options = f"--source csv --path {path} --lookback 8 --hidden-size 4 --epochs 2 --runner threads".split()
    typed = [*options, "--symbols-file", str(tmp_path / "symbols.txt")]
    monkeypatch.setattr("sys.argv", ["gatecast", "retrain", *typed])
    done = gatecast(*typed)
    assert done.exit_code == 1, done.output
    for expected in ("load-a", "v0001", "1 of 2 models failed", "for training and 0 for validation"):
        assert expected in done.output
    command = done.output.split("to train them again: ")[1].strip()
    assert command == f"gatecast retrain {shlex.join(options)} --symbols-file {workspace.reports}/load-fleet/failed.txt"
    again = gatecast(*shlex.split(command)[2:])
    assert again.exit_code == 1
    assert "1 of 1 models failed" in again.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--symbols-file", "none.txt"], "none.txt does not exist"),
        (["--symbols-file", "{file}", "--symbols", "a"], "give one of them"),
        (["--symbols-file", "{file}", "--runner", "spark"], "--runner spark is not allowed"),
        (["--symbols-file", "{file}", "--workers", "0"], "--workers 0 is not allowed"),
        (["--symbols-file", "{file}", "--lookback", "0"], "--lookback 0 is not allowed"),
    ],
)
def test_wrong_input_is_one_sentence(workspace: Workspace, tmp_path: Path, arguments: list[str], expected: str) -> None:
    (tmp_path / "symbols.txt").write_text("a\n")
    done = gatecast(*(word.format(file=tmp_path / "symbols.txt") for word in arguments))
    assert done.exit_code == 2
    assert expected in done.output
    assert not workspace.root.exists()


POOL = """
import os, signal
from gatecast.flows.engine.runners import task_runner
from gatecast.flows.settings.runs import FleetSettings

if __name__ == "__main__":
    with task_runner(FleetSettings(runner="processes", workers=1)) as (_, pool):
        child = pool.submit(os.getpid).result()
        left = pool.submit(signal.pause)
"""


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", POOL + text], capture_output=True, text=True, timeout=120)


def test_a_program_ends_although_a_process_of_its_pool_was_killed() -> None:
    done = run_program("        os.kill(child, signal.SIGKILL)\n        print(type(left.exception()).__name__)\n")
    assert done.stdout.strip() == "BrokenProcessPool", done.stderr
    assert done.returncode == 0


def test_the_processes_of_a_pool_end_with_a_program_that_is_killed() -> None:
    done = run_program("        print(child, flush=True)\n        os.kill(os.getpid(), signal.SIGKILL)\n")
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 60
    while Path(f"/proc/{int(done.stdout)}").exists():
        assert time.monotonic() < until, "the process is still there"
        time.sleep(0.1)

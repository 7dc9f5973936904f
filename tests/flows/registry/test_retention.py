"""What nobody needs goes; what a champion, a rollback, a training or a reader needs stays."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatecast.data.errors import InputError
from gatecast.data.leftovers import sweep
from gatecast.data.locks import lock_file
from gatecast.flows.registry import retention
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.registry.retention import DAY, FORECASTS, Rule, clean_up, superfluous
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.workspace import Workspace
from tests.damage import one_bit

NIGHTS = 8
NAME = "model"


def put(path: Path, age_days: float, now: float) -> Path:
    """Write a file that is so old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)
    aged(path, age_days, now)
    return path


def aged(path: Path, age_days: float, now: float) -> None:
    os.utime(path, (now - age_days * DAY,) * 2)


def key(number: int) -> str:
    return f"{number:012x}"


class Nights:
    """A workspace after `NIGHTS` nights; that many days ago, the first of them made version 1."""

    def __init__(self, root: Path, promoted: Sequence[int] = (1, 2, 5)) -> None:
        self.workspace = Workspace(root)
        self.now = time.time()
        self.registry = Registry(self.workspace, NAME)
        for night in range(1, NIGHTS + 1):
            self._add(night, NIGHTS - night, promoted=night in promoted)

    def _add(self, night: int, age: float, *, promoted: bool) -> None:
        workspace = self.workspace
        data = workspace.bars / f"sample-{key(night)}"
        put(data / "a.parquet", age, self.now)
        candidate = self.registry.candidate()
        put(candidate / "model.json", age, self.now)
        version = self.registry.add(candidate, key(night), {"data": str(data), "data_hash": key(night)})
        if promoted:
            self.registry.record(Decision(version, self.registry.champion(), True, f"night {night}", version))
        copy = self.registry.refit_path(version)
        put(copy / "model.json", age, self.now)
        training = self.registry.training_directory(key(night))
        for part in ("epoch-0001", "epoch-0002", "model"):
            put(training / part / "model.json", age, self.now)
        sequences = workspace.sequences / f"{NAME}-{key(night)}"
        put(sequences / "series.parquet", age, self.now)
        report = workspace.reports / NAME / key(night)
        for part in ("report.html", "evaluation.json", "forecast.png", "predictions.parquet"):
            put(report / part, age, self.now)
        put(workspace.forecasts / NAME / f"2020-01-{night:02}.parquet", age, self.now)
        aged(self.registry.path(version) / "lineage.json", age, self.now)

    def rule(self, keep: int = 3, keep_days: float = 0) -> Rule:
        return Rule(RetentionSettings(keep=keep, keep_days=keep_days), self.now)

    def versions(self) -> list[int]:
        return [int(version[1:5]) for version in self.registry.versions()]

    def keyed(self, folder: Path) -> list[int]:
        return sorted(int(path.name[-12:], 16) for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_newest_and_what_the_champion_and_a_rollback_need_stay(nights: Nights) -> None:
    workspace = nights.workspace
    expected = list(superfluous(workspace, nights.rule()))
    assert list(clean_up(workspace, nights.rule())) == expected
    assert nights.versions() == [2, 5, 6, 7, 8]
    assert nights.registry.champion() == nights.registry.find("5")
    assert nights.registry.former_champions()[:1] == [nights.registry.find("2")]
    assert nights.keyed(workspace.bars) == [2, 5, 8]
    copies = {path.name for path in (nights.registry.directory / "refits").iterdir()}
    assert copies == {f"{nights.registry.find(text)}-refit" for text in ("2", "5")}
    assert nights.keyed(workspace.sequences) == [8]
    training = nights.registry.training_directory(key(8))
    assert [path.name for path in training.parent.iterdir()] == [key(8)]
    assert [path.name for path in training.iterdir()] == ["model"]
    reports = workspace.reports / NAME
    assert nights.keyed(reports) == [6, 7, 8]
    assert {path.name for path in (reports / key(7)).iterdir()} == {"report.html", "evaluation.json"}
    assert len(list((reports / key(8)).iterdir())) == 4
    assert len(list((workspace.forecasts / NAME).iterdir())) == NIGHTS
    assert not list(workspace.root.rglob("*.tmp"))
    assert list(superfluous(workspace, nights.rule())) == []


def test_what_is_young_stays(nights: Nights) -> None:
    assert list(superfluous(nights.workspace, nights.rule(keep=1, keep_days=NIGHTS))) == []
    list(clean_up(nights.workspace, nights.rule(keep=1, keep_days=3.5)))
    assert nights.versions() == [2, 5, 6, 7, 8]


def test_a_pinned_version_stays_however_old_it_is(tmp_path: Path) -> None:
    nights = Nights(tmp_path, promoted=(1, 2, 3))
    pinned = nights.registry.find("1")
    decision = Decision(pinned, nights.registry.champion(), True, "pinned by hand", pinned, "pin", pinned=True)
    nights.registry.record(decision)
    list(clean_up(nights.workspace, nights.rule(keep=1)))
    assert nights.versions() == [1, 3, 8]
    assert nights.keyed(nights.workspace.bars) == [1, 3, 8]


def test_a_model_that_is_being_trained_is_left_alone(nights: Nights) -> None:
    with lock_file(nights.registry.directory / ".retrain.lock"):
        list(clean_up(nights.workspace, nights.rule(keep=1)))
    assert nights.versions() == list(range(1, NIGHTS + 1))
    assert nights.keyed(nights.workspace.sequences) == list(range(1, NIGHTS + 1))


def test_an_interrupted_training_can_be_resumed_for_a_week(nights: Nights) -> None:
    first, newest = (nights.registry.training_directory(key(100 + number)) for number in range(2))
    for folder, age in ((first, 5.0), (newest, 0.0)):
        put(folder / "epoch-0003" / "model.json", age, nights.now)
    # One that has ended, and was begun again with --force.
    again = nights.registry.training_directory(key(8))
    aged(again / "epoch-0002" / "model.json", -0.1, nights.now)
    list(clean_up(nights.workspace, nights.rule()))
    assert (first / "epoch-0003" / "model.json").exists()
    assert (newest / "epoch-0003" / "model.json").exists()
    assert (again / "epoch-0002" / "model.json").exists()
    later = Rule(RetentionSettings(keep=3), nights.now + 4 * DAY)
    list(clean_up(nights.workspace, later))
    assert not first.exists()
    assert newest.exists()


def test_data_that_a_run_may_have_just_read_stay(nights: Nights) -> None:
    aged(nights.workspace.bars / f"sample-{key(3)}" / "a.parquet", 0.5, nights.now)
    list(clean_up(nights.workspace, nights.rule()))
    assert nights.keyed(nights.workspace.bars) == [2, 3, 5, 8]


def test_the_monitor_keeps_its_forecasts(nights: Nights) -> None:
    folder = nights.workspace.forecasts / NAME
    for number in range(FORECASTS):
        put(folder / f"older-{number:03}.parquet", 100 + number, nights.now)
    list(clean_up(nights.workspace, nights.rule()))
    assert len(list(folder.iterdir())) == FORECASTS
    assert not (folder / f"older-{FORECASTS - 1:03}.parquet").exists()


def test_results_of_steps_go_with_their_files(nights: Nights) -> None:
    storage = nights.workspace.prefect / "storage"
    contents = {"gone": {"files": {str(nights.registry.training_directory(key(1)) / "model" / "model.json"): "0"}},
                "there": {"files": {str(nights.registry.path(nights.registry.find("8")) / "model.json"): "0"}},
                "none": {"files": {}}, "expired": None}  # fmt: skip
    for name, value in contents.items():
        path = put(storage / name, 0, nights.now)
        path.write_text(json.dumps({"metadata": {}, "result": json.dumps({"sha256": "0", "value": value})}))
        aged(path, 2, nights.now)
    put(storage / "of somebody else", 9, nights.now)
    list(clean_up(nights.workspace, nights.rule()))
    assert {path.name for path in storage.iterdir()} == {"there", "none", "of somebody else"}


def test_nothing_goes_while_it_is_not_on_record_who_the_champion_is(
    nights: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("champion.json", "promotions.jsonl"):
        (nights.registry.directory / name).write_text("damaged")
    with pytest.raises(InputError):
        nights.registry.champion()
    list(clean_up(nights.workspace, nights.rule(keep=1)))
    assert nights.versions() == list(range(1, NIGHTS + 1))
    assert nights.keyed(nights.workspace.bars) == list(range(1, NIGHTS + 1))
    assert "choose one" in caplog.text


def test_a_damaged_pointer_loses_nothing(nights: Nights) -> None:
    one_bit(nights.registry.directory / "champion.json")
    list(clean_up(nights.workspace, nights.rule(keep=1)))
    assert nights.versions() == [2, 5, 8]


class KilledError(BaseException):
    """What stands for a kill."""


@pytest.mark.parametrize("at", range(6))
def test_a_kill_in_the_middle_leaves_versions_whole_or_absent(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = retention.remove
    calls = iter(range(1000))

    def killed(path: Path) -> None:
        if next(calls) == at * 4:
            next(part for part in (*path.rglob("*"), path) if part.is_file()).unlink()  # half removed
            raise KilledError
        real(path)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(retention, "remove", killed)
        list(clean_up(nights.workspace, nights.rule()))
    assert {2, 5, 6, 7, 8} <= set(nights.versions())
    assert all((nights.registry.path(version) / "model.json").exists() for version in nights.registry.versions())
    sweep(nights.workspace.root)
    list(clean_up(nights.workspace, nights.rule()))
    assert nights.versions() == [2, 5, 6, 7, 8]
    assert not list(nights.workspace.root.rglob("*.tmp"))


def test_several_processes_and_readers_at_once_are_safe(nights: Nights) -> None:
    errors: list[Exception] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            for version in ("2", "5", "8"):
                path = nights.registry.path(nights.registry.find(version)) / "model.json"
                if path.read_text() != "model.json":
                    errors.append(AssertionError(path))

    def clean() -> None:
        try:
            list(clean_up(nights.workspace, nights.rule()))
        except Exception as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    cleaners = [threading.Thread(target=clean) for _ in range(4)]
    reader.start()
    for cleaner in cleaners:
        cleaner.start()
    for cleaner in cleaners:
        cleaner.join()
    ended.set()
    reader.join()
    assert errors == []
    assert nights.versions() == [2, 5, 6, 7, 8]

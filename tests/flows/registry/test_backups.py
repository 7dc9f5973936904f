"""Backups: taken at rest and while several processes write, refused, damaged, and put back."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.registry import backups
from gatecast.flows.registry.backups import MANIFEST, back_up, restore
from gatecast.flows.registry.inventory import examine
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import contents

ROOT = Path(__file__).parents[3]
WRITERS = {
    "versions": """
        from dataclasses import replace
        from gatecast.flows.judging import promotion
        from gatecast.lstm.training import checkpoint
        registry = Registry(workspace, "sales")
        for number in count():
            with registry.locked():
                made = checkpoint.read(registry.path(str(registry.champion())))
                candidate = registry.candidate()
                checkpoint.write(replace(made, document={**made.document, "number": number}), candidate)
                lineage = {"data": str(next(workspace.bars.glob("[!.]*"))), "data_hash": "0"}
                version = registry.add(candidate, checkpoint.fingerprint(candidate), lineage)
            promotion.promote(registry, version, "one more")
            with registry.locked():
                registry.prune(2)
            went_on()
    """,
    "folders": """
        from gatecast.data.store import atomic_directory
        folder = next(workspace.bars.glob("[!.]*"))
        whole = {path.name: path.read_bytes() for path in folder.iterdir()}
        for number in count():
            with atomic_directory(folder) as temporary:
                for name, content in whole.items():
                    (temporary / name).write_bytes(content)
            went_on()
    """,
    "files": """
        import sqlite3
        from gatecast.data.store import write_json, write_parquet
        workspace.prefect.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(workspace.prefect / "prefect.db")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS run (number)")
        for number in count():
            rows = pd.DataFrame({"y_hat": [float(number)] * 1000})
            write_parquet(rows, workspace.forecasts / "sales" / f"{number % 7}.parquet", {"version": str(number)})
            write_json(workspace.reports / "sales" / "monitor" / "monitor.json", {"rows": number, "checks": []})
            with database:
                database.execute("INSERT INTO run VALUES (?)", (number,))
            went_on()
    """,
}
START = """
import sys, textwrap
from itertools import count
from pathlib import Path
import pandas as pd
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
def went_on():
    print("went on", flush=True)
exec(textwrap.dedent(sys.argv[2]))
"""


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "restored" / "workspace")


def stored(workspace: Workspace) -> dict[str, bytes]:
    return {name: content for name, content in contents(workspace.root).items() if not name.endswith("lock")}


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup"])
def test_a_backup_restores_every_file(every_kind: Workspace, other: Workspace, tmp_path: Path, name: str) -> None:
    made = back_up(every_kind, tmp_path / name)
    assert made.damaged == []
    shutil.move(every_kind.root, tmp_path / "gone")
    assert restore(made.path, other) == made.files == len(stored(other))
    assert stored(other) == stored(Workspace(tmp_path / "gone"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "gone", "restored"])
    for model in ("sales", "names", "rhyme", "range"):
        registry = Registry(other, model)
        assert registry.model(str(registry.champion()))
        assert registry.data(str(registry.champion())).is_relative_to(other.root)


@pytest.fixture
def writers(every_kind: Workspace) -> Iterator[list[subprocess.Popen[str]]]:
    """A process for each of `WRITERS`, which has written once."""
    with ExitStack() as stack:
        started = []
        for script in WRITERS.values():
            command = [sys.executable, "-c", START, str(every_kind.root), script]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "went on\n"
        yield started


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup"])
def test_a_backup_that_is_taken_while_processes_write_is_consistent(
    every_kind: Workspace, writers: list[subprocess.Popen[str]], tmp_path: Path, name: str
) -> None:
    for number in range(3):
        made = back_up(every_kind, tmp_path / str(number) / name)
        copy = Workspace(tmp_path / f"restored-{number}")
        restore(made.path, copy)
        assert made.damaged == []
        assert [found for found in examine(copy) if found.state != "whole"] == []
        registry = Registry(copy, "sales")
        champion = str(registry.champion())
        assert registry.history()[-1]["winner"] == champion
        assert registry.model(champion)
        assert all(registry.data(version).is_dir() for version in registry.versions())
    assert [process.poll() for process in writers] == [None] * len(writers)


def test_what_is_damaged_already_is_told_and_kept(every_kind: Workspace, other: Workspace, tmp_path: Path) -> None:
    weights = next((every_kind.models / "sales").glob("v*/model.safetensors"))
    weights.write_bytes(b"half")
    made = back_up(every_kind, tmp_path / "backup.tar.gz")
    assert [each.path for each in made.damaged] == [weights.relative_to(every_kind.root)]
    restore(made.path, other)
    assert stored(other) == stored(every_kind)


def test_a_folder_that_is_replaced_while_it_is_copied_is_copied_again(
    every_kind: Workspace, other: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = next(every_kind.bars.iterdir())
    copy_file = backups._copy_file
    replaced = []

    def replacing(source: Path, target: Path) -> bool:
        done = copy_file(source, target)
        if source.parent == folder and not replaced:
            replaced.append(shutil.copytree(folder, tmp_path / "new"))
            shutil.rmtree(folder)
            (tmp_path / "new" / "one-more.txt").write_text("")
            (tmp_path / "new").rename(folder)
        return done

    monkeypatch.setattr(backups, "_copy_file", replacing)
    restore(back_up(every_kind, tmp_path / "backup").path, other)
    assert replaced
    assert (other.bars / folder.name / "one-more.txt").exists()
    assert stored(other) == stored(every_kind)


def test_nothing_is_overwritten(every_kind: Workspace, tmp_path: Path) -> None:
    for name in ("backup.tar.gz", "backup"):
        back_up(every_kind, tmp_path / name)
        with pytest.raises(InputError, match="exists already and is not overwritten"):
            back_up(every_kind, tmp_path / name)
    with pytest.raises(InputError, match="inside the workspace"):
        back_up(every_kind, every_kind.root / "backup.tar.gz")
    with pytest.raises(InputError, match="is not empty"):
        restore(tmp_path / "backup", every_kind)
    with pytest.raises(InputError, match="holds no workspace"):
        back_up(Workspace(tmp_path / "nothing"), tmp_path / "other.tar.gz")
    with pytest.raises(InputError, match="does not exist"):
        restore(tmp_path / "nothing.tar.gz", Workspace(tmp_path / "new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "backup.tar.gz", "workspace"]


def test_a_backup_that_fails_leaves_nothing(
    every_kind: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups.tarfile.TarFile, "add", fail)
    with pytest.raises(OSError, match=r"backup\.tar\.gz"):
        back_up(every_kind, tmp_path / "backup.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]


def archive(path: Path, members: dict[str, bytes], link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("models")
            member.type = tarfile.SYMTYPE
            member.linkname = link
            made.addfile(member)
    return path


@pytest.mark.parametrize(
    ("members", "link", "message"),
    [
        ({"../outside": b"x"}, "", "leads out of the workspace"),
        ({"models/../../outside": b"x"}, "", "leads out of the workspace"),
        ({"a": b"x"}, "/etc", "which is no file"),
        ({"a": b"x"}, "", "has no backup.json"),
        ({"a": b"x", MANIFEST: b"[1]"}, "", "backup.json in .* is damaged"),
        ({"a": b"x", MANIFEST: b'{"files": {"a": "00"}}'}, "", "a in .* is not what was backed up"),
        ({"a": b"x", MANIFEST: b'{"files": {"b": "00"}}'}, "", "a in .* is not what was backed up"),
    ],
)
def test_a_foreign_archive_is_refused(
    tmp_path: Path, other: Workspace, members: dict[str, bytes], link: str, message: str
) -> None:
    path = archive(tmp_path / "backup.tar.gz", members, link)
    with pytest.raises(InputError, match=message) as refused:
        restore(path, other)
    assert str(path) in str(refused.value)
    assert not list(other.root.parent.iterdir())
    assert not (tmp_path / "outside").exists()


def test_an_absolute_path_stays_in_the_workspace(tmp_path: Path, other: Workspace) -> None:
    path = archive(tmp_path / "backup.tar.gz", {f"/{tmp_path}/outside": b"x"})
    with pytest.raises(InputError, match="no backup"):
        restore(path, other)
    assert not (tmp_path / "outside").exists()


def test_a_damaged_backup_is_refused(every_kind: Workspace, other: Workspace, tmp_path: Path) -> None:
    path = back_up(every_kind, tmp_path / "backup.tar.gz").path
    whole = path.read_bytes()
    for part in range(20):
        place = len(whole) * part // 20 + 12
        changed = bytearray(whole)
        changed[place] ^= 1
        for content in (whole[:place], bytes(changed)):
            path.write_bytes(content)
            try:
                restore(path, other)
            except InputError as error:
                assert "backup.tar.gz" in str(error)
                assert "\n" not in str(error)
            else:  # what was changed is no part of any file
                assert len(content) == len(whole)
                assert stored(other) == stored(every_kind)
                shutil.rmtree(other.root)
            assert not list(other.root.parent.iterdir())

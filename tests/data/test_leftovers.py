"""A killed writer leaves a temporary file or directory, which is removed unless a living process is writing it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gatecast.data import leftovers
from gatecast.data.leftovers import OLD_SECONDS, sweep
from gatecast.data.locks import ON_WINDOWS
from gatecast.data.store import atomic_directory, atomic_file, write_json

WRITER = """
import sys
from pathlib import Path
from gatecast.data.store import atomic_directory, atomic_file
target = Path(sys.argv[1])
with atomic_file(target / "x.json") as file, atomic_directory(target / "model") as folder:
    file.write_text("half")
    (folder / "part").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def aged(path: Path, seconds: float = OLD_SECONDS + 60) -> Path:
    """Let a file or a directory, with all it holds, be of that age."""
    moment = time.time() - seconds
    for part in (*path.rglob("*"), path):
        os.utime(part, (moment, moment), follow_symlinks=False)
    return path


def directory(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "part").write_text("half")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of a workspace with a file that was written whole."""
    write_json(tmp_path / "models" / "whole.json", {})
    return tmp_path / "models"


def test_leftovers_are_swept_at_every_depth(root: Path) -> None:
    file = root / "a" / "b" / ".x.json.0123abcd.tmp"
    file.parent.mkdir(parents=True)
    file.write_text("half")
    found = [file, directory(root / ".model [1].89abcdef.tmp")]
    sweep(root)
    assert not any(path.exists() for path in found)
    assert (root / "whole.json").exists()


@pytest.mark.parametrize("name", ["x.json", ".x.json.tmp", ".x.0123abcg.tmp", ".0123abcd.tmp", "x.0123abcd.tmp"])
def test_other_files_stay_at_any_age(root: Path, name: str) -> None:
    (root / name).write_text("a user's own")
    aged(root / name)
    sweep(root)
    assert (root / name).exists()


@pytest.mark.skipif(ON_WINDOWS, reason="there, age alone tells")
def test_a_writer_at_work_is_not_disturbed_at_any_age_and_a_dead_one_is_at_once(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        written = sorted(map(aged, root.glob(".*.tmp")))
        assert len(written) == 2
        sweep(root)
        assert sorted(root.glob(".*.tmp")) == written
        writer.kill()
        writer.wait()
    sweep(root)
    assert [path.name for path in root.iterdir()] == ["whole.json"]


@pytest.mark.skipif(ON_WINDOWS, reason="there, age alone tells")
def test_writers_and_sweepers_get_along(root: Path) -> None:
    ended = threading.Event()

    def sweep_on() -> None:
        while not ended.is_set():
            sweep(root)

    sweepers = [threading.Thread(target=sweep_on) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(300):
            with atomic_file(root / "x.json") as file, atomic_directory(root / "model") as folder:
                file.write_text(str(number))
                (folder / "part").write_text(str(number))
            assert (root / "x.json").read_text() == (root / "model" / "part").read_text() == str(number)
    finally:
        ended.set()
        for sweeper in sweepers:
            sweeper.join()
    assert {path.name for path in root.iterdir()} - {".model.lock"} == {"whole.json", "x.json", "model"}


def unlockable(path: Path) -> int | None:
    """Open nothing, as on a file system without locks."""


def test_without_locks_only_what_is_old_is_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_open", unlockable)
    file = root / ".x.json.0123abcd.tmp"
    file.write_text("half")
    aged(file, OLD_SECONDS - 60)
    # A directory that was begun long ago, and into which a large file is still being written.
    begun = aged(directory(root / ".model.0123abcd.tmp"))
    inner = aged(directory(begun / ".inner.0123abcd.tmp"))
    aged(begun)
    (begun / "part").write_text("more")
    old = aged(directory(root / ".old.0123abcd.tmp"))
    sweep(root)
    assert file.exists()
    assert begun.exists()
    assert inner.exists()
    assert not old.exists()
    write_json(root / "x.json", {})
    assert (root / "x.json").exists()


def test_a_link_is_removed_without_what_it_points_to(root: Path, tmp_path: Path) -> None:
    elsewhere = aged(directory(tmp_path / "elsewhere"))
    link = root / ".x.0123abcd.tmp"
    link.symlink_to(elsewhere)
    aged(link)
    sweep(root)
    assert not link.is_symlink()
    assert (elsewhere / "part").exists()


def test_what_is_missing_is_swept_as_well(tmp_path: Path) -> None:
    sweep(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_next_writer_of_a_directory_removes_what_the_killed_one_left(tmp_path: Path) -> None:
    old = aged(directory(tmp_path / ".model [1].0123abcd.tmp"))
    other = aged(directory(tmp_path / ".model 1.0123abcd.tmp"))
    with atomic_directory(tmp_path / "model [1]") as temporary:
        (temporary / "part").write_text("whole")
    assert not old.exists()
    assert other.exists()

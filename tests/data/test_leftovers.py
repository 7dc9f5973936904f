"""A killed writer leaves a temporary file or directory; the next writer removes it unless it may still be at work."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gatecast.data.leftovers import OLD_SECONDS, sweep
from gatecast.data.store import atomic_directory, write_json


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


def test_old_leftovers_are_swept_at_every_depth(root: Path) -> None:
    file = root / "a" / "b" / ".x.json.0123abcd.tmp"
    file.parent.mkdir(parents=True)
    file.write_text("half")
    found = [aged(file), aged(directory(root / ".model [1].89abcdef.tmp"))]
    sweep(root)
    assert not any(path.exists() for path in found)
    assert (root / "whole.json").exists()


@pytest.mark.parametrize("name", ["x.json", ".x.json.tmp", ".x.0123abcg.tmp", ".0123abcd.tmp", "x.0123abcd.tmp"])
def test_other_files_stay_at_any_age(root: Path, name: str) -> None:
    (root / name).write_text("a user's own")
    aged(root / name)
    sweep(root)
    assert (root / name).exists()


def test_a_writer_at_work_is_not_disturbed(root: Path) -> None:
    file = root / ".x.json.0123abcd.tmp"
    file.write_text("half")
    aged(file, OLD_SECONDS - 60)
    # A directory that was begun long ago, and into which a large file is still being written.
    begun = aged(directory(root / ".model.0123abcd.tmp"))
    (begun / "part").write_text("more")
    inner = aged(directory(begun / ".inner.0123abcd.tmp"))
    aged(begun)
    (begun / "part").write_text("more")
    sweep(root)
    assert file.exists()
    assert begun.exists()
    assert inner.exists()


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

"""What killed writers leave behind: temporary files and directories, ``.NAME.0123abcd.tmp`` next to the name itself."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from glob import escape
from pathlib import Path

OLD_SECONDS = 24 * 60 * 60
"""A writer needs seconds, or minutes on a slow disk; what is older belongs to none that is alive"""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def temporary_beside(path: Path) -> Path:
    """Return the path under which something is written before it gets its name."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def remove(path: Path) -> None:
    """Remove a directory with all it holds, a file or a link; it may be missing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files and directories of `name` at any age; call it under the lock of its writers."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        remove(leftover)


def remove_old_leftovers(path: Path) -> None:
    """Remove the old temporary files and directories of one name; needs no lock."""
    for leftover in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        _remove_if_old(leftover)


def sweep(root: Path) -> None:
    """Remove the old temporary files and directories in a folder and those below; needs no lock."""
    for folder, folders, files in os.walk(root):
        for name in filter(_TEMPORARY.fullmatch, (*folders, *files)):
            _remove_if_old(Path(folder, name))
        folders[:] = [name for name in folders if not _TEMPORARY.fullmatch(name)]


def _remove_if_old(leftover: Path) -> None:
    # Another process may be removing it too, and what cannot be removed must not stop those who only tidy up.
    with suppress(OSError):
        parts = [leftover, *leftover.rglob("*")] if leftover.is_dir() else [leftover]
        if _TEMPORARY.fullmatch(leftover.name) and time.time() - max(map(_changed_at, parts)) > OLD_SECONDS:
            remove(leftover)


def _changed_at(path: Path) -> float:
    return path.lstat().st_mtime

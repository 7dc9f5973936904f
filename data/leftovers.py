"""What killed writers leave behind: temporary files and directories, ``.NAME.0123abcd.tmp`` next to the name itself.

A writer holds a lock on what it writes, which the system frees however the process ends. So what nobody has locked
belongs to no living process, and is removed at any age. Where nothing can be locked (on Windows, and on some network
file systems), only what is old is removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from importlib.util import find_spec
from pathlib import Path

from gatecast.data.locks import ON_WINDOWS, try_lock

OLD_SECONDS = 24 * 60 * 60
"""A writer needs seconds, or minutes on a slow disk; what is older belongs to none that is alive"""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@contextmanager
def temporary_beside(path: Path, *, is_directory: bool = False) -> Iterator[Path]:
    """Make an empty file or directory in which something is written before it gets its name `path`.

    It is locked within the block. What has this name afterwards is removed, unless the block gave it another one.
    """
    temporary, lock = _made(path, is_directory)
    try:
        yield temporary
    finally:
        try:
            remove(temporary)
        finally:
            if lock is not None:
                os.close(lock)


def _made(path: Path, is_directory: bool) -> tuple[Path, int | None]:
    """Make what is written; return its path, and the descriptor that holds its lock, or None without one."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        if is_directory:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)
        try:
            lock = _open(temporary)
        except FileNotFoundError:  # another process took it for a leftover before it was locked
            continue
        if lock is None:
            return temporary, None
        try:
            if try_lock(lock) and _is_at(temporary, lock):
                return temporary, lock
        except OSError:  # this file system has no such locks
            os.close(lock)
            return temporary, None
        os.close(lock)  # another process is removing it as a leftover


def _open(path: Path) -> int | None:
    """Open a file or directory to lock it; None if it cannot be locked.

    Raises
    ------
    FileNotFoundError
        It is gone.
    """
    if ON_WINDOWS or find_spec("fcntl") is None:  # whose locks would keep the writer itself out, or that has none
        return None
    try:
        return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError:
        return None


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


def remove(path: Path) -> None:
    """Remove a directory with all it holds, a file or a link; it may be missing, or be removed by another process."""
    while path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
    path.unlink(missing_ok=True)


def put_aside(path: Path) -> Path:
    """Give what is to be removed the name of a leftover, so that it is whole or gone at any moment; return it."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    path.rename(aside)
    return aside


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files and directories of `name`; call it under the lock of its writers."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        remove(leftover)


def remove_dead_leftovers(path: Path) -> None:
    """Remove the temporary files and directories of one name that no living process writes; needs no lock."""
    for leftover in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        _remove_if_dead(leftover)


def sweep(root: Path) -> None:
    """Remove what no living process writes, in a folder and those below; needs no lock."""
    for folder, folders, files in os.walk(root):
        for name in filter(_TEMPORARY.fullmatch, (*folders, *files)):
            _remove_if_dead(Path(folder, name))
        folders[:] = [name for name in folders if not _TEMPORARY.fullmatch(name)]


def _remove_if_dead(leftover: Path) -> None:
    # Another process may be removing it too, and what cannot be removed must not stop those who only tidy up.
    with suppress(OSError):
        if not _TEMPORARY.fullmatch(leftover.name):
            return
        lock = _open(leftover)
        try:
            # Removed while it is locked: a writer that has only just made it notices, and makes another one.
            if _is_old(leftover) if lock is None else _is_dead(leftover, lock):
                remove(leftover)
        finally:
            if lock is not None:
                os.close(lock)


def _is_dead(leftover: Path, lock: int) -> bool:
    try:
        return try_lock(lock)
    except OSError:  # this file system has no such locks
        return _is_old(leftover)


def _is_old(leftover: Path) -> bool:
    is_directory = leftover.is_dir() and not leftover.is_symlink()
    parts = [leftover, *leftover.rglob("*")] if is_directory else [leftover]
    return time.time() - max(map(_changed_at, parts)) > OLD_SECONDS


def _changed_at(path: Path) -> float:
    return path.lstat().st_mtime

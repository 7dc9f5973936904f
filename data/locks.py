"""Locks between processes, held on files: the system frees the lock of a process that dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatecast.data.errors import InputError, naming

ON_WINDOWS = os.name == "nt"
POLL_SECONDS = 0.05


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Let one holder of the lock on a file at a time into the block; others wait, also within the same process.

    The file is created if it is missing, keeps its contents, and stays.
    """
    with open_lock_file(path) as descriptor:
        with naming(path):
            wait_for_lock(descriptor)
        yield


@contextmanager
def open_lock_file(path: Path, *, create: bool = True) -> Iterator[int]:
    """Open a file to lock it, without following a link and without truncating it; closing it frees the lock.

    Yields
    ------
    int
        Its descriptor, for `try_lock` and `wait_for_lock`.

    Raises
    ------
    FileNotFoundError
        There is no such file, and `create` is False.
    InputError
        It is a link.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    # Windows has neither flag; Python makes no descriptor inheritable on any system.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise InputError(f"{path} is a link, which a lock must not be; remove it.") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file unless somebody holds it; return whether it is ours."""
    from filelock import lock_descriptor

    return lock_descriptor(descriptor, blocking=False)


def wait_for_lock(descriptor: int, poll_seconds: float = POLL_SECONDS) -> None:
    """Wait for the lock of an open file; asked for again and again, so that a time limit or Ctrl-C ends the wait."""
    from filelock import lock_descriptor

    lock_descriptor(descriptor, poll_interval=poll_seconds)

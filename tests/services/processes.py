"""Processes of a test, wherever they have gone: found by the workspace that their environment names."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def of_workspace(home: Path) -> Iterator[int]:
    """Give the id of each process whose ``GATECAST_HOME`` is `home`; sessions and groups hide none."""
    wanted = f"GATECAST_HOME={home}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def kill_all(home: Path) -> None:
    """Do to a workspace's processes what the loss of their machine does."""

    def left() -> list[int]:
        return [process for process in of_workspace(home) if process != os.getpid()]

    while processes := left():
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def wait_for(condition: Callable[[], Any], seconds: float = 180.0) -> Any:
    """Return what `condition` returns, once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")

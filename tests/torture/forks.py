"""A job in a process of its own: a copy of this one, in which everything is imported already."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {"write": 1, "fsync": 2, "rename": 4, "create": 8, "remove": 16}
EVERY_CALL = sum(KINDS.values())
KILL = -1
LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class Harm:
    """Which file call of a job fails, and how; see ``shim.c``.

    Attributes
    ----------
    folder : Path
        Calls on files below it count.
    calls : int
        Which ones, as in `KINDS`.
    at : int
        The number of the call; 0 only counts them.
    what : int
        An error number, or `KILL`.
    """

    folder: Path
    calls: int = EVERY_CALL
    at: int = 0
    what: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    value : object
        What it returned, in JSON values.
    error : str or None
        The type of what it raised.
    message : str
        Of the error.
    was_killed : bool
    calls : int
        File calls of the kinds that `Harm` counts; 0 without the shim, or if it was killed.
    output : str
        The end of what it printed.
    """

    value: Any
    error: str | None
    message: str
    was_killed: bool
    calls: int
    output: str


@dataclass(frozen=True)
class Fork:
    """A job at work."""

    process: int
    result: Path
    output: Path

    def wait(self, kill_after: float | None = None, limit: float = LIMIT_SECONDS) -> Outcome:
        """Wait for the end of the job; kill it after some seconds if so asked, or if it never ends."""
        started = time.monotonic()
        status = None
        while status is None:
            found, state = os.waitpid(self.process, os.WNOHANG)
            if found:
                status = state
                break
            waited = time.monotonic() - started
            if waited > limit or (kill_after is not None and waited > kill_after):
                os.kill(self.process, signal.SIGKILL)
            time.sleep(0.005)
        printed = self.output.read_text(errors="replace")[-2000:] if self.output.exists() else ""
        told = json.loads(self.result.read_text()) if self.result.exists() else {}
        for path in (self.result, self.output):
            path.unlink(missing_ok=True)
        if not told and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            told = {"error": "crash", "message": f"the process ended with status {status}: {printed[-500:]}"}
        return Outcome(
            told.get("value"), told.get("error"), told.get("message", ""), not told, told.get("calls", 0), printed
        )


def start(
    job: Callable[[], Any], folder: Path, environment: dict[str, str], harm: Harm | None = None, memory: int = 0
) -> Fork:
    """Start a job in a copy of this process.

    Parameters
    ----------
    job : callable
        Returns JSON values.
    folder : Path
        For what it prints and returns; no file call on it counts.
    environment : dict of str to str
        Set before it starts.
    harm : Harm, optional
    memory : int
        Bytes that it may add to its address space; 0 is no limit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = f"{time.monotonic_ns():x}"
    result, output = folder / f"{mark}.json", folder / f"{mark}.txt"
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return Fork(process, result, output)
    try:
        _in_child(job, result, output, environment, harm, memory)
    finally:
        os._exit(0)


def run(job: Callable[[], Any], folder: Path, environment: dict[str, str], **how: Any) -> Outcome:
    """Start a job and wait for its end; see `start` and `Fork.wait`."""
    waiting = {name: how.pop(name) for name in ("kill_after", "limit") if name in how}
    return start(job, folder, environment, **how).wait(**waiting)


def _in_child(
    job: Callable[[], Any], result: Path, output: Path, environment: dict[str, str], harm: Harm | None, memory: int
) -> None:
    told: dict[str, Any]
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    try:
        if harm is not None:
            arm(harm)
        told = {"value": job()}
    except BaseException as error:
        told = {"error": type(error).__name__, "message": str(error)}
        import traceback

        traceback.print_exc()
    if harm is not None and is_preloaded():
        told["calls"] = _shim().torture_count()
        _shim().torture_arm(b"", 0, 0, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    unfinished = result.with_suffix(".part")
    unfinished.write_text(json.dumps(told))
    unfinished.replace(result)


def is_preloaded() -> bool:
    """Tell whether this process runs with the shim."""
    return hasattr(ctypes.CDLL(None), "torture_arm")


def arm(harm: Harm) -> None:
    """Let the shim count and harm the file calls of this process; without the shim, only nothing may be asked of it."""
    if is_preloaded():
        _shim().torture_arm(str(harm.folder).encode(), harm.calls, harm.at, harm.what)
    elif harm.at:
        raise RuntimeError("the shim is not preloaded")


def _shim() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.torture_count.restype = ctypes.c_long
    library.torture_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int]
    return library

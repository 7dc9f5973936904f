"""Run programs in their own processes, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import OutOfTimeError

__all__ = ["ProgramError", "most_memory", "run_command", "run_program"]

_ROOT = Path(__file__).parents[1]


class ProgramError(RuntimeError):
    """A program to be timed has failed."""


def run_command(
    command: Sequence[str],
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> tuple[float, str]:
    """Run a command from the root of the project.

    Parameters
    ----------
    command : sequence of str
    timeout : float, optional
        Seconds after which it is stopped.
    environment : mapping, optional
        Variables to set in addition to those of this process.
    without : collection of str
        Variables of this process that it does not get.

    Returns
    -------
    seconds : float
        From before its start to after its end.
    output : str

    Raises
    ------
    OutOfTimeError
        When it is stopped.
    ProgramError
        When it fails.
    """
    kept = {name: value for name, value in os.environ.items() if name not in without}
    begun = time.perf_counter()
    try:
        finished = subprocess.run(
            command,
            cwd=_ROOT,
            env={**kept, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfTimeError("out of time") from error
    seconds = time.perf_counter() - begun
    if finished.returncode != 0:
        last_line = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProgramError(f"{command[1:3]} ended with status {finished.returncode}: {last_line}")
    return seconds, finished.stdout


def run_program(
    name: str,
    *arguments: str,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> tuple[float, dict[str, Any]]:
    """Run a module of `benchmarks.programs`; return its seconds and the contents of its last line of output."""
    command = [sys.executable, "-m", f"benchmarks.programs.{name}", *arguments]
    seconds, output = run_command(command, timeout, environment, without)
    return seconds, json.loads(output.strip().splitlines()[-1])


def most_memory() -> int:
    """Return the most memory that this process ever held, in bytes."""
    # The peak of this program alone: getrusage would count what the parent held when it started it.
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

"""How a row is timed: the sides take turns, warm, on the same number of threads.

Turns alternate (A B A B), so that both sides are affected if the machine slows down or is busy for a while. A turn
begins with a pause, in which the idle threads of the previous side stop spinning and leave their cores, and with a call
that is not timed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import Row, Timing

__all__ = [
    "Case",
    "DisagreementError",
    "OutOfTimeError",
    "Plan",
    "installed",
    "require_agreement",
    "set_threads",
    "take_turns",
]

_PAUSE_SECONDS = 0.02


class DisagreementError(RuntimeError):
    """The two sides of a row do not do the same work."""


class OutOfTimeError(RuntimeError):
    """The quick form has no time left for a row."""


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes
    ----------
    threads : int
        For both sides.
    quick : bool
        Fewer and shorter turns, fewer rows.
    deadline : float
        ``time.monotonic()`` by which the run ends; infinity for none.
    """

    threads: int
    quick: bool
    deadline: float

    @property
    def rounds(self) -> int:
        """Turns of each side."""
        return 3 if self.quick else 9

    @property
    def turn_seconds(self) -> float:
        """Least time of a turn, if its calls are short."""
        return 0.08 if self.quick else 0.4

    def remaining(self) -> float | None:
        """Return the seconds left, None for as many as it takes.

        Raises
        ------
        OutOfTimeError
            When none is left.
        """
        if self.deadline == float("inf"):
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTimeError("out of time")
        return left


class Case(NamedTuple):
    """A row to be measured; where its sides share their turns, one case gives several rows."""

    name: str
    run: Callable[[], Sequence[Row]]


def installed(package: str) -> bool:
    """Say whether a peer can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def set_threads(threads: int, *libraries: str) -> None:
    """Set the same number of threads for "numba" and "torch", as far as they are named and installed."""
    if "numba" in libraries:
        from gatecast.kernels.backend import use_threads

        use_threads(threads)
    if "torch" in libraries and installed("torch"):
        import torch

        torch.set_num_threads(threads)


def take_turns(sides: Mapping[str, Callable[[], Any]], plan: Plan, times: int = 1) -> dict[str, Timing]:
    """Time every side, turn by turn.

    Parameters
    ----------
    sides : mapping of name to function
        A call does the work of the row `times` times.
    plan : Plan
    times : int

    Returns
    -------
    dict
        The timing of each side, for the work done once.
    """
    turns: dict[str, list[list[float]]] = {name: [] for name in sides}
    for _ in range(plan.rounds):
        plan.remaining()
        for name, work in sides.items():
            time.sleep(_PAUSE_SECONDS)
            work()
            turns[name].append([seconds / times for seconds in _time_calls(work, plan.turn_seconds)])
    return {name: Timing.of_turns(turn) for name, turn in turns.items()}


def _time_calls(work: Callable[[], Any], seconds: float) -> list[float]:
    """Call until the time is up, at least once; return the seconds of each call."""
    calls: list[float] = []
    begun = time.perf_counter()
    end = begun
    while end - begun < seconds or not calls:
        start = time.perf_counter()
        work()
        end = time.perf_counter()
        calls.append(end - start)
    return calls


def require_agreement(ours: Any, theirs: Any, tolerance: float = 1e-4) -> float:
    """Return the relative error between the results of two sides, ``max|a - b| / max(1, max|b|)``.

    Raises
    ------
    DisagreementError
        When it is above the tolerance, or not a number.
    """
    a = np.asarray(ours, float)
    b = np.asarray(theirs, float)
    if a.shape != b.shape:
        raise DisagreementError(f"the results have the shapes {a.shape} and {b.shape}; the sides do different work")
    error = float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b))))
    if not error <= tolerance:
        raise DisagreementError(f"the results differ by {error:.1e}, over {tolerance:.0e}; the sides do different work")
    return error

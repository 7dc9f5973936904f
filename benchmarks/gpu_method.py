"""How the GPU is timed: events on its own clock, after a warm-up, the sides taking turns.

A turn is as many calls as fill a fifth of a second, between two events, so that neither the clock's resolution nor the
first call matters. The median of the turns counts. A row of one layer is measured twice: as it is called, where Python
may take longer to launch a kernel than the GPU to run it, and replayed as a CUDA graph, which is recorded once and
launched as one, as Gatecast does when it trains on windows; torch's side is recorded the same way.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Side", "calls_per_turn", "numba_clock", "record_torch", "take_turns", "torch_clock"]

_WARM_UP = 3
_TURN_SECONDS = 0.2
_TURNS = 9

Clock = Callable[[Callable[[], Any], int], float]


class Side(NamedTuple):
    """One side of a row: a way to do its work."""

    work: Callable[[], Any]
    """Does the work once, and need not wait for the GPU"""
    clock: Clock
    """Takes `work` and a number of calls; returns the seconds that the GPU took for all of them"""


def numba_clock(work: Callable[[], Any], calls: int) -> float:
    """Time calls that run through numba-cuda."""
    from numba import cuda

    begin, end = cuda.event(), cuda.event()
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def torch_clock(work: Callable[[], Any], calls: int) -> float:
    """Time calls that run through torch."""
    import torch

    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def calls_per_turn(seconds_of_one: float) -> int:
    """Return how many calls fill a turn."""
    return max(1, min(10_000, round(_TURN_SECONDS / max(seconds_of_one, 1e-9))))


def take_turns(sides: Mapping[str, Side], turns: int = _TURNS) -> dict[str, float]:
    """Return the median seconds of a call of each side, A B A B: a disturbance of the card affects all sides."""
    calls = {}
    for name, side in sides.items():
        side.clock(side.work, _WARM_UP)
        calls[name] = calls_per_turn(side.clock(side.work, _WARM_UP) / _WARM_UP)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            seconds[name].append(side.clock(side.work, calls[name]) / calls[name])
    return {name: statistics.median(found) for name, found in seconds.items()}


def record_torch(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record the kernels that `work` launches through torch as a CUDA graph; return a callable that replays them."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay

"""How the GPU is timed: events on its own clock, after a warm-up, the sides taking turns.

A turn is as many calls as fill a fifth of a second, between two events, so that neither the clock's resolution nor the
first call weighs. The median of the turns counts. Work that consists of short launches is measured twice: as it is
called, where Python may take longer to launch a kernel than the GPU to run it, and replayed as a CUDA graph, which is
recorded once and launched as one; torch's side is recorded the same way.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

__all__ = ["Side", "calls_per_turn", "numba_clock", "record_numba", "record_torch", "take_turns", "torch_clock"]

_WARM_UP = 3
_TURN_SECONDS = 0.2
_TURNS = 9

Clock = Callable[[Callable[[], Any], int], float]


class Side(NamedTuple):
    """One of those who do the work of a row."""

    work: Callable[[], Any]
    """Does it once, and need not wait for the GPU"""
    clock: Clock
    """Takes `work` and a number of calls; returns the seconds that the GPU took for all of them"""


def numba_clock(work: Callable[[], Any], calls: int) -> float:
    """Time calls of what runs through numba-cuda."""
    from numba import cuda

    begin, end = cuda.event(), cuda.event()
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def torch_clock(work: Callable[[], Any], calls: int) -> float:
    """Time calls of what runs through torch."""
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
    """Return the median seconds of a call of each side, A B A B: what disturbs the card disturbs all."""
    calls = {}
    for name, side in sides.items():
        side.clock(side.work, _WARM_UP)
        calls[name] = calls_per_turn(side.clock(side.work, _WARM_UP) / _WARM_UP)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            seconds[name].append(side.clock(side.work, calls[name]) / calls[name])
    return {name: statistics.median(found) for name, found in seconds.items()}


def record_numba(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record the kernels that `work` launches as a CUDA graph; return what replays them.

    The process must have been started with ``CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM=1``: the legacy default
    stream cannot be recorded. What `work` allocates is kept, since every replay writes to it again; `work` must not
    copy to the host.
    """
    from cuda.bindings import driver
    from numba import cuda

    stream = driver.CUstream(driver.CU_STREAM_PER_THREAD)
    work()
    cuda.synchronize()
    with _kept_allocations() as kept, cuda.defer_cleanup():
        _checked(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
        work()
        graph = _checked(driver.cuStreamEndCapture(stream))
    executable = _checked(driver.cuGraphInstantiate(graph, 0))

    def replay() -> list[Any]:
        _checked(driver.cuGraphLaunch(executable, stream))
        return kept

    return replay


def record_torch(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record the kernels that `work` launches through torch as a CUDA graph; return what replays them."""
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


@contextmanager
def _kept_allocations() -> Iterator[list[Any]]:
    """Collect the arrays that are allocated on the GPU meanwhile."""
    from numba import cuda

    kept: list[Any] = []
    allocate = cuda.device_array

    def keeping(*arguments: Any, **options: Any) -> Any:
        kept.append(allocate(*arguments, **options))
        return kept[-1]

    cuda.device_array = keeping
    try:
        yield kept
    finally:
        cuda.device_array = allocate


def _checked(result: tuple[Any, ...]) -> Any:
    """Return what a call of the driver gave, or raise its error by name."""
    error, *values = result
    if error.value != 0:
        raise RuntimeError(f"CUDA driver: {error.name}")
    return values[0] if values else None

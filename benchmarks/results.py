"""The results of a benchmark: the records that go into the JSON file, the tables and the chart."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, computed_field

__all__ = [
    "Bounded", "Comparison", "Growth", "Learning", "Quality", "Report", "Row", "Spread", "Startup", "Timing",
]  # fmt: skip


class _Record(BaseModel):
    # Derived figures are written to the JSON file for its readers, and computed again when it is read back.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Spread(NamedTuple):
    """A median and the quartiles on both sides of it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Any) -> Spread:
        """Summarise values."""
        low, median, high = np.quantile(np.asarray(values, float), [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high))


class Timing(_Record):
    """Seconds that one side took for the work of a row, over all its turns."""

    seconds: Spread
    rounds: tuple[float, ...]
    """Median of each turn, seconds"""
    calls: int

    @classmethod
    def of_turns(cls, turns: list[list[float]]) -> Timing:
        """Summarise the seconds of each call, turn by turn."""
        calls = [seconds for turn in turns for seconds in turn]
        return cls(seconds=Spread.of(calls), rounds=tuple(float(np.median(turn)) for turn in turns), calls=len(calls))


class Comparison(_Record):
    """The same work done by Gatecast and by a peer."""

    group: str
    name: str
    """The work: its sizes"""
    peer: str
    gatecast: Timing
    other: Timing | None = None
    """None if the peer is not available"""
    flop: float | None = None
    """Floating-point operations of the work, counted as in the design document, section 2"""
    floor: float | None = None
    """The lowest ratio that the project requires"""
    aim: float | None = None
    """The ratio that it aims at"""
    note: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratio(self) -> Spread | None:
        """How many times faster Gatecast is: over the rounds, the peer's time by ours in the turns side by side."""
        if self.other is None:
            return None
        return Spread.of([other / ours for ours, other in zip(self.gatecast.rounds, self.other.rounds, strict=True)])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gflops(self) -> float | None:
        """Gatecast's rate, in 10^9 operations a second."""
        return None if self.flop is None else self.flop / self.gatecast.seconds.median / 1e9


class Growth(_Record):
    """Cost while one size doubles again and again and all others stay."""

    variable: str
    fixed: str
    """The sizes that stay"""
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    """Median of each value"""
    memory: tuple[int, ...]
    """Most bytes in arrays at one time"""
    work: tuple[float, ...]
    """Floating-point operations, or another measure of the arithmetic"""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exponents(self) -> dict[str, float]:
        """Fitted p in cost = a * value^p, of the time, the memory and the arithmetic itself."""
        costs = {"time": self.seconds, "memory": self.memory, "arithmetic": self.work}
        return {name: fitted_exponent(self.values, cost) for name, cost in costs.items()}


class Startup(_Record):
    """Time from a fresh process to something useful."""

    name: str
    seconds: Spread
    limit: float
    """Seconds that the project allows"""


class Learning(_Record):
    """A task from the literature, learnt from one seed."""

    name: str
    wrong: int
    """Wrong answers of the trained network"""
    of: int
    """Number of answers in all"""
    allowed: int
    """Wrong answers with which the project counts the task as learnt"""
    seconds: float
    """Training and test"""


class Quality(_Record):
    """How good a trained model is, by a measure where less is better."""

    name: str
    measure: str
    value: float
    allowed: float
    """The highest value that the project allows"""
    aim: float
    seconds: float
    """Training"""


class Bounded(_Record):
    """Work whose time and memory the project bounds."""

    name: str
    seconds: float
    seconds_limit: float
    memory: int
    """Most bytes that the process held"""
    memory_limit: int


Row = Comparison | Growth | Startup | Learning | Quality | Bounded


class Report(_Record):
    """One run of the benchmark."""

    machine: dict[str, Any]
    versions: dict[str, str | None]
    peak_gflops: tuple[float, ...]
    """float32 matrix product of this machine at the same number of threads, before and after the rows"""
    scope: Literal["full", "quick", "part"]
    """Every row, the quick form, or the rows that were chosen"""
    comparisons: tuple[Comparison, ...] = ()
    growth: tuple[Growth, ...] = ()
    startup: tuple[Startup, ...] = ()
    learning: tuple[Learning, ...] = ()
    quality: tuple[Quality, ...] = ()
    bounded: tuple[Bounded, ...] = ()
    left_out: tuple[str, ...] = ()
    """Rows that were chosen but not measured, with the reason"""

    def share_of_peak(self, row: Comparison) -> float | None:
        """Return a row's rate as a share of the matrix product's."""
        return None if row.gflops is None else row.gflops / max(self.peak_gflops)


def fitted_exponent(values: tuple[int, ...], cost: tuple[float, ...]) -> float:
    """Return the least-squares slope of log cost over log value."""
    return float(np.polyfit(np.log(values), np.log(cost), 1)[0])

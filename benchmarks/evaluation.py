"""Evaluation at scale: many series, many origins and many steps, held against every baseline.

Seconds and memory are those of the scores, the verdict and what is stored of them; making the forecasts is not counted.
"""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_program
from benchmarks.results import Bounded

__all__ = ["cases"]

_SERIES = 1_000
_QUICK_SERIES = 100
_ORIGINS = 50
_STEPS = 48
_LIMIT_SECONDS = 5.0
_LIMIT_BYTES = 500_000_000


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"evaluation of {_ORIGINS} origins and {_STEPS} steps a series", partial(_evaluate, plan))]


def _evaluate(plan: Plan) -> list[Bounded]:
    series = _QUICK_SERIES if plan.quick else _SERIES
    sizes = map(str, (series, _ORIGINS, _STEPS))
    found = run_program("evaluate_panel", *sizes, timeout=plan.remaining())[1]
    return [
        Bounded(
            name=f"evaluation of {series:,} series x {_ORIGINS} origins x {_STEPS} steps, memory beyond the forecasts",
            seconds=found["seconds"],
            seconds_limit=_LIMIT_SECONDS,
            memory=found["memory"],
            memory_limit=_LIMIT_BYTES,
        )
    ]

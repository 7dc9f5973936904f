"""Forecasts of many series by one model: from what the model has stored, and from a frame."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_program
from benchmarks.programs.predict_series import ROWS
from benchmarks.results import Bounded

__all__ = ["cases"]

GROUP = "prediction"
_SERIES = 1_000
_LIMIT_BYTES = 1_000_000_000
_LIMITS = {
    "stored": (f"predict() of {_SERIES:,} series", 0.040),
    "frame": (f"predict(df) of {_SERIES:,} series and {ROWS} rows each", 0.150),
    "one": ("predict() of one series", 0.004),
}


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"{GROUP} of {_SERIES:,} series", partial(_predict, plan))]


def _predict(plan: Plan) -> list[Bounded]:
    found = run_program("predict_series", str(_SERIES), timeout=plan.remaining())[1]
    return [
        Bounded(name=name, seconds=found[key], seconds_limit=limit, memory=found["memory"], memory_limit=_LIMIT_BYTES)
        for key, (name, limit) in _LIMITS.items()
    ]

"""Reading and checking large tables from CSV and Parquet."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_program
from benchmarks.results import Bounded

__all__ = ["cases"]

GROUP = "reading"
_SERIES = 1_000
_ROWS = 5_000
_LIMITS = {"csv": 12.0, "parquet": 3.0}
_LIMIT_BYTES = 1_500_000_000


def cases(plan: Plan) -> list[Case]:
    """Return one case for each form of file."""
    return [Case(f"{GROUP} {form}", partial(_read, plan, form)) for form in _LIMITS]


def _read(plan: Plan, form: str) -> list[Bounded]:
    found = run_program("read_table", form, str(_SERIES), str(_ROWS), timeout=plan.remaining())[1]
    return [
        Bounded(
            name=f"reading {_SERIES:,} series of {_ROWS:,} rows from {form}",
            seconds=found["seconds"],
            seconds_limit=_LIMITS[form],
            memory=found["memory"],
            memory_limit=_LIMIT_BYTES,
        )
    ]

"""Sequence building at scale: from one file a series to arrays that training maps.

The number of series doubles; 5,000 rows and 8 columns each stay. Memory is the most that the process held, imports and
mapped pages included.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_program
from benchmarks.programs.build_sequences import COLUMNS, ROWS
from benchmarks.results import Bounded, Growth

__all__ = ["cases"]

GROUP = "sequences"
_SERIES = (125, 250, 500, 1_000, 2_000)
_QUICK_SERIES = (25, 50, 100)
_COUNTED = 1_000
_LIMIT_SECONDS = 20.0
_LIMIT_BYTES = 1_000_000_000


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"{GROUP} of {ROWS:,} rows and {COLUMNS} columns", partial(_build, plan))]


def _build(plan: Plan) -> list[Growth | Bounded]:
    found = {count: _run(count, plan) for count in (_QUICK_SERIES if plan.quick else _SERIES)}
    fixed = f"build sequences, {ROWS:,} rows and {COLUMNS} columns a series"
    growth = Growth(
        variable="series",
        fixed=fixed,
        values=tuple(found),
        seconds=tuple(result["seconds"] for result in found.values()),
        memory=tuple(result["memory"] for result in found.values()),
        work=tuple(float(count) for count in found),
    )
    rows: list[Growth | Bounded] = [growth]
    if _COUNTED in found:
        result = found[_COUNTED]
        for what, name in (("seconds", "first"), ("changed", "1 % changed"), ("unchanged", "nothing changed")):
            label = f"sequences of {_COUNTED:,} series, {result['windows']:,} windows, {name}"
            rows.append(
                Bounded(
                    name=label,
                    seconds=result[what],
                    seconds_limit=_LIMIT_SECONDS,
                    memory=result["memory"],
                    memory_limit=_LIMIT_BYTES,
                )
            )
    return rows


def _run(count: int, plan: Plan) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return run_program("build_sequences", str(count), folder, timeout=plan.remaining())[1]

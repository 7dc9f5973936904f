"""What Prefect costs a fleet: the same models trained through the flow, and in a plain pool of processes."""

from __future__ import annotations

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_program
from benchmarks.results import Comparison, Timing

__all__ = ["cases"]

GROUP = "orchestration"
PEER = "no Prefect"
_MODELS = 200
_ROWS = 1000


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module; it takes minutes, so the quick form has none."""
    return [] if plan.quick else [Case(f"{GROUP} {_MODELS} models of {_ROWS:,} rows", lambda: [_compare(plan)])]


def _compare(plan: Plan) -> Comparison:
    _, found = run_program("fleet_flow", str(_MODELS), str(plan.threads), timeout=plan.remaining())
    through = found["prefect"]
    plain = found["plain"]
    return Comparison(
        group=GROUP,
        name=f"{_MODELS} models of {_ROWS:,} rows, {plan.threads} processes",
        peer=PEER,
        gatecast=Timing.of_turns([[through]]),
        other=Timing.of_turns([[plain]]),
        floor=0.8,
        aim=1.0,
        note=f"{_MODELS / through:.1f} tasks/s; Prefect adds {through / plain - 1:.0%}",
    )

"""How soon a fresh process is useful: imports, the command line, the first training step, the first compile."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial

from benchmarks.measure import Case, Plan
from benchmarks.processes import run_command, run_program
from benchmarks.results import Spread, Startup

__all__ = ["cases"]

GROUP = "start-up"
_REPEATS = 5
_LIMIT_SECONDS, _COMPILE_LIMIT_SECONDS = 1, 20
_COMMAND_LINE = "import sys; from flows.cli import main; sys.argv = ['gatecast', '--help']; main()"


def cases(plan: Plan) -> list[Case]:
    """Return one case for each way to start; the first compile, which takes long, in the full form only."""
    entries: list[tuple[str, Callable[[Plan], float]]] = [
        ("import lstm", partial(_command, "import lstm")),
        ("gatecast --help", partial(_command, _COMMAND_LINE)),
        ("second process, from import to the first training step", _first_step),
    ]
    cases = [Case(f"{GROUP} {name}", partial(_repeat, name, start, plan)) for name, start in entries]
    return cases if plan.quick else [*cases, Case(f"{GROUP} first compile", partial(_first_compile, plan))]


def _repeat(name: str, start: Callable[[Plan], float], plan: Plan) -> list[Startup]:
    start(plan)  # byte code, kernels and pages of libraries are there from the second time on
    seconds = [start(plan) for _ in range(1 if plan.quick else _REPEATS)]
    return [Startup(name=name, limit=_LIMIT_SECONDS, seconds=Spread.of(seconds))]


def _command(text: str, plan: Plan) -> float:
    return run_command([sys.executable, "-c", text], plan.remaining())[0]


def _first_step(plan: Plan, environment: dict[str, str] | None = None) -> float:
    return run_program("first_step", timeout=plan.remaining(), environment=environment)[1]["seconds"]


def _first_compile(plan: Plan) -> list[Startup]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = _first_step(plan, {"NUMBA_CACHE_DIR": folder})
    name = "first process ever, kernels compiled, from import to the first training step"
    return [Startup(name=name, limit=_COMPILE_LIMIT_SECONDS, seconds=Spread.of([seconds]))]

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
_LIMIT_SECONDS = 1
_COMPILE_LIMIT_SECONDS = 20
_HELP_SECONDS = 0.25
_COMMAND_HELP_SECONDS = 0.4
# The longest helps, and that of a command without settings.
_COMMANDS = ("retrain", "backtest", "text train", "tag train", "monitor", "forecast", "models show", "serve", "run")
_QUICK_COMMANDS = _COMMANDS[:1]


def cases(plan: Plan) -> list[Case]:
    """Return one case for each way to start; the first compile, which takes long, in the full form only."""
    entries: list[tuple[str, float, Callable[[Plan], float]]] = [
        ("import gatecast", _LIMIT_SECONDS, partial(_command, "import gatecast")),
        ("gatecast --help", _HELP_SECONDS, partial(_command, _help_of(""))),
        *(
            (f"gatecast {command} --help", _COMMAND_HELP_SECONDS, partial(_command, _help_of(command)))
            for command in (_QUICK_COMMANDS if plan.quick else _COMMANDS)
        ),
        ("second process, from import to the first training step", _LIMIT_SECONDS, _first_step),
    ]
    cases = [Case(f"{GROUP} {name}", partial(_repeat, name, limit, start, plan)) for name, limit, start in entries]
    return cases if plan.quick else [*cases, Case(f"{GROUP} first compile", partial(_first_compile, plan))]


def _help_of(command: str) -> str:
    """Return a program that prints the help of a sub-command, or of gatecast itself."""
    typed = ["gatecast", *command.split(), "--help"]
    return f"import sys; from gatecast.flows.cli import main; sys.argv = {typed}; main()"


def _repeat(name: str, limit: float, start: Callable[[Plan], float], plan: Plan) -> list[Startup]:
    start(plan)  # byte code, kernels and pages of libraries are there from the second time on
    seconds = [start(plan) for _ in range(1 if plan.quick else _REPEATS)]
    return [Startup(name=name, limit=limit, seconds=Spread.of(seconds))]


def _command(text: str, plan: Plan) -> float:
    return run_command([sys.executable, "-c", text], plan.remaining())[0]


def _first_step(plan: Plan, environment: dict[str, str] | None = None) -> float:
    return run_program("first_step", timeout=plan.remaining(), environment=environment)[1]["seconds"]


def _first_compile(plan: Plan) -> list[Startup]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = _first_step(plan, {"NUMBA_CACHE_DIR": folder})
    name = "first process ever, kernels compiled, from import to the first training step"
    return [Startup(name=name, limit=_COMPILE_LIMIT_SECONDS, seconds=Spread.of([seconds]))]

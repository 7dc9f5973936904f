"""Run the benchmark: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console

from benchmarks import (
    attention,
    char_lm,
    crf,
    dropout,
    evaluation,
    fleet,
    growth,
    inference,
    layer_norm,
    learning,
    method_step,
    odd,
    orchestration,
    prediction,
    reading,
    retrain,
    sequences,
    startup,
    training_loop,
    training_step,
    variants,
)
from benchmarks.machine import machine_facts, sgemm_gflops, versions
from benchmarks.measure import Case, DisagreementError, OutOfTimeError, Plan, set_threads
from benchmarks.processes import ProgramError
from benchmarks.report import print_report, write_report
from benchmarks.results import Bounded, Comparison, Growth, Learning, Quality, Report, Row, Startup

# Cases that can be stopped in the middle come last, so that the quick form ends in time.
_MODULES = (
    training_step, method_step, training_loop, variants, layer_norm, attention, crf, char_lm, dropout, inference,
    odd, startup, growth, prediction, reading, sequences, evaluation, fleet, orchestration, retrain, learning,
)  # fmt: skip
_QUICK_SECONDS = 50.0
_LAST_START_SECONDS = 6.0


def main() -> int:
    """Measure the chosen rows; return 1 if one of them failed."""
    arguments = _parse()
    deadline = time.monotonic() + _QUICK_SECONDS if arguments.quick else math.inf
    plan = Plan(arguments.threads, arguments.quick, deadline)
    cases = [case for module in _MODULES for case in module.cases(plan) if _is_wanted(case, arguments.rows)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        print(f"No row matches {' '.join(arguments.rows)}; --list names them all.", file=sys.stderr)
        return 2
    set_threads(plan.threads, "numba", "torch")
    console = Console(width=None if sys.stdout.isatty() else 200)
    peak_before = sgemm_gflops(plan.threads)
    rows, left_out, failed = _measure(cases, plan, console)
    report = Report(
        machine=machine_facts(plan.threads),
        versions=versions(),
        peak_gflops=(peak_before, sgemm_gflops(plan.threads)),
        scope="quick" if plan.quick else "part" if arguments.rows else "full",
        comparisons=tuple(row for row in rows if isinstance(row, Comparison)),
        growth=tuple(row for row in rows if isinstance(row, Growth)),
        startup=tuple(row for row in rows if isinstance(row, Startup)),
        learning=tuple(row for row in rows if isinstance(row, Learning)),
        quality=tuple(row for row in rows if isinstance(row, Quality)),
        bounded=tuple(row for row in rows if isinstance(row, Bounded)),
        left_out=tuple(left_out),
    )
    print_report(report, console)
    for path in write_report(report, arguments.output):
        console.print(str(path.resolve()), soft_wrap=True)
    return int(failed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Gatecast compared with its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rows; ends within a minute")
    parser.add_argument("--rows", nargs="+", default=[], metavar="PATTERN", help="part of a row's name, or a pattern")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for both sides; all cores by default")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results"), help="folder of the JSON file and the chart"
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.threads <= (os.cpu_count() or 1):
        parser.error(f"--threads is {arguments.threads}; this machine has {os.cpu_count()} cores")
    return arguments


def _is_wanted(case: Case, patterns: list[str]) -> bool:
    return not patterns or any(pattern in case.name or fnmatch(case.name, pattern) for pattern in patterns)


def _measure(cases: list[Case], plan: Plan, console: Console) -> tuple[list[Row], list[str], bool]:
    """Run the cases; return their rows, a line for each case without a row, and whether one of these is a failure."""
    rows: list[Row] = []
    left_out = []
    failed = False
    for case in cases:
        console.print(f"[dim]{case.name}[/dim]")
        try:
            if (plan.remaining() or math.inf) < _LAST_START_SECONDS:
                raise OutOfTimeError("out of time")
            rows += case.run()
        except OutOfTimeError as error:
            left_out.append(f"{case.name}: {error}")
        except (DisagreementError, ProgramError) as error:
            left_out.append(f"{case.name}: {error}")
            failed = True
    return rows, left_out, failed


if __name__ == "__main__":
    sys.exit(main())

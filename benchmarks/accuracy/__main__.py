"""Measure accuracy: ``python -m benchmarks.accuracy --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.accuracy.datasets import DATASETS, load_tasks
from benchmarks.accuracy.report import markdown
from benchmarks.accuracy.rows import keep, measure, read_table
from benchmarks.accuracy.systems import System, systems_for
from benchmarks.accuracy.task import Budget, Task
from benchmarks.measure import set_threads
from gatecast.data.errors import InputError


def main() -> int:
    """Measure the rows that were asked for; return 1 where one could not be, 2 where the input is wrong."""
    arguments = _parse()
    if arguments.list:
        print("\n".join(f"{name}: {', '.join(dataset.tasks)}" for name, dataset in DATASETS.items()))
        return 0
    try:
        tasks = load_tasks(arguments.data, arguments.tasks)
        if arguments.series:
            tasks = [task.part(arguments.series) for task in tasks]
        pairs = list(_pairs(tasks, arguments.systems))
        if not pairs:
            raise InputError(f"No system matches {' '.join(arguments.systems)}; leave --systems out to run them all.")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    set_threads(arguments.threads, "numba", "torch")
    console, left_out = Console(), []
    budget = Budget(arguments.epochs, arguments.steps)
    path = arguments.output / ("accuracy-part.json" if arguments.series else "accuracy.json")
    for task, system in pairs:
        for seed in arguments.seeds if system.is_random else (0,):
            row = measure(system, task, budget, threads=arguments.threads, seed=seed, minutes=arguments.minutes)
            keep(path, row)
            console.print(f"[dim]{row.task_title}: {row.title}, {row.scores or row.not_run}[/dim]", soft_wrap=True)
            if row.not_run:
                left_out.append(f"{row.task_title}, {row.title}: {row.not_run}")
                break
    console.print(Markdown(markdown(read_table(path))))
    for line in left_out:
        console.print(f"[yellow]not measured:[/yellow] {line}", soft_wrap=True)
    console.print(str(path.resolve()), soft_wrap=True)
    return int(bool(left_out))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="How good forecasts are.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="a task or a set of data; all of them if left out")
    parser.add_argument(
        "--data", type=Path, default=Path("datasets"), help="folder of the data; ./datasets if left out"
    )
    parser.add_argument("--systems", nargs="+", default=["*"], metavar="NAME", help="as gatecast, ridge, 'seasonal*'")
    parser.add_argument("--list", action="store_true", help="name the sets of data and their tasks, and end")
    parser.add_argument("--series", type=int, help="the first series of each task alone, for trying things")
    parser.add_argument("--epochs", type=int, help="Gatecast's at most; the row says so")
    parser.add_argument("--steps", type=int, help="neuralforecast's; the row says so")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one row each of what needs a seed")
    parser.add_argument("--minutes", type=float, help="of the processor that a row may take; no limit if left out")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="all cores if left out")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results"), help="folder of accuracy.json, or accuracy-part.json"
    )
    return parser.parse_args()


def _pairs(tasks: Sequence[Task], patterns: Sequence[str]) -> Iterator[tuple[Task, System]]:
    for task in tasks:
        for system in systems_for(task):
            if any(fnmatch(system.name, pattern) for pattern in patterns):
                yield task, system


if __name__ == "__main__":
    sys.exit(main())

"""The tables of accuracy, as Markdown: one for each task, and one that sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.datasets import DATASETS
from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.rows import Row, Table
from benchmarks.accuracy.systems import EVERYWHERE
from benchmarks.accuracy.task import Measure
from benchmarks.report import format_seconds

__all__ = ["markdown", "summary"]

_FORMATS: Mapping[Measure, str] = MappingProxyType(
    {
        "MASE": ".3f", "sMAPE": ".2f", "OWA": ".3f", "MSE": ".3f", "RMSE": ".3f", "weighted quantile loss": ".4f",
        "coverage": ".1%",
    }
)  # fmt: skip
"""How each measure is written, in the order of the columns"""

_NOT_RUN = "not run"


class _Line(NamedTuple):
    """One system of a task, over its seeds."""

    title: str
    scores: Mapping[Measure, float] = {}
    """Means"""
    seeds: int = 1
    least: float = float("nan")
    """Of the measure that ranks"""
    most: float = float("nan")
    seconds: str = ""
    notes: tuple[str, ...] = ()
    is_bounded: bool = False

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> _Line:
        """Join the rows of one system on one task, one for each seed."""
        measured = [row for row in rows if not row.not_run]
        if not measured:
            return cls(rows[0].title, notes=(f"{_NOT_RUN}: {rows[0].not_run}",))
        ranked = [row.scores[row.ranked_by] for row in measured]
        return cls(
            title=measured[0].title,
            scores={name: float(np.mean([row.scores[name] for row in measured])) for name in measured[0].scores},
            seeds=len(measured),
            least=min(ranked),
            most=max(ranked),
            seconds=format_seconds(float(np.mean([row.seconds for row in measured]))),
            notes=tuple(dict.fromkeys(", ".join(filter(None, (row.note, row.bound))) for row in measured)),
            is_bounded=any(row.bound for row in measured),
        )

    def cell(self, measure: Measure, *, spread: bool = False) -> str:
        """Return what stands in the column of a measure, on request with the least and the most of the seeds."""
        if not self.scores:
            return _NOT_RUN
        if measure not in self.scores:
            return ""
        written = [format(value, _FORMATS[measure]) for value in (self.scores[measure], self.least, self.most)]
        return f"{written[0]} ({written[1]}–{written[2]})" if spread and self.seeds > 1 else written[0]


def markdown(table: Table) -> str:
    """Return the tables of all tasks, figures that others have published in italics, and where ours were measured."""
    tasks = _by_task(table)
    sources = sorted({other.source for task in tasks for other in PUBLISHED.get(task, ())})
    closing = [
        _measured_on(table),
        "Of several seeds the mean, and in brackets the least and the most. The weighted quantile loss of a system that"
        " forecasts no quantiles takes each of them to be its forecast. Coverage is that of intervals of 80 %. The time"
        " is that of the processor, child processes included, for one seed, to fit and to forecast the whole test; for"
        " the best setting, to try all of them.",
        f"In italics, as published: {'; '.join(sources)}." if sources else "",
    ]
    return "\n\n".join([*map(_of_task, tasks.values()), " ".join(filter(None, closing))])


def summary(table: Table) -> str:
    """Return one table of all systems and tasks: the measure that ranks each task, the best of ours in bold."""
    tasks = _by_task(table)
    columns = {task: {rows[0].system: _Line.of_rows(rows) for rows in _by_system(tasks[task])} for task in tasks}
    ranked_by = {task: rows[0].ranked_by for task, rows in tasks.items()}
    titles = {**EVERYWHERE, **{row.system: row.title for row in table.rows}}
    header = " | ".join(f"{rows[0].task_title}: {rows[0].ranked_by}" for rows in tasks.values())
    lines = [f"| | {header} |", f"|---|{'--:|' * len(tasks)}"]
    for system in sorted(titles, key=lambda system: titles[system].casefold()):
        cells = [_summed_up(columns[task], system, ranked_by[task]) for task in tasks]
        lines.append(f"| {titles[system]} | {' | '.join(cells)} |")
    closing = [_measured_on(table), _seeds(line for of_task in columns.values() for line in of_task.values())]
    return "\n".join([*lines, "", " ".join(closing)])


def _summed_up(lines: Mapping[str, _Line], system: str, measure: Measure) -> str:
    if system not in lines:
        return _NOT_RUN if system in EVERYWHERE else ""
    best = min((line.scores[measure] for line in lines.values() if line.scores), default=None)
    cell = lines[system].cell(measure) + "*" * lines[system].is_bounded
    return f"**{cell}**" if lines[system].scores.get(measure, float("nan")) == best else cell


def _by_task(table: Table) -> dict[str, list[Row]]:
    """Return the rows of each task, in the order in which the tasks are listed."""
    order = [task for dataset in DATASETS.values() for task in dataset.tasks]
    groups: dict[str, list[Row]] = {}
    for row in sorted(table.rows, key=lambda row: order.index(row.task)):
        groups.setdefault(row.task, []).append(row)
    return groups


def _by_system(rows: Iterable[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.system, []).append(row)
    return list(groups.values())


def _measured_on(table: Table) -> str:
    where = sorted({f"{row.processor}, {row.threads} thread{'s' * (row.threads > 1)}" for row in table.rows})
    return f"Measured on {'; '.join(where)}."


def _seeds(lines: Iterable[_Line]) -> str:
    """Say how many seeds figures are means of, and whether a training was cut short."""
    lines = list(lines)
    cut_short = " A star marks a training that was cut short." if any(line.is_bounded for line in lines) else ""
    return f"Networks: means of up to {max(line.seeds for line in lines)} seeds.{cut_short}"


def _of_task(rows: Sequence[Row]) -> str:
    ranked_by = rows[0].ranked_by
    ours = [_Line.of_rows(of_system) for of_system in _by_system(rows)]
    missing = EVERYWHERE.keys() - {row.system for row in rows}
    ours += [_Line(title, notes=("not run yet",)) for system, title in EVERYWHERE.items() if system in missing]
    lines = ours + [_Line(f"*{other.title}*", other.scores) for other in PUBLISHED.get(rows[0].task, ())]
    columns = [measure for measure in _FORMATS if any(measure in line.scores for line in lines)]
    lines.sort(key=lambda line: line.scores.get(ranked_by, float("inf")))
    table = [
        f"| {rows[0].task_title} | {' | '.join(columns)} | time |",
        f"|---|{'--:|' * (len(columns) + 1)}",
        *(
            f"| {line.title} | {' | '.join(line.cell(name, spread=name == ranked_by) for name in columns)} |"
            f" {line.seconds} |"
            for line in lines
        ),
    ]
    notes = [f"- {line.title}: {'; '.join(line.notes)}" for line in ours if any(line.notes)]
    return "\n".join([*table, *(["", *notes] if notes else [])])

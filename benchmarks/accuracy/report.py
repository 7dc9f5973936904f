"""The rows in Markdown: a table for each task, the best system first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.rows import Row, Table
from benchmarks.accuracy.task import Measure
from benchmarks.report import format_seconds

__all__ = ["markdown"]

_FORMATS: Mapping[Measure, str] = MappingProxyType(
    {
        "MASE": ".3f", "sMAPE": ".2f", "OWA": ".3f", "MSE": ".3f", "RMSE": ".3f", "weighted quantile loss": ".4f",
        "coverage": ".1%",
    }
)  # fmt: skip
"""How each measure is written, in the order of the columns"""


class _Line(NamedTuple):
    title: str
    scores: Mapping[Measure, float]
    seconds: str


def markdown(table: Table) -> str:
    """Return the tables of all tasks, figures that others have published in italics, and where ours were measured."""
    tasks: dict[str, list[Row]] = {}
    for row in table.rows:
        tasks.setdefault(row.task, []).append(row)
    parts = [_of_task(rows) for rows in tasks.values()]
    where = sorted({f"{row.processor}, {row.threads} threads" for row in table.rows})
    sources = sorted({other.source for task in tasks for other in PUBLISHED.get(task, ())})
    closing = [
        f"Measured on {'; '.join(where)}. Coverage is that of intervals of 80 %; the time is that of fitting and of"
        " forecasting the whole test.",
        f"In italics, as published: {'; '.join(sources)}." if sources else "",
    ]
    return "\n\n".join([*parts, " ".join(filter(None, closing))])


def _of_task(rows: Sequence[Row]) -> str:
    task, ranked_by = rows[0].task, rows[0].ranked_by
    lines = [_Line(row.title, row.scores, format_seconds(row.seconds)) for row in rows]
    lines += [_Line(f"*{other.title}*", other.scores, "") for other in PUBLISHED.get(task, ())]
    columns = [measure for measure in _FORMATS if any(measure in line.scores for line in lines)]
    lines.sort(key=lambda line: line.scores.get(ranked_by, float("inf")))
    return "\n".join(
        [
            f"| {rows[0].task_title} | {' | '.join(columns)} | time |",
            f"|---|{'--:|' * (len(columns) + 1)}",
            *(f"| {line.title} | {' | '.join(_cells(line, columns))} | {line.seconds} |" for line in lines),
        ]
    )


def _cells(line: _Line, columns: Sequence[Measure]) -> list[str]:
    return [format(line.scores[name], _FORMATS[name]) if name in line.scores else "" for name in columns]

"""The table that shows what the data holds, series by series, and the list of problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gatecast.flows.engine.terminal import console, literal, plain

if TYPE_CHECKING:
    import pandas as pd

SERIES_SHOWN = 40
PROBLEMS_SHOWN = 30


def print_series(records: Sequence[Mapping[str, Any]], title: str, is_numbered: bool = False) -> None:
    """Print a row for each series: rows, range, what is new, how old the last row is, problems, and a small picture."""
    from gatecast.data.dates.steps import in_steps
    from gatecast.data.quality.overview import problems_in_words

    console().print(f"\n[bold]{literal(title)}[/bold]")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = ["series", "rows", "new", "from", "to", "age", "problems", ""]
    shown = [name for name in names if name not in ("new", "age") or name in records[0]]
    for name in shown:
        number = name in ("rows", "new", "age")
        table.add_column(name, justify="right" if number else "left", no_wrap=name not in ("series", "problems"))
    day = in_steps if is_numbered else str
    for record in records[:SERIES_SHOWN]:
        cells = {
            "series": str(record["unique_id"]),
            **{name: f"{record.get(name, 0):,}" for name in ("rows", "new")},
            **{name: day(str(record[end])[:10]) for name, end in (("from", "first"), ("to", "last"))},
            "age": str(record.get("age")),
            "problems": problems_in_words(record),
            "": record["sparkline"],
        }
        table.add_row(*(plain(cells[name]) for name in shown), style="yellow" if record.get("cause") else None)
    console().print(table)
    if len(records) > SERIES_SHOWN:
        console().print(f"... and {len(records) - SERIES_SHOWN:,} more series")


def print_problems(problems: pd.DataFrame, is_numbered: bool = False) -> None:
    """Print what is wrong or worth a look, errors first, each with series, date and value."""
    from gatecast.data.dates.steps import in_steps
    from gatecast.data.quality.validation import ERROR, sentence

    ordered = problems.sort_values("severity", key=lambda column: column != ERROR, kind="stable")
    for _, problem in ordered.head(PROBLEMS_SHOWN).iterrows():
        told = in_steps(sentence(problem)) if is_numbered else sentence(problem)
        colour = "red" if problem["severity"] == ERROR else "yellow"
        console().print(f"[{colour}]{problem['severity']:<8}[/{colour}] {literal(told)}")
    if len(problems) > PROBLEMS_SHOWN:
        console().print(f"... and {len(problems) - PROBLEMS_SHOWN:,} more; --output FILE writes all of them")

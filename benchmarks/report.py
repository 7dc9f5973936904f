"""The report of a run: tables in the terminal, a JSON file, and a bar chart of the ratios."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chart import write_chart
from benchmarks.results import Bounded, Comparison, Growth, Learning, Quality, Report, Startup
from gatecast.data.store import write_json

__all__ = ["format_seconds", "print_report", "write_report"]


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``benchmark.json`` and, if there is a ratio to show, ``benchmark.png``; return their paths.

    A scope other than the full one is in the name (``benchmark-quick.json``), so that it never replaces a full run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = "benchmark" if report.scope == "full" else f"benchmark-{report.scope}"
    document = report.model_dump(mode="json")
    for row, record in zip(report.comparisons, document["comparisons"], strict=True):
        record["share_of_peak"] = report.share_of_peak(row)
    paths = [write_json(folder / f"{stem}.json", document)]
    if any(row.ratio for row in report.comparisons):
        paths.append(write_chart(report, folder / f"{stem}.png"))
    return paths


def print_report(report: Report, console: Console) -> None:
    """Print the tables."""
    if report.comparisons:
        console.print(_comparison_table(report))
    if report.growth:
        console.print(_growth_table(report.growth))
    if report.startup:
        console.print(_startup_table(report.startup))
    if report.learning:
        console.print(_learning_table(report.learning))
    if report.quality:
        console.print(_quality_table(report.quality))
    if report.bounded:
        console.print(_bounded_table(report.bounded))
    for line in report.left_out:
        console.print(f"[yellow]not measured:[/yellow] {line}")
    facts = report.machine
    peak = " and ".join(f"{rate:.0f}" for rate in report.peak_gflops)
    console.print(
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads on both sides; "
        f"sgemm peak {peak} GFLOP/s before and after"
    )


def format_seconds(seconds: float) -> str:
    """Return a time with three digits in a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _comparison_table(report: Report) -> Table:
    table = Table(title="Gatecast and its peers (medians; batch/seq/input/hidden)", title_justify="left")
    table.add_column("work")
    table.add_column("peer")
    for name in ("gatecast", "peer's time", "ratio", "middle half", "floor-aim", "GFLOP/s", "of peak"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note")
    group = None
    for row in report.comparisons:
        if group not in (None, row.group):
            table.add_section()
        group = row.group
        table.add_row(*_comparison_cells(row, report.share_of_peak(row)))
    return table


def _comparison_cells(row: Comparison, share: float | None) -> list[str]:
    ratio = row.ratio
    colour = "default"
    if ratio is not None and row.floor is not None:
        colour = "green" if ratio.median >= row.floor else "red"
    return [
        f"{row.group} {row.name}",
        row.peer,
        format_seconds(row.gatecast.seconds.median),
        format_seconds(row.other.seconds.median) if row.other else "-",
        f"[{colour}]{ratio.median:.2f}x[/{colour}]" if ratio else "-",
        f"{ratio.low:.2f}-{ratio.high:.2f}" if ratio else "-",
        f"{row.floor:g}-{row.aim:g}" if row.floor and row.aim else "",
        f"{row.gflops:.1f}" if row.gflops else "",
        f"{share:.0%}" if share else "",
        row.note,
    ]


def _growth_table(rows: Iterable[Growth]) -> Table:
    table = Table(title="Cost growth: fitted p in cost = a * size^p", title_justify="left")
    for name in ("size", "from", "to"):
        table.add_column(name)
    for name in ("time p", "memory p", "arithmetic p", "time, first and last", "memory, first and last"):
        table.add_column(name, justify="right")
    table.add_column("other sizes")
    for row in rows:
        p = row.exponents
        table.add_row(
            row.variable,
            str(row.values[0]),
            str(row.values[-1]),
            *(f"{p[name]:.2f}" for name in ("time", "memory", "arithmetic")),
            " ... ".join(format_seconds(row.seconds[end]) for end in (0, -1)),
            " ... ".join(f"{row.memory[end] / 1e6:.1f} MB" for end in (0, -1)),
            row.fixed,
        )
    return table


def _startup_table(rows: Iterable[Startup]) -> Table:
    table = Table(title="Start-up", title_justify="left")
    table.add_column("what")
    table.add_column("time", justify="right")
    table.add_column("at most", justify="right")
    for row in rows:
        colour = "green" if row.seconds.median <= row.limit else "red"
        table.add_row(row.name, f"[{colour}]{format_seconds(row.seconds.median)}[/{colour}]", f"{row.limit:g} s")
    return table


def _learning_table(rows: Iterable[Learning]) -> Table:
    table = Table(title="Learning", title_justify="left")
    table.add_column("task")
    for name in ("wrong", "learnt with at most", "time"):
        table.add_column(name, justify="right")
    for row in rows:
        colour = "green" if row.wrong <= row.allowed else "red"
        wrong = f"[{colour}]{row.wrong}[/{colour}] of {row.of:,}"
        table.add_row(row.name, wrong, str(row.allowed), format_seconds(row.seconds))
    return table


def _quality_table(rows: Iterable[Quality]) -> Table:
    table = Table(title="Quality", title_justify="left")
    table.add_column("model")
    table.add_column("measure")
    for name in ("value", "at most", "aim", "training"):
        table.add_column(name, justify="right")
    for row in rows:
        colour = "green" if row.value <= row.allowed else "red"
        value = f"[{colour}]{row.value:.3f}[/{colour}]"
        table.add_row(row.name, row.measure, value, f"{row.allowed:g}", f"{row.aim:g}", format_seconds(row.seconds))
    return table


def _bounded_table(rows: Iterable[Bounded]) -> Table:
    table = Table(title="Within bounds", title_justify="left")
    table.add_column("work")
    for name in ("time", "at most", "memory of the process", "at most"):
        table.add_column(name, justify="right")
    for row in rows:
        slow = row.seconds > row.seconds_limit
        large = row.memory > row.memory_limit
        table.add_row(
            row.name,
            f"[{'red' if slow else 'green'}]{format_seconds(row.seconds)}",
            format_seconds(row.seconds_limit),
            f"[{'red' if large else 'green'}]{row.memory / 1e6:,.0f} MB",
            f"{row.memory_limit / 1e6:,.0f} MB",
        )
    return table

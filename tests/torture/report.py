"""The figures of a run, as a table in ``docs/reliability.md``."""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.torture.__main__ import Tally

BEGIN = "<!-- figures: written by `make torture ARGS='--report docs/reliability.md'` -->"
END = "<!-- end of figures -->"


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write(path: Path, tallies: Sequence[Tally], arguments: argparse.Namespace) -> None:
    """Replace the table between the two marks of a page."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{table(tallies, arguments)}\n\n{END}{after}", encoding="utf-8")


def table(tallies: Sequence[Tally], arguments: argparse.Namespace) -> str:
    """Return the table of promises with the figures of a run."""
    form = "short form" if arguments.short else f"{arguments.minutes:g} minutes"
    day = datetime.now(UTC).date()
    lines = [
        f"Last run: {day}, {form}, seed {arguments.seed}, {cpu_seconds():,.0f} s of CPU time.",
        "",
        "| torture | promise | trials | broken | of which |",
        "|---|---|---|---|---|",
    ]
    for tally in tallies:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.kinds.items()))
        told = f"skipped: {tally.skipped}" if tally.skipped else kinds
        lines.append(f"| `{tally.name}` | {tally.promise} | {tally.trials:,} | {len(tally.broken):,} | {told} |")
    return "\n".join(lines)

"""Write the README's comparison table from the JSON file of a run: ``python -m benchmarks.readme``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import format_seconds
from benchmarks.results import Comparison, Report
from gatecast.data.errors import InputError
from gatecast.data.store import atomic_file, read_json

__all__ = ["BEGIN", "END", "Markers", "comparison_table", "replace_table"]

BEGIN = "<!-- benchmark:begin -->"
END = "<!-- benchmark:end -->"


class Markers(NamedTuple):
    """The lines of the README that a table is between."""

    begin: str
    end: str


SPEED = Markers(BEGIN, END)
_ROOT = Path(__file__).parents[1]


def comparison_table(report: Report) -> str:
    """Return the rows that have a ratio as a Markdown table, with a line that says where they were measured."""
    facts = report.machine
    peers = ", ".join(f"{name} {number}" for name, number in report.versions.items() if number and name in _PEERS)
    return "\n".join(
        [
            "| work | Gatecast | peer | | ratio |",
            "|---|--:|---|--:|--:|",
            *(_line(row) for row in report.comparisons if row.ratio is not None),
            "",
            f"Medians of one run on {facts['processor']}, {facts['threads']} threads on both sides, float32; sizes are "
            f"batch/seq/input/hidden. {peers}.",
        ]
    )


def replace_table(text: str, table: str, markers: Markers = SPEED) -> str:
    """Return `text` with `table` between two markers.

    Raises
    ------
    InputError
        When a marker is missing.
    """
    begin, end = markers
    before, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise InputError(f"The README has no {begin} followed by {end}; put the two lines where the table belongs.")
    return f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


_PEERS = ("torch", "onnxruntime", "neuralforecast")


def _line(row: Comparison) -> str:
    assert row.ratio is not None and row.other is not None
    times = format(row.ratio.median, ".0f" if row.ratio.median >= 10 else ".2g")
    ours, theirs = (format_seconds(timing.seconds.median) for timing in (row.gatecast, row.other))
    return f"| {row.group}, {row.name} | {ours} | {row.peer} | {theirs} | {times}× |"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks/results/benchmark.json")
    parser.add_argument("--readme", type=Path, default=_ROOT / "README.md")
    arguments = parser.parse_args()
    try:
        report = Report.model_validate(read_json(arguments.results))
        text = replace_table(arguments.readme.read_text(encoding="utf-8"), comparison_table(report))
    except InputError as error:
        sys.exit(str(error))
    with atomic_file(arguments.readme) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{arguments.readme}: table of {sum(row.ratio is not None for row in report.comparisons)} rows")


if __name__ == "__main__":
    main()

"""Write the README's accuracy tables from the rows of a run: ``python -m benchmarks.accuracy.readme``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.accuracy.report import markdown
from benchmarks.accuracy.rows import read_table
from benchmarks.readme import Markers, replace_table
from gatecast.data.errors import InputError
from gatecast.data.store import atomic_file

__all__ = ["MARKERS"]

MARKERS = Markers("<!-- accuracy:begin -->", "<!-- accuracy:end -->")
_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks/results/accuracy.json")
    parser.add_argument("--readme", type=Path, default=_ROOT / "README.md")
    arguments = parser.parse_args()
    try:
        table = read_table(arguments.results)
        if not table.rows:
            raise InputError(f"{arguments.results} has no rows; run python -m benchmarks.accuracy first.")
        text = replace_table(arguments.readme.read_text(encoding="utf-8"), markdown(table), MARKERS)
    except (InputError, OSError) as error:
        sys.exit(str(error))
    with atomic_file(arguments.readme) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{arguments.readme}: accuracy of {len(table.rows)} rows")


if __name__ == "__main__":
    main()

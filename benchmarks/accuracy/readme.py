"""Write the tables of accuracy from the rows of a run: ``python -m benchmarks.accuracy.readme``.

The README gets the table that sums them up, ``docs/accuracy.md`` the tables of all tasks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.accuracy.report import markdown, summary
from benchmarks.accuracy.rows import read_table
from benchmarks.readme import Markers, replace_table
from gatecast.data.errors import InputError
from gatecast.data.store import atomic_file

__all__ = ["MARKERS", "main"]

MARKERS = Markers("<!-- accuracy:begin -->", "<!-- accuracy:end -->")
_ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks/results/accuracy.json")
    parser.add_argument("--readme", type=Path, default=_ROOT / "README.md")
    parser.add_argument("--page", type=Path, default=_ROOT / "docs/accuracy.md")
    options = parser.parse_args(arguments)
    try:
        table = read_table(options.results)
        if not table.rows:
            raise InputError(f"{options.results} has no rows; run python -m benchmarks.accuracy first.")
        tables = {options.readme: summary(table), options.page: markdown(table)}
        texts = {path: replace_table(path.read_text(encoding="utf-8"), text, MARKERS) for path, text in tables.items()}
    except (InputError, OSError) as error:
        sys.exit(str(error))
    for path, text in texts.items():
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"{path}: accuracy of {len(table.rows)} rows")


if __name__ == "__main__":
    main()

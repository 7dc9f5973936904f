"""Read and check a large table of series, in a fresh process.

Arguments: ``csv`` or ``parquet``, the number of series, and the rows of each. Another process writes the file. Prints
the seconds of reading and checking it, and the most memory that this took, in bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import most_memory


def main() -> None:
    """Run the program; see the module."""
    form, count, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table.{form}"
        write = f"from benchmarks.programs.read_table import write; write({str(path)!r}, {count}, {rows})"
        subprocess.run([sys.executable, "-c", write], check=True)
        from gatecast.data.sources.source import open_source

        begun = time.perf_counter()
        checked = open_source(form, path).check()
        seconds = time.perf_counter() - begun
    assert len(checked.rows) == count * rows
    assert checked.problems.empty
    print(json.dumps({"seconds": seconds, "memory": most_memory()}))


def write(path: str, count: int, rows: int) -> None:
    """Write daily series of two decimals."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv, parquet

    days = pd.date_range("2010-01-01", periods=rows)
    is_csv = path.endswith("csv")
    table = pa.table(
        {
            "unique_id": pa.array(np.repeat([f"s{number:05d}" for number in range(count)], rows)),
            "ds": pa.array(np.tile(days.strftime("%Y-%m-%d") if is_csv else days, count)),
            "y": pa.array(np.round(np.random.default_rng(0).normal(100, 10, count * rows), 2)),
        }
    )
    if is_csv:
        csv.write_csv(table, path)
    else:
        parquet.write_table(table, path)


if __name__ == "__main__":
    main()

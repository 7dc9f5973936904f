"""Build the sequences of many series from their files, in a fresh process.

Arguments: the number of series, and a folder. Prints the seconds of the first build, of one after nothing and of one
after one series in a hundred has changed; each from the files to arrays that are mapped for training. Also prints the
number of windows and the most memory that the process ever held, in bytes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.processes import most_memory

ROWS = 5_000
COLUMNS = 8
_FETCHED = {"source": "benchmark", "fetched_at": "2020-01-01T00:00:00+00:00"}


def main() -> None:
    """Run the program; see the module."""
    count = int(sys.argv[1])
    folder = Path(sys.argv[2])
    files = [_write(folder / "in" / f"s{number:05d}.parquet", number, seed=number) for number in range(count)]
    first, windows = _build(files, folder)
    unchanged, _ = _build(files, folder)
    for number in range(0, count, 100):
        _write(files[number], number, seed=count + number)
    changed, _ = _build(files, folder)
    found = {"seconds": first, "unchanged": unchanged, "changed": changed, "windows": windows}
    print(json.dumps({**found, "memory": most_memory()}))


def _write(path: Path, number: int, seed: int) -> Path:
    from gatecast.data.bars.store import write_rows

    values = np.random.default_rng(seed).normal(size=(ROWS, COLUMNS)).cumsum(axis=0)
    rows = pd.DataFrame(values, columns=["y", *(f"x{column}" for column in range(COLUMNS - 1))])
    rows.insert(0, "unique_id", f"s{number:05d}")
    rows.insert(1, "ds", pd.date_range("2000-01-01", periods=ROWS, freq="D", unit="ns"))
    return write_rows(rows, path, _FETCHED)


def _build(files: list[Path], folder: Path) -> tuple[float, int]:
    from gatecast.data.sequences.build import build_from_files
    from gatecast.data.sequences.sequences import SequenceSettings, read_sequences, write_sequences

    begun = time.perf_counter()
    sequences = build_from_files(files, lambda rows: rows, "", SequenceSettings(), folder / "cache")
    write_sequences(sequences, folder / "out")
    del sequences
    mapped = read_sequences(folder / "out")
    return time.perf_counter() - begun, len(mapped.windows)


if __name__ == "__main__":
    main()

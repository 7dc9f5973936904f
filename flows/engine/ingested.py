"""Reading what `flows.ingest` wrote: a folder of Parquet files, one for each series."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gatecast.data.bars.store import read_rows
from gatecast.data.errors import InputError
from gatecast.data.store import settled


def ingested_files(directory: Path) -> list[Path]:
    """Return the files that `ingest` wrote, one for each series.

    Raises
    ------
    InputError
        The folder is gone or empty.
    """
    files = sorted(settled(directory).path.glob("*.parquet"))
    if not files:
        raise InputError(f"{directory} holds no Parquet file; retrain to read the data again.")
    return files


def read_ingested(directory: Path) -> pd.DataFrame:
    """Return the bars or series frame that `ingest` wrote.

    Raises
    ------
    InputError
        The folder is gone or a file in it is damaged.
    """
    frame = pd.concat([read_rows(file).rows for file in ingested_files(directory)], ignore_index=True)
    return frame.sort_values(["unique_id", "ds"], ignore_index=True)

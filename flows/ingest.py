"""Read a source and keep what it gave as Parquet, one file per series."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data.errors import InputError
from data.sources import Selection, frame_kind, open_source
from data.store import atomic_directory, content_hash, read_parquet, symbol_filename, write_parquet
from flows.orchestration import Output, task
from flows.settings import DataSettings


@task("ingest {settings.origin}", cached=False)
def ingest(settings: DataSettings, bars: str) -> Output:
    """Read the selected data and write it to a folder that is named after its content.

    Parameters
    ----------
    settings : DataSettings
        Source and selection.
    bars : str
        Folder of the workspace.

    Returns
    -------
    dict
        ``directory`` with the Parquet files, their ``content_hash``, ``kind`` ("bars" or "series"), and the date of the
        ``last`` row.

    Raises
    ------
    InputError
        The source or the selection is wrong; nothing is written then.
    """
    source = open_source(settings.source, settings.path)
    frame = source.read(Selection(settings.symbols, settings.start, settings.end, settings.interval))
    content = content_hash(frame)
    directory = Path(bars) / f"{settings.origin}-{content[:12]}"
    if not _holds(directory, content):
        metadata = {"kind": frame_kind(frame), "source": source.name, "origin": str(settings.path or source.name)}
        with atomic_directory(directory) as temporary:
            for unique_id, rows in frame.groupby("unique_id", sort=False):
                write_parquet(rows, temporary / f"{symbol_filename(str(unique_id))}.parquet", metadata)
    first, last = (f"{moment:%Y-%m-%d}" for moment in (frame["ds"].min(), frame["ds"].max()))
    series = frame["unique_id"].nunique()
    return {
        "directory": str(directory),
        "content_hash": content,
        "kind": frame_kind(frame),
        "last": last,
        "summary": f"{len(frame):,} rows of {series} series, {first} to {last}",
    }


def read_ingested(directory: Path) -> pd.DataFrame:
    """Return the bars or series frame that `ingest` wrote.

    Raises
    ------
    InputError
        The folder is gone or a file in it is damaged.
    """
    files = sorted(directory.glob("*.parquet"))
    if not files:
        raise InputError(f"{directory} holds no Parquet file; retrain to read the data anew.")
    frame = pd.concat([read_parquet(file)[0] for file in files], ignore_index=True)
    return frame.sort_values(["unique_id", "ds"], ignore_index=True)


def _holds(directory: Path, content: str) -> bool:
    """Tell whether a folder still holds this content; a damaged one does not."""
    try:
        return content_hash(read_ingested(directory)) == content
    except (InputError, KeyError, ValueError):
        return False

"""Prefect's SQLite file in the workspace: the record of runs. Everything else still works without it."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gatecast.data.store import set_aside
from gatecast.flows.settings.workspace import Workspace

_LOGGER = logging.getLogger(__name__)
GAPS = 0.1
"""Share of the file that may be empty"""
WAIT_SECONDS = 30.0


def set_aside_with_journal(path: Path) -> None:
    """Set a database aside together with its journal, which must not be applied to the next one."""
    aside = set_aside(path)
    for journal in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if journal.exists():
            set_aside(journal)
    _LOGGER.warning(
        "%s, Prefect's record of runs, is damaged; it was set aside as %s, and a new one is begun.", path, aside.name
    )


def database(workspace: Workspace) -> Path:
    """Return Prefect's file of SQLite, which need not exist."""
    return Path(os.environ.get("PREFECT_HOME", workspace.prefect)) / "prefect.db"


def compact(path: Path) -> int:
    """Write a database of SQLite again without its gaps, and return how many bytes that has saved.

    A server may be at work on it and waits meanwhile. If it is too busy, the next time will do.
    """
    if not path.exists():
        return 0
    before = _bytes(path)
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
            free, pages = (connection.execute(f"PRAGMA {of}").fetchone()[0] for of in ("freelist_count", "page_count"))
            if free > GAPS * pages:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        _LOGGER.info("%s was not made smaller (%s).", path, error)
    return max(0, before - _bytes(path))


def fold_in(path: Path) -> None:
    """Write the journal of a database, whose server has ended, into its file; another server keeps it."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        _LOGGER.info("The journal of %s stays (%s).", path, error)


def _bytes(path: Path) -> int:
    journal = path.with_name(f"{path.name}-wal")
    return sum(file.stat().st_size for file in (path, journal) if file.exists())

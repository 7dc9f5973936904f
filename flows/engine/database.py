"""Prefect's SQLite file in the workspace: the record of runs. Everything else still works without it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gatecast.data.store import set_aside

_LOGGER = logging.getLogger(__name__)


def is_damaged(path: Path) -> bool:
    """Tell whether a file exists but is not an intact SQLite database; one that is merely in use is not damaged."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            return connection.execute("PRAGMA quick_check").fetchone() != ("ok",)
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def set_aside_with_journal(path: Path) -> None:
    """Set a database aside together with its journal, which must not be applied to the next one."""
    aside = set_aside(path)
    for journal in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if journal.exists():
            set_aside(journal)
    _LOGGER.warning(
        "%s, Prefect's record of runs, is damaged; it was set aside as %s, and a new one is begun.", path, aside.name
    )

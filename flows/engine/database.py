"""Prefect's SQLite file in the workspace: the record of runs. Everything else still works without it."""

from __future__ import annotations

import logging
from pathlib import Path

from gatecast.data.store import set_aside

_LOGGER = logging.getLogger(__name__)


def set_aside_with_journal(path: Path) -> None:
    """Set a database aside together with its journal, which must not be applied to the next one."""
    aside = set_aside(path)
    for journal in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if journal.exists():
            set_aside(journal)
    _LOGGER.warning(
        "%s, Prefect's record of runs, is damaged; it was set aside as %s, and a new one is begun.", path, aside.name
    )

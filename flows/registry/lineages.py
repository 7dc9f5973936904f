"""Where a version comes from: ``lineage.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gatecast.data.errors import InputError
from gatecast.data.store import read_json, set_aside, write_json

LINEAGE = "lineage.json"
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_LOGGER = logging.getLogger(__name__)


class _Lineage(BaseModel):
    created_at: Text | None = None
    parent: Text | None = None
    data: Text | None = None
    last: Text | None = None
    data_hash: Text | None = None


def write_lineage(path: Path, lineage: Mapping[str, Any]) -> None:
    """Write a lineage."""
    write_json(path, lineage)


def read_lineage(path: Path) -> dict[str, Any]:
    """Read a lineage.

    Raises
    ------
    InputError
        The file is missing.
    DamagedFileError
        It does not hold what was written there.
    """
    return read_json(path, _Lineage, "retrain the model")


def is_whole(path: Path) -> bool:
    """Tell whether a lineage can be read."""
    try:
        read_lineage(path)
        return True
    except InputError:
        return False


def set_lineage_aside(path: Path) -> None:
    """Set a damaged lineage aside, with a warning; call it while the registry is locked."""
    if path.exists():
        _LOGGER.warning("%s is damaged, and was set aside as %s.", path, set_aside(path).name)

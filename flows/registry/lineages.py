"""Where a version comes from: ``lineage.json``, which has the hash of its own content; older ones have none."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.store import read_json, set_aside, write_json

LINEAGE = "lineage.json"
OWN_HASH = "sha256"
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_LOGGER = logging.getLogger(__name__)


class _Lineage(BaseModel):
    created_at: Text | None = None
    parent: Text | None = None
    data: Text | None = None
    last: Text | None = None
    data_hash: Text | None = None


def write_lineage(path: Path, lineage: Mapping[str, Any]) -> None:
    """Write a lineage with its hash."""
    write_json(path, {**lineage, OWN_HASH: _hash_of(lineage)})


def read_lineage(path: Path) -> dict[str, Any]:
    """Read a lineage.

    Raises
    ------
    InputError
        The file is missing.
    DamagedFileError
        It does not hold what was written there.
    """
    lineage: dict[str, Any] = read_json(path, _Lineage)
    stated = lineage.pop(OWN_HASH, None)
    if stated is not None and stated != _hash_of(lineage):
        raise DamagedFileError(f"{path} does not hold what was written there; retrain the model.")
    return lineage


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


def _hash_of(lineage: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(lineage, sort_keys=True).encode()).hexdigest()

"""Steps that are answered from cache: what decides a result, how it is stored, and when it is used again.

A task's result is JSON with its hash, and the task is answered from cache while its inputs, the code, the result itself
and the files that it wrote are unchanged.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import gatecast
from gatecast.data.store import sha256_file
from gatecast.flows.engine.server import quiet_import

with quiet_import():
    from prefect.cache_policies import CachePolicy
    from prefect.context import TaskRunContext
    from prefect.results import ResultStore
    from prefect.serializers import JSONSerializer
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
    from prefect.types import DateTime
from pydantic import Field

_LOGGER = logging.getLogger(__name__)
LONG_AGO = DateTime(2000, 1, 1, tzinfo=UTC)


@cache
def code_version() -> str:
    """Return 16 hex digits that change with any source file of the four packages."""
    root = Path(gatecast.__file__).parent
    total = hashlib.sha256()
    for package in ("data", "flows", "kernels", "lstm"):
        for path in sorted((root / package).rglob("*.py")):
            total.update(path.relative_to(root).as_posix().encode())
            total.update(path.read_bytes())
    return total.hexdigest()[:16]


def digest(*values: Any) -> str:
    """Return 12 hex digits of the SHA-256 of JSON values, settings, paths and dataclasses of these."""
    text = json.dumps(values, sort_keys=True, default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return vars(value) if is_dataclass(value) else value.model_dump(mode="json")


def hashes(*paths: Path) -> dict[str, str]:
    """Return path and SHA-256 of files, and of all files in directories: the record of what a step wrote."""
    files = [
        file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()
    ]
    return {str(file): sha256_file(file) for file in files}


class HashedJSON(JSONSerializer[Any]):
    """JSON with the hash of the value, so that an edited or damaged result is not used."""

    type: str = Field(default="hashed-json", frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """Return the value and its hash as JSON."""
        value = super().dumps(obj)
        return b'{"sha256": "%s", "value": %s}' % (_sha256(value), value)

    def loads(self, blob: bytes) -> Any:
        """Undo `dumps`; raise ValueError if the hash differs."""
        stored = json.loads(blob)
        value = json.dumps(stored["value"]).encode()
        if _sha256(value) != stored["sha256"].encode():
            raise ValueError("the stored result is not what was written there")
        return super().loads(value)


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


@dataclass
class Unchanged(CachePolicy):
    """Answer a task from cache while its inputs, the code and the files it wrote are unchanged.

    A task lists its files with their hashes under ``files`` of its result (see `hashes`). A flow's parameter ``force``
    makes every task run again.

    Attributes
    ----------
    ignore : tuple of str
        Inputs that do not change the result.
    """

    ignore: tuple[str, ...] = ()

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        """Return the key of the task's result; a result that must not be used is made to expire."""
        considered = {name: value for name, value in inputs.items() if name not in self.ignore}
        key = f"{task_ctx.task.name}-{digest(code_version(), considered)}"
        store = task_ctx.result_store
        forced = bool(flow_parameters.get("force"))
        damage = None if forced else _damage(store, key)
        if damage:
            _LOGGER.warning("%s, so the step %s runs again.", damage, task_ctx.task.name)
        if store.exists(key) and (forced or damage):
            store.write(obj=None, key=key, expiration=LONG_AGO)
        return key


def _damage(store: ResultStore, key: str) -> str | None:
    """Say which file keeps a stored result from being used; None if all are as the task left them."""
    path = PREFECT_LOCAL_STORAGE_PATH.value() / key
    try:
        result = store.read(key).result
        if result is None:
            return None  # one that was made to expire
        files: Mapping[str, str] = result["files"]
    except (OSError, ValueError, TypeError, LookupError, RuntimeError):
        # A file that others write too need not be damaged; a stored result is.
        return f"{path} is damaged" if path.exists() else None
    for file, expected in files.items():
        if not Path(file).is_file():
            return f"{file} is gone"
        if sha256_file(Path(file)) != expected:
            return f"{file} has changed"
    return None

"""What is stored in a workspace: every file is read, and checked against its hash if it has one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from gatecast.data.bars.store import read_rows
from gatecast.data.errors import DamagedFileError, FormatError, InputError, naming
from gatecast.data.store import is_damaged_sqlite, read_json, read_parquet, sha256_file
from gatecast.flows.registry.decisions import HISTORY, POINTER, Decisions
from gatecast.flows.registry.lineages import LINEAGE, read_lineage
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training import checkpoint

State = Literal["whole", "damaged", "left over"]
NOT_STORED = re.compile(r"(.*\.)?lock|.*\.db-(wal|shm|journal)")
"""Locks, and what SQLite keeps next to a database while that is open"""
LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp|\..+\.pruned|\..+\.former|\.candidate")
"""Files and folders of processes that were killed, or are at work"""
SET_ASIDE = re.compile(r".+\.damaged(-\d+)?")
"""Damaged files that were set aside"""
MADE_AGAIN = "the next run that needs it writes it again"
MENDS: Mapping[str, str] = MappingProxyType(
    {
        "bars": MADE_AGAIN, "texts": MADE_AGAIN, "tagged": MADE_AGAIN, "sequences": MADE_AGAIN, "reports": MADE_AGAIN,
        "prefect": "Gatecast writes it again, or sets it aside when it starts",
        "forecasts": "the next monitor sets it aside; restore it from a backup",
        "quarantine": "it is set aside when the next rows are refused; restore it from a backup",
        POINTER: f"{HISTORY} says who the champion is, and the next decision writes it again",
        HISTORY: "the next training or decision keeps the lines that can be read, and sets the file aside",
        LINEAGE: "train the model again with the same data, or restore it from a backup",
        ".training": "a resumed training goes on from the checkpoint before it",
        "refits": "the champion forecasts as it was judged until the next retrain",
    }
)  # fmt: skip
"""What follows from damage, by the name of the file or of a folder above it"""
MEND = "choose another version with 'gatecast models promote', train again, or restore it from a backup"


@dataclass(frozen=True)
class Found:
    """A file of the workspace.

    Attributes
    ----------
    path : Path
        Relative to the workspace.
    state : {"whole", "damaged", "left over"}
    problem : str
        What is wrong with it.
    """

    path: Path
    state: State
    problem: str = ""

    @property
    def mend(self) -> str:
        """What follows, and what to do."""
        for part in reversed(self.path.parts):
            if part in MENDS:
                return MENDS[part]
        return MEND


def examine(workspace: Workspace) -> Iterator[Found]:
    """Read every file of a workspace, folder by folder; nothing is written."""
    for folder, folders, files in os.walk(workspace.root, followlinks=True):
        here = Path(folder)
        for name in filter(LEFT_OVER.fullmatch, folders):
            yield Found((here / name).relative_to(workspace.root), "left over")
        folders[:] = sorted(name for name in folders if not LEFT_OVER.fullmatch(name))
        stored = sorted(name for name in files if not NOT_STORED.fullmatch(name))
        is_of_checkpoint = _is_checkpoint(here, stored)
        if is_of_checkpoint:
            stored += sorted(_files_of(here) - set(stored))
        for name in stored:
            path = here / name
            relative = path.relative_to(workspace.root)
            if LEFT_OVER.fullmatch(name) or SET_ASIDE.fullmatch(name):
                yield Found(relative, "left over")
                continue
            problem = _problem(path, relative, is_of_checkpoint)
            yield Found(relative, "damaged" if problem else "whole", problem)


def _is_checkpoint(folder: Path, files: list[str]) -> bool:
    return checkpoint.DOCUMENT in files or any(name.endswith(".safetensors") for name in files)


def _files_of(folder: Path) -> set[str]:
    """Return the names of the files that a checkpoint has to have."""
    try:
        return {checkpoint.DOCUMENT, *checkpoint.read_document(folder)["files"]}
    except InputError:
        return {checkpoint.DOCUMENT}


def _problem(path: Path, relative: Path, is_of_checkpoint: bool) -> str:
    """Return what is wrong with a file; nothing if it is whole, or if only another Gatecast can tell."""
    read = _reader(path, relative, is_of_checkpoint)
    try:
        with naming(path):
            read(path)
    except FormatError:
        return ""
    except (InputError, OSError) as error:
        if not path.exists() and not is_of_checkpoint:
            return ""  # a run has removed it meanwhile
        return " ".join(str(error).split())
    return ""


def _reader(path: Path, relative: Path, is_of_checkpoint: bool) -> Callable[[Path], object]:
    """Return what reads a file, and raises InputError or OSError if it is damaged."""
    room = relative.parts[0]
    if path.name == LINEAGE:
        return read_lineage
    if is_of_checkpoint:
        return _read_of_checkpoint
    if path.name in (POINTER, HISTORY):
        return _read_decisions
    if room == "prefect":
        return _READERS_OF_PREFECT.get(path.suffix, _read_result if "storage" in relative.parts else sha256_file)
    if room == "bars" and path.suffix == ".parquet":
        return _read_rows
    if room == "sequences" and path.suffix == ".arrow":
        return _read_arrow
    if room == "texts":
        return _read_named_for_content
    return _READERS.get(path.suffix, sha256_file)


def _read_of_checkpoint(path: Path) -> None:
    if path.name == checkpoint.DOCUMENT:
        checkpoint.read_document(path.parent)
    elif path.name in checkpoint.read_document(path.parent)["files"]:
        checkpoint.read_extra_file(path.parent, path.name)
    else:
        sha256_file(path)


def _read_decisions(path: Path) -> None:
    if path in Decisions(path.parent, path.parent.name).damaged():
        raise DamagedFileError(f"{path} does not hold what was written there.")


def _read_rows(path: Path) -> None:
    try:
        read_rows(path)
    except DamagedFileError:
        raise
    except InputError as error:  # of a newer Gatecast
        raise FormatError(str(error)) from error


def _read_named_for_content(path: Path) -> None:
    if not sha256_file(path).startswith(path.stem):
        raise DamagedFileError(f"{path} does not hold what it is named for.")


def _read_arrow(path: Path) -> None:
    """Map a file of sequences; that of a series has the hash of its bytes in its name."""
    import pyarrow as pa

    digits = path.stem.partition("-")[2]
    if path.parent.name.startswith(".") and not sha256_file(path).startswith(digits):
        raise DamagedFileError(f"{path} does not hold what was written there.")
    try:
        with pa.memory_map(str(path)) as file:
            pa.ipc.open_file(file).read_all().validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read as Arrow.") from error


def _read_database(path: Path) -> None:
    if is_damaged_sqlite(path):
        raise DamagedFileError(f"{path} is not a whole SQLite database.")


def _read_result(path: Path) -> None:
    """Read the result of a step and check its hash, as `flows.engine.caching` does."""
    stored = read_json(path, dict[str, Any])
    try:
        result = json.loads(stored["result"])
        value = json.dumps(result["value"]).encode()
        is_whole = hashlib.sha256(value).hexdigest() == result["sha256"]
    except (LookupError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        raise DamagedFileError(f"{path} does not hold what was written there.")


def _read_picture(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.verify()
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read as a picture.") from error


def _read_text(path: Path) -> None:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} cannot be read as text.") from error


_READERS: Mapping[str, Callable[[Path], object]] = MappingProxyType(
    {
        ".json": partial(read_json, form=object),
        ".parquet": read_parquet,
        ".png": _read_picture,
        ".html": _read_text,
        ".txt": _read_text,
        ".conll": _read_text,
    }
)
_READERS_OF_PREFECT: Mapping[str, Callable[[Path], object]] = MappingProxyType(
    {".db": _read_database, ".json": read_json, ".toml": _read_text}
)

"""Checkpoints: a directory of safetensors files and ``model.json``, which runs no code when it is loaded.

``model.json`` says what kind of model it is, the settings and everything else that is not an array, and names each
other file with its SHA-256. It holds no time and no path, so the same training gives the same bytes. A checkpoint is
written whole to a temporary directory and synced before it gets its name; a reader finds the former one until then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from data.store import atomic_directory, settled

__all__ = ["Checkpoint", "CheckpointError", "fingerprint", "read", "write"]

FORMAT = 1
DOCUMENT = "model.json"
_NAME_WITH_FINGERPRINT = re.compile(r"-([0-9a-f]{12})$")


class CheckpointError(InputError):
    """A checkpoint cannot be read, or must not be overwritten."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    kind : str
        Name of the model class.
    document : dict
        Everything that is not an array, as JSON can hold it.
    arrays : dict of file name to dict of name to array
        ``model`` holds the weights under torch's names.
    extra_files : dict of file name to bytes
    """

    kind: str
    document: dict[str, Any]
    arrays: dict[str, dict[str, np.ndarray]]
    extra_files: Mapping[str, bytes] = field(default_factory=dict)


def write(checkpoint: Checkpoint, path: str | Path, overwrite: bool = False) -> Path:
    """Write a checkpoint to the directory `path`, whole or not at all.

    Raises
    ------
    CheckpointError
        When something stands at `path` already and `overwrite` is False, or is no checkpoint.
    """
    import safetensors.numpy

    path = Path(path)
    present = settled(path)
    if present.identity is not None and not overwrite:
        raise CheckpointError(f"{path} exists already; choose another path or pass overwrite=True.")
    if present.identity is not None and not (present.path / DOCUMENT).is_file():
        raise CheckpointError(f"{path} is not a checkpoint and will not be overwritten; choose another path.")
    contents = dict(checkpoint.extra_files)
    for name in contents:
        if name == DOCUMENT or name.endswith(".safetensors") or Path(name).name != name:
            raise ValueError(f"extra file {name!r} would take the place of another; give it a name of its own")
    for name, arrays in checkpoint.arrays.items():
        tensors = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        contents[f"{name}.safetensors"] = safetensors.numpy.save(tensors)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    document = {"kind": checkpoint.kind, "format": FORMAT, "files": hashes, **checkpoint.document}
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    contents[DOCUMENT] = text.encode()
    with atomic_directory(path) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
    return path


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint and check every byte of it.

    Raises
    ------
    CheckpointError
        When it is missing, incomplete, damaged, renamed to another version's name, or of a newer format.
    """
    path = Path(path)
    while True:
        place = settled(path)
        try:
            return _read(place.path, path.name)
        except CheckpointError:
            # Its files may be of two checkpoints, where one took the place of the other meanwhile.
            if settled(path).identity == place.identity:
                raise


def _read(path: Path, name: str) -> Checkpoint:
    """Read the checkpoint that is at `path` under its name, or aside for a moment."""
    document = _read_document(path)
    hashes = document.pop("files")
    kind = document.pop("kind")
    if document.pop("format") != FORMAT:
        raise CheckpointError(f"{path} is of another format than this Gatecast reads ({FORMAT}); upgrade Gatecast.")
    stated = _NAME_WITH_FINGERPRINT.search(name)
    if stated and stated[1] != fingerprint(path):
        raise CheckpointError(f"{path / DOCUMENT} is not the one that {name} was named for; restore or retrain it.")
    arrays, extra_files = {}, {}
    for file_name, expected in hashes.items():
        if Path(file_name).name != file_name:
            raise CheckpointError(
                f"{path / DOCUMENT} names {file_name!r}, a file outside the checkpoint; do not trust it."
            )
        content = _read_file(path / file_name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise CheckpointError(
                f"{path / file_name} is damaged: its SHA-256 differs from {DOCUMENT}; restore or retrain it."
            )
        if file_name.endswith(".safetensors"):
            arrays[file_name.removesuffix(".safetensors")] = _tensors(content, path / file_name)
        else:
            extra_files[file_name] = content
    return Checkpoint(kind, document, arrays, extra_files)


def fingerprint(path: str | Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a checkpoint's ``model.json``, which names all its bytes."""
    return hashlib.sha256(_read_file(settled(Path(path)).path / DOCUMENT)).hexdigest()[:12]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); name a complete checkpoint.") from error
    except MemoryError as error:
        raise CheckpointError(f"{path} is larger than the memory of this machine; name another checkpoint.") from error


def _read_document(path: Path) -> dict[str, Any]:
    content = _read_file(path / DOCUMENT)
    try:
        document = json.loads(content)
        complete = {"kind", "format", "files"} <= set(document) and isinstance(document["files"], dict)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path / DOCUMENT} is not JSON ({error}); restore or retrain the model.") from error
    if not complete:
        raise CheckpointError(
            f"{path / DOCUMENT} does not describe a checkpoint; name a directory that Gatecast wrote."
        )
    return document


def _tensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error}); restore or retrain the model.") from error

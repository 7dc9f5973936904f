"""Checkpoints: a directory of safetensors files and ``model.json``, which runs no code when it is loaded.

``model.json`` says what kind of model it is, the settings and everything else that is not an array, and names each
other file with its SHA-256. It holds no time and no path, so the same training gives the same bytes. A checkpoint is
written whole beside its place, synced, and renamed.
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

from data.errors import CheckpointError, DamagedError, FormatError
from data.store import atomic_directory

__all__ = [
    "Checkpoint", "CheckpointError", "DamagedError", "FormatError",
    "fingerprint", "read", "read_document", "read_extra_file", "write",
]  # fmt: skip

FORMAT = 1
DOCUMENT = "model.json"
_PARTS = (("kind", str), ("format", int), ("files", dict))
_NAME_WITH_FINGERPRINT = re.compile(r"-([0-9a-f]{12})$")


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
    if path.exists() and not overwrite:
        raise CheckpointError(f"{path} exists already; choose another path or pass overwrite=True.")
    if path.exists() and not (path / DOCUMENT).is_file():
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
    DamagedError
        A file is missing or not what was written, or the checkpoint has been renamed to another version's name.
    FormatError
        An older or newer Gatecast wrote it.
    """
    path = Path(path)
    document = read_document(path)
    hashes, kind = document.pop("files"), document.pop("kind")
    del document["format"]
    arrays, extra_files = {}, {}
    for name in hashes:
        content = _read_checked(path, name, hashes)
        if name.endswith(".safetensors"):
            arrays[name.removesuffix(".safetensors")] = _tensors(content, path / name)
        else:
            extra_files[name] = content
    return Checkpoint(kind, document, arrays, extra_files)


def read_document(path: str | Path) -> dict[str, Any]:
    """Read and check ``model.json`` alone, which names the ``kind``, the settings and the hashes of the other files.

    Raises
    ------
    DamagedError, FormatError
        As for `read`.
    """
    path = Path(path)
    document = _read_document(path)
    stated = _NAME_WITH_FINGERPRINT.search(path.name)
    if stated and stated[1] != fingerprint(path):
        raise DamagedError(f"{path / DOCUMENT} is not the one that {path.name} was named for; restore or retrain it.")
    if document["format"] != FORMAT:
        age, remedy = ("a newer", "upgrade") if document["format"] > FORMAT else ("an older", "use that")
        raise FormatError(
            f"{path} was written by {age} Gatecast in format {document['format']}, and this one reads format {FORMAT};"
            f" {remedy} Gatecast."
        )
    return document


def read_extra_file(path: str | Path, name: str) -> bytes:
    """Read and check one of the extra files that a checkpoint keeps.

    Raises
    ------
    DamagedError, FormatError
        As for `read`; a checkpoint without this file is another Gatecast's.
    """
    path = Path(path)
    hashes = read_document(path)["files"]
    if name not in hashes:
        raise FormatError(f"{path} was written without {name}, by another Gatecast; use that one or train it again.")
    return _read_checked(path, name, hashes)


def fingerprint(path: str | Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a checkpoint's ``model.json``, which names all its bytes."""
    return hashlib.sha256(_read_file(Path(path) / DOCUMENT)).hexdigest()[:12]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}); name a complete checkpoint.") from error


def _read_checked(path: Path, name: str, hashes: Mapping[str, str]) -> bytes:
    """Read a file of a checkpoint, which has to have the hash that ``model.json`` states."""
    if Path(name).name != name:
        raise DamagedError(f"{path / DOCUMENT} names {name!r}, a file outside the checkpoint; do not trust it.")
    content = _read_file(path / name)
    if hashlib.sha256(content).hexdigest() != hashes[name]:
        raise DamagedError(f"{path / name} is damaged: its SHA-256 differs from {DOCUMENT}; restore or retrain it.")
    return content


def _read_document(path: Path) -> dict[str, Any]:
    content = _read_file(path / DOCUMENT)
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DamagedError(f"{path / DOCUMENT} is not JSON ({error}); restore or retrain the model.") from error
    if not isinstance(document, dict) or any(not isinstance(document.get(name), type_) for name, type_ in _PARTS):
        raise DamagedError(f"{path / DOCUMENT} does not describe a checkpoint; name a directory that Gatecast wrote.")
    return document


def _tensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise DamagedError(f"{path} is not a safetensors file ({error}); restore or retrain the model.") from error

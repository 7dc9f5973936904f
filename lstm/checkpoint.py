"""Checkpoints: a directory of safetensors files and ``model.json``, which runs no code when it is loaded.

``model.json`` says what kind of model it is, the settings and everything else that is not an array, and names each
other file with its SHA-256, and itself with that of its own content. It holds no time and no path, so the same training
gives the same bytes. A checkpoint is written whole beside its place, synced, and renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from data.store import atomic_directory

__all__ = ["Checkpoint", "CheckpointError", "fingerprint", "read", "read_extra_file", "write"]

FORMAT = 2
FORMATS = (1, FORMAT)
"""Those that can be read; in the first, ``model.json`` had no hash of its own"""
DOCUMENT = "model.json"
OWN_HASH = "sha256"
_LOGGER = logging.getLogger(__name__)
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
    document[OWN_HASH] = _hash_of(document)
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    contents[DOCUMENT] = text.encode()
    with atomic_directory(path) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
    return path


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint and check every byte of it.

    An extra file that is damaged is left out, with a warning: the model is whole without it.

    Raises
    ------
    CheckpointError
        When it is missing, incomplete, damaged, renamed to another version's name, or of a newer format.
    """
    path = Path(path)
    document = _read_document(path)
    hashes = document.pop("files")
    kind = document.pop("kind")
    arrays, extra_files = {}, {}
    for name, expected in hashes.items():
        is_extra = not name.endswith(".safetensors")
        try:
            content = _read_named(path, name, expected)
        except CheckpointError as error:
            if not is_extra:
                raise
            _LOGGER.warning("%s", error)
            continue
        if is_extra:
            extra_files[name] = content
        else:
            arrays[name.removesuffix(".safetensors")] = _tensors(content, path / name)
    return Checkpoint(kind, document, arrays, extra_files)


def read_extra_file(path: str | Path, name: str) -> bytes:
    """Read one of a checkpoint's extra files, and nothing of the model.

    Raises
    ------
    CheckpointError
        When the checkpoint has no such file, or it or ``model.json`` is missing or damaged.
    """
    path = Path(path)
    hashes = _read_document(path)["files"]
    if name not in hashes:
        raise CheckpointError(f"{path} has no {name}; name a checkpoint that was saved with it.")
    return _read_named(path, name, hashes[name])


def _read_named(path: Path, name: str, expected: str) -> bytes:
    """Read a file that ``model.json`` names."""
    if Path(name).name != name:
        raise CheckpointError(f"{path / DOCUMENT} names {name!r}, a file outside the checkpoint; do not trust it.")
    content = _read_file(path / name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{path / name} is damaged: its SHA-256 differs from {DOCUMENT}; restore or retrain it.")
    return content


def fingerprint(path: str | Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a checkpoint's ``model.json``, which names all its bytes."""
    return hashlib.sha256(_read_file(Path(path) / DOCUMENT)).hexdigest()[:12]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); name a complete checkpoint.") from error


def _read_document(path: Path) -> dict[str, Any]:
    """Read ``model.json`` and check it; what concerns the check alone is left out."""
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
    written_as = document["format"]
    if written_as not in FORMATS:
        raise CheckpointError(f"{path} is of another format than this Gatecast reads ({FORMAT}); upgrade Gatecast.")
    stated = _NAME_WITH_FINGERPRINT.search(path.name)
    if stated and stated[1] != hashlib.sha256(content).hexdigest()[:12]:
        raise CheckpointError(
            f"{path / DOCUMENT} is not the one that {path.name} was named for; restore or retrain it."
        )
    own_hash = document.pop(OWN_HASH, None)
    was_hashed = own_hash is not None or written_as != 1
    if was_hashed and own_hash != _hash_of(document):
        raise CheckpointError(f"{path / DOCUMENT} is damaged: its content has another hash; restore or retrain it.")
    del document["format"]
    return document


def _hash_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values, however they are laid out in a file."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _tensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error}); restore or retrain the model.") from error

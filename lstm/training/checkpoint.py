"""Checkpoints: a directory of safetensors files and ``model.json``, which runs no code when it is loaded.

``model.json`` has the kind of the model, the settings and everything else that is not an array. It names each other
file with its SHA-256, and has the hash of its own content. It holds no time and no path, so the same training gives the
same bytes. A checkpoint is written whole to a temporary directory and synced before it gets its name; until then a
reader finds the previous one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gatecast.data.errors import CheckpointError, DamagedError, FormatError
from gatecast.data.hashes import HashError, checked, with_hash
from gatecast.data.store import atomic_directory, settled

__all__ = [
    "Checkpoint", "CheckpointError", "DamagedError", "FormatError",
    "fingerprint", "read", "read_document", "read_extra_file", "write",
]  # fmt: skip

FORMAT = 2
FORMATS = (1, FORMAT)
"""Those that can be read; in the first, ``model.json`` had no hash of itself"""
DOCUMENT = "model.json"
T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
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
        When `path` exists and `overwrite` is False, or it is not a checkpoint.
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
    text = json.dumps(with_hash(document), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
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
    DamagedError
        A file is missing or not what was written, or the checkpoint has been renamed to another version's name.
    FormatError
        An older or newer Gatecast wrote it.
    """
    return _settled_read(Path(path), _read)


def read_document(path: str | Path) -> dict[str, Any]:
    """Read and check ``model.json`` alone, which names the ``kind``, the settings and the hashes of the other files.

    Raises
    ------
    DamagedError, FormatError
        As for `read`.
    """
    return _settled_read(Path(path), _read_document)


def read_extra_file(path: str | Path, name: str) -> bytes:
    """Read one of a checkpoint's extra files, and nothing of the model.

    Raises
    ------
    DamagedError, FormatError
        As for `read`; a checkpoint without this file was written by another Gatecast.
    """

    def read_extra(place: Path, checkpoint: str) -> bytes:
        hashes = _read_document(place, checkpoint)["files"]
        if name not in hashes:
            raise FormatError(
                f"{path} was written without {name}, by another Gatecast; use that one or train it again."
            )
        return _read_checked(place, name, hashes)

    return _settled_read(Path(path), read_extra)


def fingerprint(path: str | Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a checkpoint's ``model.json``, which names all its bytes."""
    return _fingerprint(_read_file(settled(Path(path)).path / DOCUMENT))


def _settled_read(path: Path, read_from: Callable[[Path, str], T]) -> T:
    """Call ``read_from(place, name)``; if another checkpoint took the place of this one meanwhile, call it again."""
    while True:
        place = settled(path)
        try:
            return read_from(place.path, path.name)
        except CheckpointError:
            if settled(path) == place:  # as a whole: one that steps aside within a tick of the clock keeps its identity
                raise


def _read(path: Path, name: str) -> Checkpoint:
    """Read the checkpoint that is at `path` under its name, or moved aside for a moment."""
    document = _read_document(path, name)
    hashes = document.pop("files")
    kind = document.pop("kind")
    del document["format"]
    arrays: dict[str, dict[str, np.ndarray]] = {}
    extra_files: dict[str, bytes] = {}
    for file_name in hashes:
        is_extra = not file_name.endswith(".safetensors")
        try:
            content = _read_checked(path, file_name, hashes)
        except DamagedError as error:
            if not is_extra:
                raise
            _LOGGER.warning("%s", error)
            continue
        if is_extra:
            extra_files[file_name] = content
        else:
            arrays[file_name.removesuffix(".safetensors")] = _tensors(content, path / file_name)
    return Checkpoint(kind, document, arrays, extra_files)


def _read_checked(path: Path, name: str, hashes: Mapping[str, str]) -> bytes:
    """Read a file of a checkpoint and check it against the hash in ``model.json``."""
    if Path(name).name != name:
        raise DamagedError(f"{path / DOCUMENT} names {name!r}, a file outside the checkpoint; do not trust it.")
    content = _read_file(path / name)
    if hashlib.sha256(content).hexdigest() != hashes[name]:
        raise DamagedError(f"{path / name} is damaged: its SHA-256 differs from {DOCUMENT}; restore or retrain it.")
    return content


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}); name a complete checkpoint.") from error
    except MemoryError as error:
        raise CheckpointError(f"{path} is larger than the memory of this machine; name another checkpoint.") from error


def _read_document(path: Path, name: str) -> dict[str, Any]:
    """Read and check the ``model.json`` of the checkpoint that is called `name`."""
    content = _read_file(path / DOCUMENT)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path / DOCUMENT} is not JSON ({error}); restore or retrain the model.") from error
    if not isinstance(document, dict) or any(not isinstance(document.get(part), type_) for part, type_ in _PARTS):
        raise DamagedError(f"{path / DOCUMENT} does not describe a checkpoint; name a directory that Gatecast wrote.")
    stated = _NAME_WITH_FINGERPRINT.search(name)
    if stated and stated[1] != _fingerprint(content):
        raise DamagedError(f"{path / DOCUMENT} is not the one that {name} was named for; restore or retrain it.")
    written_as = document["format"]
    if written_as not in FORMATS:
        age, remedy = ("a newer", "upgrade") if written_as > FORMAT else ("an older", "use that")
        raise FormatError(
            f"{path} was written by {age} Gatecast in format {written_as}, and this one reads format {FORMAT};"
            f" {remedy} Gatecast."
        )
    try:
        return checked(document, required=written_as != 1)
    except HashError as error:
        raise DamagedError(
            f"{path / DOCUMENT} is damaged: its content has another hash; restore or retrain it."
        ) from error


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _tensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"{path} is not a safetensors file ({error}); restore or retrain the model.") from error

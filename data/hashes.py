"""Hashes that documents have of their own content, so that damage is found where they are read.

A document is what JSON can hold. Checkpoints, lineages, decisions, the JSON files of `data.store` and the metadata of
its Parquet files all state theirs under one key. Those that an earlier Gatecast wrote may have none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

OWN_HASH = "sha256"


class HashError(ValueError):
    """A document has another hash than it states."""


def hash_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values, which does not depend on their layout in a file."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def with_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document that states its hash."""
    content = _without_hash(document)
    return {**content, OWN_HASH: hash_of(content)}


def checked(document: Mapping[str, Any], required: bool = False) -> dict[str, Any]:
    """Return a document without its hash, after comparing that with its content.

    Parameters
    ----------
    document : mapping
    required : bool
        Whether it must state a hash.

    Raises
    ------
    HashError
        It states another hash, or none if it must.
    """
    content = _without_hash(document)
    if (required or OWN_HASH in document) and document.get(OWN_HASH) != hash_of(content):
        raise HashError("the content has another hash than it states")
    return content


def _without_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != OWN_HASH}

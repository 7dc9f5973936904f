"""URLs among the locations of data; kept apart from `data.sources.files`, which imports pandas."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit


def is_url(location: str | Path) -> bool:
    """Tell a URL from a path of this machine."""
    return "://" in str(location)


def file_name(location: str | Path) -> str:
    """Return the name of a file or folder; for a URL, without its parameters."""
    return PurePosixPath(urlsplit(str(location)).path).name if is_url(location) else Path(location).name

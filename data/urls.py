"""URLs among the locations of data; kept apart from `data.files`, which imports pandas."""

from __future__ import annotations

from pathlib import Path


def is_url(location: str | Path) -> bool:
    """Tell a URL from a path of this machine."""
    return "://" in str(location)

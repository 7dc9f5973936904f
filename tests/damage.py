"""What can happen to a stored file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

Harm = Callable[[Path], object]


def truncated(path: Path) -> None:
    """Cut off the second half."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def emptied(path: Path) -> None:
    """Leave nothing in the file."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """Replace all bytes by others, which are the same in every run and no text."""
    path.write_bytes(b"\xff" + random.Random(path.name).randbytes(path.stat().st_size))


def zeros(path: Path) -> None:
    """Replace all bytes by NUL, as some file systems do when the power fails."""
    path.write_bytes(bytes(path.stat().st_size))


def other_json(path: Path) -> None:
    """Replace the content by JSON of another type."""
    path.write_text("[1]\n" if path.read_bytes()[:1] == b"{" else "{}\n")


def one_bit(path: Path) -> None:
    """Flip the lowest bit of the byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


HARMS: tuple[Harm, ...] = (truncated, emptied, garbage, zeros, other_json)
"""Those that leave nothing of use; `one_bit` may hit what does not matter."""
HARM_NAMES = [harm.__name__ for harm in HARMS]

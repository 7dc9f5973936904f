"""Text from elsewhere, such as the name of a series, as people may see it."""

from __future__ import annotations

import re

# Control characters, what else ends a line in Unicode, marks that turn the direction of writing, halves of characters.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""Return a text on one line: characters that break, hide or turn it are shown as Python writes them, as ``\n``."""
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)

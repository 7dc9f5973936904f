"""The one exception that bad input raises."""

from __future__ import annotations


class InputError(ValueError):
    """The input is wrong; the message is one sentence that names the file, row or value and the mend."""

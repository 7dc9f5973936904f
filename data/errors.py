"""The exceptions that bad input and a failing source raise."""

from __future__ import annotations


class InputError(ValueError):
    """The input is wrong; the message is one sentence that names the file, row or value and the mend."""


class DamagedFileError(InputError):
    """A stored file is not what was written there; the message names it and says what makes it whole again."""


class SourceError(RuntimeError):
    """A source did not give what it should; the message is one sentence with the real cause and what to do."""

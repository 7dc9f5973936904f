"""The exceptions that bad input and a failing source raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from data.display import one_line
from data.secrets import masked, replacements


class InputError(ValueError):
    """The input is wrong; the message is one sentence that names the file, row or value and the mend.

    It is on one line and shows no secret, whatever is in the names and URLs that it is made of.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(masked(message)))


class SourceError(RuntimeError):
    """A source did not give what it should; the message, as that of `InputError`, has the real cause and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(masked(message)))


@contextmanager
def secrets_hidden(location: str) -> Iterator[None]:
    """Let no exception tell a secret of the location that is used in the block, nor that of a library behind it.

    Where the location has no secret, they pass as they are.
    """
    known = replacements(location)
    try:
        yield
    except Exception as error:
        if not known:
            raise
        text = masked(str(error), known)
        if isinstance(error, (InputError, SourceError)):
            raise (InputError if isinstance(error, InputError) else SourceError)(text) from None
        reason = " ".join(f"{type(error).__name__}: {text}".split())
        raise SourceError(f"{masked(location)} fails ({reason}); check it, and try again.") from None

"""Locations that name environment variables, where the secrets of a URL belong: ``${NAME}``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from gatecast.data.errors import InputError, SourceError
from gatecast.data.secrets import HIDDEN, PATTERNS, SHORTEST, VARIABLE, masked

_WHOLE = re.compile(rf"\$(?:({VARIABLE})|\{{({VARIABLE})\}})")
_PART = re.compile(rf"\$\{{({VARIABLE})\}}")


def resolved(location: str) -> str:
    """Return a location with the values of the environment variables that it names.

    ``$NAME`` or ``${NAME}`` is a location by itself; within a URL only ``${NAME}`` is a variable, since the names of
    its parameters may begin with ``$``.

    Raises
    ------
    InputError
        A variable is not set.
    """
    whole = _WHOLE.fullmatch(location)
    if whole:
        return _value(whole[1] or whole[2])
    return _PART.sub(lambda found: _value(found[1]), location) if "://" in location else location


def is_variable(location: str) -> bool:
    """Tell whether a location is the name of an environment variable that holds it."""
    return _WHOLE.fullmatch(location) is not None


def replacements(location: str) -> dict[str, str]:
    """Return what to show instead of what must not be shown of a location, the longest first.

    That is the value of each environment variable that the location names, and every secret in it.
    """
    written = resolved(location)
    if is_variable(location):
        found = {written: location}
    else:
        found = {_value(part[1]): part[0] for part in _PART.finditer(location)} if written != location else {}
    for pattern in PATTERNS:
        for match in pattern.finditer(written):
            found |= {secret: HIDDEN for secret in (match[2], unquote(match[2])) if secret not in found}
    return {secret: found[secret] for secret in sorted(found, key=len, reverse=True) if len(secret) >= SHORTEST}


def _value(name: str) -> str:

    value = os.environ.get(name)
    if not value:
        raise InputError(f"The environment variable {name} is not set; put the URL, or the secret in it, there.")
    return value


@contextmanager
def secrets_hidden(location: str) -> Iterator[None]:
    """Keep secrets of the location out of exceptions raised in the block, including those of libraries.

    If the location has no secret, exceptions pass unchanged.
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

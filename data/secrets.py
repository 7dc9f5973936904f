r"""Secrets in URLs: finding them, hiding them, and taking them from the environment instead.

A URL carries a secret as the password before the host (``user:password@``), as a parameter (``?token=...``,
``?X-Amz-Signature=...``) or as a field of a connection string (``Pwd=...``). Mistyped URLs count too, since their
secrets are no less secret: ``postgres:/me:password@host``, ``me:password@host`` in a path.

What is written as ``${NAME}`` is the name of an environment variable and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

HIDDEN = "***"
SECRET = "secret"
"""What pydantic calls the error of a setting with a secret"""
SHORTEST = 3
"""Characters of a secret that is looked for by itself; a shorter one would be found in any text"""

VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"

_URL = re.compile(r"[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)
# What replaces a secret and is not a secret.
_NONE = rf"(?!(?:\$\{{{VARIABLE}\}}|\*\*\*)(?:[@&#;\s]|$))"
_START = r"(?<![^\s/\\\"'(<\[=,])"
# Schemes of hosts and files, whose port may be followed by a path with an @; a database's password may hold anything.
_HOSTS = r"(?:https?|ftps?|sftp|hdfs|webhdfs|tcp|tls|ray):/{1,3}"
_OTHERS = rf"(?!{_HOSTS})(?:[a-z][a-z0-9+.\-]+:/{{1,3}}|(?<![^\s\"'(<])[a-z][a-z0-9+.\-]+//)"
_SCHEME_START = r"(?<![a-z0-9+.\-])"
_USER = r"[^/\s:@?#]{0,500}"
# Up to the last @ before a slash, since a password may hold one; without a bound, long texts would take for ever.
_PASSWORD = r"[^@\s]{1,500}(?:@[^/\s@]{0,500}(?=@))*(?=@)"
_KEY = (
    r"(?:[\w.\-]*(?:password|passwd|passphrase|token|secret|signature|credentials?)"
    r"|(?:[\w.\-]*[_.\-])?(?:pwd|pass|pw|sig|auth|authorization|jwt|bearer)"
    r"|(?:x[_.\-])?(?:(?:api|access|account|auth|client|encryption|master|private|secret|shared|storage|subscription)"
    r"[_.\-]?)*key)"
)

# In each pattern the first group is what is shown and the second the secret.
_SOURCES = (
    rf"({_SCHEME_START}{_HOSTS}{_USER}:)(?!/|\d+[/?#]){_NONE}({_PASSWORD})",
    rf"({_SCHEME_START}{_OTHERS}{_USER}:)(?!/){_NONE}({_PASSWORD})",
    # The user of a web address is mostly a token.
    rf"({_SCHEME_START}https?:/{{1,3}}){_NONE}([^/\s:@?#]+)(?=@)",
    rf"({_START}[^/\\\s:@?&=#\"'(<]+:){_NONE}([^/\\\s@]+)(?=@[^/\\\s@])",
    rf"((?:[?&;#]|%3b|%26|%3f|%23){_KEY}(?:=|%3d)){_NONE}([^&\s]+)",
    rf"((?:^|[\s;,{{(\"'])(?:\w*(?:password|passwd|passphrase)|pwd)\s*=\s*){_NONE}([^&;\s]+)",
)
PATTERNS = tuple(re.compile(source, re.IGNORECASE) for source in _SOURCES)
PATTERN = f"(?i){'|'.join(_SOURCES)}"
"""What finds a secret in a URL, for the forms of the dashboard"""
PATTERN_IN_TEXT = rf"(?i){'|'.join(_SOURCES[:3])}|://\S{{0,500}}{_SOURCES[4]}"
"""What finds one in the URLs of a text that has a grammar of its own, such as a query"""
REFUSAL = (
    "holds a secret, such as a password or a token, which would be stored and shown; put it into an environment"
    " variable and write '${NAME}' in its place"
)
"""What to say of a setting that must not be taken"""


def holds_secret(location: str) -> bool:
    """Tell whether a URL, a path or what was meant as one carries a secret."""
    # It is one word, whatever blanks a password has.
    word = re.sub(r"\s", "_", location)
    texts = {word, location}
    decoded = unquote(location)
    if _URL.search(decoded):  # in a path, what is encoded is part of a name
        texts.add(decoded)
    return any(pattern.search(text) for pattern in PATTERNS for text in texts)


def text_holds_secret(text: str) -> bool:
    """Tell whether a URL in a text carries a secret."""
    return re.search(PATTERN_IN_TEXT, text) is not None


def masked(text: str, known: Mapping[str, str] | None = None) -> str:
    """Return a text, such as a message, with asterisks for the secrets of the URLs in it.

    Parameters
    ----------
    text : str
    known : mapping, optional
        What to show instead of certain strings, wherever they are; see `replacements`.
    """
    for secret, shown in (known or {}).items():
        text = text.replace(secret, shown)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text

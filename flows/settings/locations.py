"""Types of the settings that name a file, a folder or a URL.

Settings are stored: with the run, with the version that it trains, with what is published. So none of them accepts a
secret, wherever it is entered. The form of the dashboard has the same rule, since a run that is started there is stored
before this code sees it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gatecast.data.errors import InputError
from gatecast.data.secrets import PATTERN, PATTERN_IN_TEXT, REFUSAL, SECRET, holds_secret, text_holds_secret
from gatecast.data.urls import is_url
from gatecast.data.variables import is_variable


def _refuse(value: Any) -> Any:
    if isinstance(value, (str, Path)) and holds_secret(str(value)):
        raise PydanticCustomError(SECRET, REFUSAL)
    return value


def _refuse_in_text(value: Any) -> Any:
    if isinstance(value, str) and text_holds_secret(value):
        raise PydanticCustomError(SECRET, REFUSAL)
    return value


def _absolute(path: str | Path) -> str | Path:
    if is_url(path) or is_variable(str(path)):
        return str(path)
    return Path(path).expanduser().resolve()


def _absolute_path(path: Path) -> Path:
    return path.expanduser().resolve()


_RULE = {"not": {"pattern": PATTERN}}

Address = Annotated[str, BeforeValidator(_refuse), WithJsonSchema({"type": "string", **_RULE})]
"""A URL, or the name of an environment variable with one"""

Location = Annotated[
    str | Path, BeforeValidator(_refuse), AfterValidator(_absolute), WithJsonSchema({"type": "string", **_RULE})
]
"""A file, a folder or a URL, or the name of an environment variable with one; paths become absolute"""

LocalPath = Annotated[
    Path,
    BeforeValidator(_refuse),
    AfterValidator(_absolute_path),
    WithJsonSchema({"type": "string", "format": "path", **_RULE}),
]
"""A file or a folder of this machine; its path becomes absolute"""

Query = Annotated[
    str, BeforeValidator(_refuse_in_text), WithJsonSchema({"type": "string", "not": {"pattern": PATTERN_IN_TEXT}})
]
"""A database query, which may contain URLs"""


def require_there(*locations: str | Path | None) -> None:
    """Raise InputError about the first path of this machine that does not exist; URLs and variables pass."""
    for location in locations:
        is_elsewhere = location is None or is_url(location) or is_variable(str(location))
        if not is_elsewhere and not Path(str(location)).exists():
            raise InputError(f"{location} does not exist; check the path.")

"""The signature of a model that is made from settings: their names, types and defaults, for type checkers and help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from textwrap import indent
from typing import Any, Concatenate, ParamSpec, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["changed_settings", "takes_settings"]

Wanted = ParamSpec("Wanted")


def takes_settings(
    settings: Callable[Wanted, BaseModel],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, Wanted], None]]:
    """Give an ``__init__(self, **settings)`` the signature of the class of settings, which lists each of them once.

    A type checker takes the parameters from the annotation of this function, ``inspect`` and ``help`` from what it
    leaves on the decorated one.
    """

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, Wanted], None]:
        """Give one ``__init__`` the signature and the docstring."""
        first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        init.__signature__ = inspect.Signature([first, *_keywords(settings)])  # type: ignore[attr-defined]
        init.__doc__ = f"{init.__doc__ or ''}\n\nParameters\n----------\n{_described(settings)}"
        return init

    return decorate


def changed_settings(settings: BaseModel) -> dict[str, Any]:
    """Return the settings that are not at their defaults."""
    fields = type(settings).model_fields
    present = dict(settings)
    return {name: value for name, value in settings if value != _default(fields[name], present)}


def _keywords(settings: Any) -> list[inspect.Parameter]:
    """Return a keyword for each field; pydantic's own signature is empty before the first settings are made."""
    types = get_type_hints(settings)  # without the bounds, which make a signature hard to read
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(field, {}), annotation=types[name])
        for name, field in settings.model_fields.items()
    ]


def _default(field: FieldInfo, present: dict[str, Any]) -> Any:
    """Return the default of a setting, which may depend on others."""
    return field.get_default(call_default_factory=True, validated_data=present)


def _described(settings: Any) -> str:
    """Return the settings of a class as numpydoc has parameters."""
    lines = []
    for name, field in settings.model_fields.items():
        lines += [f"{name} : default {_default(field, {})!r}", indent(field.description or "", "    ")]
    return "\n".join(lines)

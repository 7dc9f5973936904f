"""The parameters of a flow, checked before there is a run: a run is stored with its parameters, right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from gatecast.data.errors import InputError
from gatecast.data.secrets import SECRET
from gatecast.data.settings import expected, problems_of


def require_valid(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise InputError unless each parameter has the type of the function's annotation."""
    hints = get_type_hints(function, include_extras=True)
    for name, value in given.items():
        if name in hints:
            validated(value, hints[name], name)


def validated(value: Any, hint: Any, where: str) -> Any:
    """Return a value as the type that a parameter has.

    Raises
    ------
    InputError
        It does not fit the type; the message begins with `where`, and does not repeat what may be a secret.
    """
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise InputError(explain_problem(where, error, hint)) from None


def explain_problem(where: str, error: ValidationError, hint: Any = None) -> str:
    """Return one sentence about the first error.

    Parameters
    ----------
    where : str
        What the sentence begins with: a parameter, or a file and a colon.
    error : ValidationError
    hint : type, optional
        Of the settings, for a name that is in the wrong place.
    """
    return explain_problems(where, error, hint)[0]


def explain_problems(where: str, error: ValidationError, hint: Any = None) -> list[str]:
    """Return one sentence about each error; see `explain_problem`."""
    return [_explained(where, problem, hint) for problem in problems_of(error)]


def _explained(where: str, problem: Mapping[str, Any], hint: Any) -> str:
    names = ".".join(str(name) for name in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    if not names and where.endswith(":"):
        return f"{where} {reason}."
    setting = f"{where} {names}" if where.endswith(":") else f"{where}.{names}".rstrip(".")
    if problem["type"] == "extra_forbidden":
        section = where.rpartition(": ")[2]
        meant = [f"{section}.{place}" for place in places(hint, str(problem["loc"][-1]))]
        return f"{setting} is no setting; {f'write {meant[0]}' if meant else 'leave it out'}."
    if problem["type"] == SECRET:
        return f"{setting} {reason}."
    if problem["type"] == "string_pattern_mismatch":
        reason = f"it should be {expected(problem)}"
    return f"{setting} is wrong: {reason[:1].lower()}{reason[1:]}."


def places(hint: Any, name: str) -> Iterator[str]:
    """Yield the dotted paths of the settings with this name, such as ``model.horizon``, in a type and below."""
    for inner in get_args(hint):
        yield from places(inner, name)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        for field_name, described in hint.model_fields.items():
            if field_name == name:
                yield name
            yield from (f"{field_name}.{place}" for place in places(described.annotation, name))

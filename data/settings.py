"""The base of all settings: frozen and validated; a wrong setting is an error of one sentence."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gatecast.data.errors import SettingsError
from gatecast.data.secrets import HIDDEN, SECRET

__all__ = ["AGE_PATTERN", "NAME_PATTERN", "Settings", "expected", "fields_of", "first_problem", "nearest"]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
AGE_PATTERN = r"^\d+(d|h|min)$"
IN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        NAME_PATTERN: "letters, digits, dots, dashes and underscores, 80 at most, the first a letter or digit",
        AGE_PATTERN: "a number and d, h or min, as 5d or 12h",
    }
)
"""What a value that matches a pattern is."""

if TYPE_CHECKING:
    # Our own metaclass would hide from type checkers what pydantic's metaclass tells them about the fields.
    _Model = BaseModel
else:

    class _OneSentence(type(BaseModel)):
        """Makes a call of the class raise one sentence; pydantic checks nested settings without this call."""

        def __call__(cls, *arguments: Any, **settings: Any) -> Any:
            try:
                return super().__call__(*arguments, **settings)
            except ValidationError as error:
                problem = first_problem(error)
                if problem["type"] == SECRET:
                    problem["input"] = HIDDEN
                raise SettingsError(_sentence(cls, problem), problem) from None

    class _Model(BaseModel, metaclass=_OneSentence):
        pass


_FORM = re.compile(r"constrained-\w+|(literal|tuple|list)\[.*|int|float|str|bool")
"""What pydantic calls a form of a value"""


class Settings(_Model):
    """Frozen settings; an unknown name is an error, and pydantic's errors do not repeat what was given.

    Validators are built when the first settings are made, since the help of the command line does without.

    Raises
    ------
    SettingsError
        A setting is unknown or wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


def first_problem(error: ValidationError) -> dict[str, Any]:
    """Return the first problem; see `problems_of`."""
    return problems_of(error)[0]


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """Return what is wrong, setting by setting; where a setting has several forms, with what every form expects.

    Pydantic reports each form that a value does not have, and puts the form's name behind the setting's.
    """
    found = []
    left: Sequence[Any] = error.errors(include_url=False)
    while left:
        problem = dict(left[0])
        names = tuple(takewhile(lambda part: not _FORM.fullmatch(str(part)), problem["loc"]))
        forms = [other for other in left if other["loc"][: len(names)] == names]
        if len(forms) > 1 and len(names) < len(problem["loc"]):
            texts = dict.fromkeys(expected(form).partition(", unable")[0] for form in forms)
            problem |= {"loc": names, "msg": ", or ".join(texts), "ctx": {}}
        else:
            forms = [left[0]]
        found.append(problem)
        left = [other for other in left if other not in forms]
    return found


def _sentence(settings: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """Say what is wrong with one setting of a class."""
    names = [part for part in problem["loc"] if isinstance(part, str)]
    # `ForecasterSettings` are what a person writes as `Forecaster(...)`.
    subject = settings.__name__.removesuffix("Settings")
    if not names or problem["type"] == "value_error":
        text = expected(problem)
        begins_with_a_name = text.split()[0] in fields_of(settings)
        return f"{text if begins_with_a_name else text[:1].upper() + text[1:]}."
    if problem["type"] == "extra_forbidden":
        meant = nearest(names[-1], fields_of(settings, names[:-1]))
        advice = f"did you mean {'.'.join([*names[:-1], meant])}?" if meant else "leave it out."
        return f"{subject} has no setting {'.'.join(names)!r}; {advice}"
    if problem["type"] == SECRET:
        return f"{'.'.join(names)} {problem['msg']}."
    if problem["type"] == "missing":
        return f"{subject} needs a setting that was not given: {'.'.join(names)}."
    return f"{'.'.join(names)} {reprlib.repr(problem['input'])} is not allowed: it should be {expected(problem)}."


def expected(problem: Mapping[str, Any]) -> str:
    """Return what a setting should be, in words that follow "it should be", from what pydantic says of a wrong one."""
    pattern = problem.get("ctx", {}).get("pattern")
    return IN_WORDS.get(pattern) or problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the one of `names` that a mistyped name is most like, None if it is like none of them."""
    return next(iter(get_close_matches(name, names, n=1)), None)


def fields_of(settings: type[BaseModel], path: Sequence[str] = ()) -> list[str]:
    """Return the names of the settings of a class, or of what is nested in it at the end of `path`."""
    for name in path:
        field = settings.model_fields.get(name)
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is None:
            return []
        settings = inner
    return list(settings.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)

"""A setting as the command line and the docs show it: everything they say comes from its pydantic field.

`flows.settings.runs` says what a field's ``json_schema_extra`` may hold.

Two libraries that Prefect brings along make options of models too, and were tried. cyclopts needs its own marker on
each field, so that `lstm` and `data` would import a command-line library; it prints pydantic's errors as they are, five
lines with a URL, and its help of 12 options took twice the time of this one's 73. pydantic-settings goes through
argparse: no panels, no short names for what is nested (``--model.num-layers``), a traceback for a value that is not
allowed.
"""

from __future__ import annotations

import csv
import inspect
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

DAY = "%Y-%m-%d"
_KINDS = (bool, int, float, str, date, Path)


@dataclass(frozen=True)
class Setting:
    """A field of a settings model, or of a model within it, that holds one value or a list of them.

    Attributes
    ----------
    path : tuple of str
        Names that lead to it, as ``model``, ``lookback``.
    field : FieldInfo
        What pydantic knows about it.
    default : Any
        Its value if nothing is given.
    default_text : str or None
        The same in words, if it needs any.
    panel : str or None
        Part of the help that it belongs to.
    """

    path: tuple[str, ...]
    field: FieldInfo
    default: Any
    default_text: str | None
    panel: str | None

    @property
    def key(self) -> str:
        """The path as one Python name."""
        return "__".join(self.path)

    @property
    def is_argument(self) -> bool:
        """Whether it is a positional argument instead of an option."""
        return bool(_extra(self.field).get("argument"))

    @property
    def is_list(self) -> bool:
        """Whether it holds any number of values."""
        return any(get_origin(variant) is tuple for variant in _variants(self.field.annotation))

    @property
    def kind(self) -> Any:
        """Type of the value, or of each value of a list, as it is typed."""
        variants = _variants(self.field.annotation)
        found = variants[0] if len(variants) == 1 else str
        found = _variants(get_args(found)[0])[0] if self.is_list and found is not str else found
        found = str if get_origin(found) is Literal else found
        if found not in _KINDS:
            raise TypeError(f"{'.'.join(self.path)} is of a type that no option has: {self.field.annotation}")
        return found

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that are allowed, if they can be counted."""
        literals = [get_args(variant) for variant in _variants(self.field.annotation) if get_origin(variant) is Literal]
        return tuple(str(value) for values in literals for value in values)

    @property
    def declared(self) -> tuple[str, ...]:
        """How the option is declared to Typer, usual spelling first; one that is on by default can be switched off."""
        given = _extra(self.field).get("options")
        if given:
            return tuple(given)
        name = self.path[-1].replace("_", "-")
        return (f"--{name}/--no-{name}",) if self.default is True else (f"--{name}",)

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that can be typed for it, the usual spelling first."""
        return tuple(spelling for declared in self.declared for spelling in declared.split("/"))

    def help(self, options: Mapping[str, str]) -> str:
        """Return its description and the allowed values; for `options` see `options_by_name`."""
        text = with_options(self.field.description or "", options)
        if not all(re.search(rf"\b{re.escape(choice)}\b", text) for choice in self.choices):
            text += f": {', '.join(self.choices[:-1])} or {self.choices[-1]}"
        return f"{text}."

    def parameter(self, options: Mapping[str, str]) -> inspect.Parameter:
        """Return the parameter that Typer makes the option from; its value is None if nothing is typed."""
        required = self.field.is_required()
        kind = datetime if self.kind is date else self.kind
        metavar = _extra(self.field).get("metavar", "DATE" if self.kind is date else None)
        shown: dict[str, Any] = {"help": self.help(options), "metavar": metavar}
        if self.is_argument:
            declared = typer.Argument(**shown, show_default=False)
            kind = list[kind] if self.is_list else kind  # type: ignore[valid-type]
        else:
            declared = typer.Option(
                *self.declared,
                **shown,
                show_default=with_options(self.default_text, options) if self.default_text else False,
                rich_help_panel=self.panel,
                formats=[DAY],
            )
            kind = str if self.is_list else kind
        return inspect.Parameter(
            self.key,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
            annotation=Annotated[kind if required else kind | None, declared],
        )

    def value(self, typed: Any) -> Any:
        """Return what was typed, as the field takes it."""
        if isinstance(typed, datetime):
            return typed.date()
        if self.is_list and isinstance(typed, str) and typed not in self.choices:
            # An empty list stays empty; it is refused when the data is read.
            return split_list(typed)
        return typed


def split_list(typed: str) -> tuple[str, ...]:
    """Return the names in ``A,B``; one that holds a comma or begins with a blank is quoted, as in a CSV file."""
    if not typed.strip():
        return ()
    (names,) = csv.reader([typed], skipinitialspace=True)
    return tuple(names) if '"' in typed else tuple(name.strip() for name in names)


def join_list(names: Iterable[str]) -> str:
    """Undo `split_list`."""
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue()


def settings_in(
    model: type[BaseModel], *, only: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[Setting, ...]:
    """Return the settings of a model, those of the models within it included.

    Parameters
    ----------
    model : type
        A settings model.
    only, without : sequence of str
        Which settings or whole models to include and to leave out, by their dotted names.
    """

    def is_among(path: tuple[str, ...], names: Sequence[str]) -> bool:
        return any(".".join(path[:depth]) in names for depth in range(1, len(path) + 1))

    return tuple(
        setting
        for setting in _walk(model)
        if not is_among(setting.path, without) and (not only or is_among(setting.path, only))
    )


def options_by_name(settings: Sequence[Setting]) -> dict[str, str]:
    """Return the usual spelling of each setting's option, by the setting's name."""
    return {setting.path[-1]: setting.spellings[0] for setting in settings if not setting.is_argument}


def with_options(text: str, options: Mapping[str, str]) -> str:
    """Return a text in which settings with names of several words (``max_epochs``) are called by their options."""
    return re.sub(r"\b[a-z]+(_[a-z]+)+\b", lambda name: options.get(name[0], name[0]), text)


def _walk(
    model: type[BaseModel],
    path: tuple[str, ...] = (),
    instance: BaseModel | None = None,
    texts: Mapping[str, str] | None = None,
) -> Iterator[Setting]:
    """Yield the settings of a model; their defaults come from `instance`, or in words from `texts`."""
    panel = None
    for name, field in model.model_fields.items():
        extra = _extra(field)
        default = getattr(instance, name) if instance else field.default
        inner = next((kind for kind in _variants(field.annotation) if _is_model(kind)), None)
        if inner is not None:
            yield from _walk(inner, (*path, name), default if _is_model(type(default)) else None, extra.get("defaults"))
            continue
        panel = extra.get("panel", panel)
        text = (texts or {}).get(name) or _in_words(default, name)
        yield Setting((*path, name), field, default, text, panel)


def _in_words(default: Any, name: str) -> str | None:
    """Return a default as people read it; None if the description says it, or if there is no default."""
    if isinstance(default, bool):
        return name.replace("_", "-") if default else None
    if isinstance(default, float):
        return f"{default:g}"
    return str(default) if isinstance(default, (int, str)) else None


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _variants(annotation: Any) -> list[Any]:
    """Return the types that a value may have, without None and without pydantic's checks."""
    if get_origin(annotation) is Annotated:
        return _variants(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [variant for kind in get_args(annotation) if kind is not NoneType for variant in _variants(kind)]
    return [annotation]

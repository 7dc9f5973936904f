"""``{settings} MODULE.CLASS`` in a Markdown page: the table of a settings class, made from its fields."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args, get_origin

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


class SettingsTable(SphinxDirective):
    """A row for each field: its name, its default, what it may be, and its description."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        module, name = self.arguments[0].rsplit(".", 1)
        settings: type[BaseModel] = getattr(importlib.import_module(module), name)
        rows = ["| Setting | Default | Values | Description |", "|---|---|---|---|"]
        for key, field in settings.model_fields.items():
            cells = (f"`{key}`", _default(field), _values(field), field.description or "")
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        container = nodes.container(classes=["settings"])
        self.state.nested_parse(StringList(rows, source=self.arguments[0]), 0, container)
        return [container]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "see below"
    return "" if value is None or value == () else f"`{value}`"


def _values(field: FieldInfo) -> str:
    """Return the type and the bounds, or the choices."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    bounds = [
        f"{sign} {getattr(rule, key):g}" for rule in field.metadata for key, sign in SIGNS.items() if hasattr(rule, key)
    ]
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    return " ".join([stringify_annotation(kinds[0], "smart").replace("~", "").rpartition(".")[2], *bounds])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("settings", SettingsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

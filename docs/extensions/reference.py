"""The pages of the reference: one of the public names, and one of each room, written before Sphinx reads anything.

A new file or a new public name appears by itself. The pages are not kept in git.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, get_origin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ROOMS = ("lstm", "data", "flows", "kernels")
LEFT_OUT = ("gatecast.flows.commands", "gatecast.data.samples")  # what they offer is in ``gatecast --help``, and files
PUBLIC = """Public names
============

These are what other programs use: ``from gatecast import Forecaster``. They are imported when they are first used.

"""


def write_pages(app: Sphinx) -> None:
    """Write ``reference/public.rst`` and a page for each package below ``gatecast``."""
    package = Path(importlib.import_module("gatecast").__path__[0])
    pages = {"public": _public_page(package)}
    for room in ROOMS:
        pages |= _room_pages(package / room, f"gatecast.{room}")
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # what has not changed is not read again
            path.write_text(text, encoding="utf-8")


def _public_page(package: Path) -> str:
    """Return tables of the public names, one for each room that they come from."""
    stub = ast.parse((package / "__init__.pyi").read_text(encoding="utf-8"))
    names: dict[str, list[str]] = defaultdict(list)
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module != "gatecast":
            names[str(node.module).rpartition(".")[0]] += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [PUBLIC]
    for room in sorted(names, key=lambda room: (ROOMS.index(room.split(".")[1]), room)):
        title, _, about = _summary(room).partition(": ")
        parts += [_heading(title, "-"), f"{about[:1].upper()}{about[1:]}.\n\n"]
        values = [name for name in names[room] if not callable(_found(name))]
        listed = "\n".join(f"   ~{name}" for name in names[room] if name not in values)
        parts.append(f".. autosummary::\n   :nosignatures:\n\n{listed}\n\n")
        if values:
            parts.append("Values: " + ", ".join(f"``{name.rpartition('.')[2]}``" for name in values) + ".\n\n")
    return "".join(parts)


def _found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _room_pages(folder: Path, package: str) -> dict[str, str]:
    """Return the pages of a package and of the packages in it."""
    inner = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    inner = [name for name in inner if f"{package}.{name}" not in LEFT_OUT]
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    parts = [_heading(package.removeprefix("gatecast."), "="), f".. automodule:: {package}\n   :no-members:\n\n"]
    if inner:
        parts.append(".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {package}.{name}\n" for name in inner) + "\n")
    for module in modules:
        parts += [_heading(module, "-"), f".. automodule:: {package}.{module}\n\n"]
    pages = {package: "".join(parts)}
    for name in inner:
        pages |= _room_pages(folder / name, f"{package}.{name}")
    return pages


def _summary(package: str) -> str:
    """Return the first line of a package's docstring."""
    return (inspect.getdoc(importlib.import_module(package)) or package).splitlines()[0].rstrip(".")


def is_foreign(_app: Sphinx, _what: str, _name: str, found: Any, skip: bool, _options: Any) -> bool | None:
    """Leave out classes and functions of other packages, and types whose annotations are only for pydantic."""
    if get_origin(found) is Annotated:
        return True
    if inspect.isclass(found) or inspect.isroutine(found):
        return skip or not str(found.__module__).startswith("gatecast.")
    return None


def drop_object(_app: Sphinx, doctree: nodes.document) -> None:
    """Take out that a class inherits from `object`."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext() == "Bases: object":
            paragraph.parent.remove(paragraph)


def drop_builtins(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Take out of the list of sources what has none: the builtins that type aliases are made of."""
    sources = getattr(env, "_viewcode_modules", {})
    for name in [name for name, source in sources.items() if not source]:
        del sources[name]
    return []


def _heading(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the writer."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("doctree-read", drop_object)
    app.connect("env-updated", drop_builtins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""How ``make docs`` builds the site from docs/*.md and the docstrings; what Sphinx has not is in docs/extensions."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent

# Modules are imported for their docstrings: the CUDA backend under Numba's simulator, since no GPU is needed for that.
os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(DOCS))

# autodoc rewrites annotations of the classes that it documents, and Prefect's models, if made later, trip over them.
import prefect.main  # noqa: E402, F401

project = "Gatecast"
author = "The Gatecast founders"
copyright = author  # noqa: A001 - Sphinx's name
release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "extensions.mermaid",
    "extensions.names",
    "extensions.reference",
    "extensions.repository",
    "extensions.settings",
]
exclude_patterns = ["extensions"]

html_theme = "furo"
html_title = f"Gatecast {release}"
html_static_path = ["static"]
html_css_files = ["gatecast.css"]
html_copy_source = False
html_show_sphinx = False
toc_object_entries = False
maximum_signature_line_length = 140

myst_heading_anchors = 3

autosummary_generate = False
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# By their names: what they are annotated with is for pydantic, and their patterns would be read as links.
autodoc_type_aliases = {
    name: f"gatecast.flows.settings.locations.{name}" for name in ("Address", "LocalPath", "Location", "Query")
}
add_module_names = False
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

default_role = "py:obj"

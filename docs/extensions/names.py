"""What a docstring puts between single backticks becomes a link where it names something that is documented.

Docstrings write `lstm.nn.dropout` for the module ``gatecast.lstm.nn.dropout``, and `Sequences` for the only class of
that name; anything else, such as a parameter, stays as it is.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def link(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> nodes.Element | None:
    """Return a link to the object that `node` names, or None where Sphinx's own answer, no link, is right."""
    if node.get("refdomain") != "py":
        return None
    objects = env.domains.python_domain.objects
    name = str(node["reftarget"]).removesuffix("()")
    found = f"gatecast.{name}"
    if found not in objects:
        # A short name counts if it is a class's and there is one of it; words such as `data` are mostly parameters.
        ends = [full for full in objects if full.endswith(f".{name}")] if name[:1].isupper() else []
        if len(ends) != 1:
            return None
        found = ends[0]
    entry = objects[found]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, [content], found)


def be_exact(app: Sphinx, doctree: nodes.document) -> None:
    """Let no type in a signature be linked to the first of several classes of its name; `link` looks for it then."""
    for node in doctree.findall(pending_xref):
        if node.get("refdomain") == "py":
            node.attributes.pop("refspecific", None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the resolver."""
    app.connect("doctree-read", be_exact)
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

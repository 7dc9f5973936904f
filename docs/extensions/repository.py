"""Links from the documentation to files of the repository.

Markdown files link to them as GitHub wants it: ``[the LSTM](../lstm/nn/recurrent.py)``. On the site such a link leads
to the source of the module, a link to a room to the page of the room, and other files are copied into the site. A page
that says ``{root} CONTRIBUTING.md`` shows that file of the root, whose links are turned in the same way.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOMS = ("lstm", "data", "flows", "kernels")
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
"""Files of the root that are pages of the site"""

_ROOT_PAGE = re.compile(r"^\{root\} (\S+)\n", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put in the files of the root, and turn the links into those of the site."""
    if app.env.doc2path(docname).suffix != ".md":
        return
    root = Path(app.srcdir).parent

    def root_page(match: re.Match[str]) -> str:
        app.env.note_dependency(str(root / match[1]))
        return _LINK.sub(lambda link: f"[{link[1]}]({_from_docs(link[2])}{link[3] or ''})", _text(root / match[1]))

    content[0] = _LINK.sub(_on_site, _ROOT_PAGE.sub(root_page, content[0]))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _from_docs(target: str) -> str:
    """Return the path from docs/ for one from the root."""
    return target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"


def _on_site(link: re.Match[str]) -> str:
    text, target, anchor = link[1], link[2].removeprefix("../"), link[3] or ""
    if not link[2].startswith("../"):
        return link[0]
    if target in PAGES:
        return f"[{text}]({PAGES[target]}{anchor})"
    # What a package's own file says is on the page of the room.
    target = target.removesuffix("__init__.py")
    if target.split("/")[0] not in ROOMS or not target.endswith((".py", "/")):
        return link[0]
    if target.endswith(".py"):
        return f'<a href="_modules/gatecast/{target.removesuffix(".py")}.html">{_html(text)}</a>'
    return f"[{text}](reference/gatecast.{target.rstrip('/').replace('/', '.')}.rst)"


def _html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the reader."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

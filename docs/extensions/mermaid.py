"""Mermaid blocks become pictures when the site is built, so that no page loads a script to draw them."""

from __future__ import annotations

from typing import Any

import mermaidx
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# A box is as wide as its text: lines break where the diagram says so.
CONFIGURATION = {"flowchart": {"wrappingWidth": 600, "nodeSpacing": 24, "rankSpacing": 28, "padding": 10}}


class DrawMermaid(SphinxPostTransform):
    """Replace each ``mermaid`` block by an SVG."""

    default_priority = 100
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Draw the blocks of one page."""
        for number, block in enumerate(self.document.findall(_is_mermaid)):
            svg = mermaidx.render(block.astext(), theme="neutral", config=CONFIGURATION).svg()
            # Two pictures on a page must not share the identifiers of their arrow heads and styles.
            svg = svg.replace("my-svg", f"mermaid-{number}")
            block.replace_self(nodes.raw("", f'<figure class="mermaid">{svg}</figure>', format="html"))


def _is_mermaid(node: nodes.Node) -> bool:
    return isinstance(node, nodes.literal_block) and node.get("language") == "mermaid"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(DrawMermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

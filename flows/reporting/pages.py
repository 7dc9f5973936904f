"""HTML pages that need nothing else: no other file and no other host."""

from __future__ import annotations

from typing import Any

from gatecast.data.display import one_line


def render_page(template: str, **parts: Any) -> str:
    """Return a page made from one of the templates; text is shown as it is, on one line."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gatecast.flows.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: one_line(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(parts)

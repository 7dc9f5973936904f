"""What the dashboard shows of a run: Prefect's artifacts, made from text that may contain anything.

The dashboard renders descriptions, links and every cell of a table as Markdown. The name of a series or the reason for
a decision comes from elsewhere, and could become an image that is fetched or a link that is followed. So all text is
shown as it is, unless it is `Markdown`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from gatecast.data.display import one_line
from gatecast.flows.engine.orchestration import artifacts

# Characters with a meaning in Markdown within a line; an address would become a link by itself.
_SPECIAL = re.compile(r"[\\`*_\[\]<>~|@]|&(?=#?\w+;)|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
# The same at the beginning of a line: headings, lists, rules.
_BEGINNING = re.compile(r"^(\d{0,9})([-+#.)])(?=[-+#\s]|$)")


class Markdown(str):
    """Text that is Markdown on purpose; what is put into it goes through `escaped`."""

    __slots__ = ()


def escaped(text: str) -> Markdown:
    """Return Markdown that shows a text as it is, on one line; Markdown stays what it is."""
    if isinstance(text, Markdown):
        return text
    return Markdown(_BEGINNING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", one_line(text.strip()))))


def code_block(text: str) -> Markdown:
    """Return Markdown that shows a text as it is, line by line; it comes after an empty line."""
    lines = re.split(r"\r\n|\r|\n", text)
    # Four blanks make it a block of code, whatever it contains.
    return Markdown("\n".join(f"    {one_line(line)}" for line in lines))


def create_table_artifact(table: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Show rows under their names."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in table]
    artifacts.create_table_artifact(rows, key=key, description=escaped(description))


def create_common_table_artifact(table: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Show rows that belong to no run: the page of a run lists its own artifacts only."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate

    rows = [{name: _cell(value) for name, value in row.items()} for row in table]
    request = ArtifactCreate(key=key, type="table", description=escaped(description), data=json.dumps(rows))
    get_client(sync_client=True).create_artifact(request)


def _cell(value: Any) -> Any:
    return escaped(value) if isinstance(value, str) else value


def create_markdown_artifact(markdown: Markdown, key: str, description: str) -> None:
    """Show Markdown."""
    artifacts.create_markdown_artifact(escaped(markdown), key=key, description=escaped(description))


def create_link_artifact(link: str, link_text: str, key: str, description: str) -> None:
    """Show a link."""
    artifacts.create_link_artifact(link, escaped(link_text), key=key, description=escaped(description))


def create_progress_artifact(key: str, description: str) -> UUID:
    """Show a ring that fills up; return its id."""
    # Typed as if it might be a coroutine; called from a plain function it is not.
    return cast(UUID, artifacts.create_progress_artifact(0.0, key=key, description=escaped(description)))


def update_progress_artifact(artifact: UUID, progress: float, description: str) -> None:
    """Fill the ring to `progress` percent."""
    artifacts.update_progress_artifact(artifact, progress=progress, description=escaped(description))

"""The HTML reports of a workspace, as the server serves them."""

from __future__ import annotations

from starlette.staticfiles import StaticFiles


class ReportFiles(StaticFiles):
    """The files of a folder that need not exist: without it, there is no such page."""

    async def check_config(self) -> None:
        """Accept a missing folder, for which Starlette would answer with an error of the server."""

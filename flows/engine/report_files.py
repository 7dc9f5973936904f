"""The HTML pages of a workspace, as the server serves them: the overview and the reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles


class ReportFiles(StaticFiles):
    """The files of a folder that need not exist: without it, there is no such page."""

    async def check_config(self) -> None:
        """Accept a missing folder, for which Starlette would answer with an error of the server."""


def one_file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers with a page that changes, and that need not be there yet."""

    async def answer(request: Request) -> Response:
        if not path.is_file():
            return PlainTextResponse("There is no overview yet; the first run writes it.", 404)
        return FileResponse(path, media_type="text/html", headers={"cache-control": "no-cache"})

    return answer

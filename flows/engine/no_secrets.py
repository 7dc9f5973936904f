"""What the server refuses to store: parameters with a secret in them.

The schema of a deployment forbids them too, but a request may ask to skip that check, as the box "Validate parameters"
of the dashboard's form does.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from gatecast.data.secrets import REFUSAL, holds_secret, text_holds_secret

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

PATHS = ("/api/deployments/", "/api/flow_runs/", "/api/automations/")
METHODS = ("POST", "PATCH", "PUT")
NAMES = ("symbols", "groups")
"""Settings with names of series, which may look like anything"""


class NoSecrets:
    """Middleware that refuses requests whose ``parameters`` hold a secret.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] not in METHODS or not scope["path"].startswith(PATHS):
            await self.app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        place = next(_secrets(b"".join(message.get("body", b"") for message in messages)), None)
        if place is not None:
            body = json.dumps({"detail": f"{place} {REFUSAL}."}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 422, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)


def _secrets(body: bytes) -> Iterator[str]:
    """Yield the settings with a secret among the parameters in a request."""
    try:
        yield from _in(json.loads(body), (), is_parameter=False)
    except ValueError:
        return  # Prefect reports what is wrong with it


def _in(value: Any, names: tuple[str, ...], is_parameter: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in NAMES:
                yield from _in(inner, (*names, name), is_parameter or name == "parameters")
    elif isinstance(value, list):
        for inner in value:
            yield from _in(inner, names, is_parameter)
    elif is_parameter and isinstance(value, str):
        holds = text_holds_secret if names[-1] == "query" else holds_secret
        if holds(value):
            yield ".".join(names[names.index("parameters") + 1 :])

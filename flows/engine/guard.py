"""Which requests the server answers: those of programs and of its own pages, not those of other web pages.

A browser sends whatever a page asks it to send, even to 127.0.0.1, and Prefect's server obeys every request: it changes
deployments, starts runs, accepts events. Three headers that no page can forge tell where a request comes from:

- ``Host`` is the name in the address bar. A page whose own name was made to point here (DNS rebinding) has the same
  origin as the server, as far as the browser knows; only this header gives it away.
- ``Origin`` is the page that asks. It comes with every WebSocket and with every request that might change something.
- ``Sec-Fetch-Site`` says the same about requests without an origin, such as those for a picture or a frame.

Programs send only the first one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatecast.data.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::")
DEFAULT_PORTS = {"http": 80, "https": 443}
API = "/api"
AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::([0-9]{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Authority:
    """The part of an address that names a server.

    Attributes
    ----------
    name : str
        In lower case, without the brackets of an IPv6 address or the trailing dot of a full name.
    port : int, optional
        None means the default port of the protocol in use.
    """

    name: str
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read ``NAME`` or ``NAME:PORT``; None if the text is neither."""
        match = AUTHORITY.fullmatch(text)
        if match is None:
            return None
        address, name, port = match.groups()
        try:
            return cls(str(ip_address(address)) if address else name.lower(), int(port) if port else None)
        except ValueError:
            return None


def read_allowed(texts: Sequence[str]) -> tuple[Authority, ...]:
    """Read the values of ``--allowed-host``.

    Raises
    ------
    InputError
        One of them is malformed.
    """
    allowed = []
    for text in texts:
        authority = Authority.read(text)
        if authority is None:
            raise InputError(f"--allowed-host {text!r} is no host; write NAME or NAME:PORT, as forecasts.example.com.")
        allowed.append(authority)
    return tuple(allowed)


class Guard:
    """An ASGI application that passes requests of programs and of its own pages to another, and refuses the rest.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    host : str
        Where the server listens, as `flows.engine.server.Server` takes it.
    allowed : sequence of Authority
        Other names of the server: behind a proxy, or in a network of containers. Pages of a proxy may ask for anything
        over HTTPS, or at the given port, whatever ``Host`` the proxy passes on.
    """

    def __init__(self, app: ASGIApp, host: str, allowed: Sequence[Authority] = ()) -> None:
        self.app = app
        # If it listens on every address, other machines know it by the name of this machine.
        own = socket.gethostname() if host in WILDCARDS else host
        self.names = frozenset({*LOOPBACK, own.lower(), *(authority.name for authority in allowed)})
        self.proxies = frozenset(Authority(name.name, name.port or DEFAULT_PORTS["https"]) for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with one sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self.refusal(scope)
        if refused:
            status, reason = refused
            await JSONResponse({"detail": reason}, status)(scope, receive, send)
            return
        await self.app(scope, receive, _unframed(send))

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason of a refusal, or None if the request is passed on."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = Authority.read(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return 400, "The Host header is missing or malformed; it should be the server's address, as 127.0.0.1:4200."
        if not self._is_served(host, scope):
            name = host.name
            return 421, f"This server is not known as {name}; 'gatecast serve --allowed-host {name}' adds that name."
        for origin in headers.getlist("origin"):
            if not self._is_own(origin, host):
                return 403, f"Pages of {origin} may not use this server; its own may, and those of an --allowed-host."
        sites = {*headers.getlist("sec-fetch-site")} - {"same-origin", "none"}
        if sites and not _is_visit(scope, headers):
            return 403, f"A {' or '.join(sorted(sites))} page may not use this server; its own pages may."
        return None

    def _is_served(self, host: Authority, scope: Scope) -> bool:
        """Tell whether this is a name of the server, or the address at which the request arrived.

        The port is ignored: containers and tunnels change it, and a page with another name gains nothing by it.
        """
        server = scope.get("server")
        return host.name in self.names or (server is not None and host.name == server[0])

    def _is_own(self, origin: str, host: Authority) -> bool:
        """Tell whether a page belongs to the server that it asks, by name and port, or to a proxy in front of it."""
        scheme, _, rest = origin.partition("://")
        page = Authority.read(rest)
        if page is None or scheme not in DEFAULT_PORTS:
            return False
        default = DEFAULT_PORTS[scheme]
        asking = Authority(page.name, page.port or default)
        return asking == Authority(host.name, host.port or default) or asking in self.proxies


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Tell whether a person follows a link from another site to a page of this one."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not scope["path"].startswith(API)
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _unframed(send: Send) -> Send:
    """Forbid other sites to show an answer in a frame, where a person could be tricked into a click."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("content-security-policy", "frame-ancestors 'self'")
        await send(message)

    return sent

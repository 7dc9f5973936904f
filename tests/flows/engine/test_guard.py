from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.engine.guard import Guard, read_allowed

HOST = "127.0.0.1:4200"
PROXY = "forecasts.example.com"
Headers = Iterable[tuple[str, str]]


async def passes(scope: Any, receive: Any, send: Any) -> None:
    """What is guarded: says yes to everything."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes"})


def ask(
    headers: Headers,
    kind: str = "http",
    *,
    method: str = "GET",
    path: str = "/api/flows",
    host: str = "127.0.0.1",
    allowed: tuple[str, ...] = (),
    at: str = "127.0.0.1",
) -> list[Any]:
    """Return what a guard sends for a request that comes in at an address."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a guard reads no body")

    scope = {
        "type": kind,
        "path": path,
        "server": (at, 4200),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        **({"method": method} if kind == "http" else {}),
    }
    asyncio.run(Guard(passes, host, read_allowed(allowed))(scope, receive, send))
    return sent


def status(headers: Headers, kind: str = "http", **how: Any) -> int:
    """Return the status of an answer; that of a WebSocket that is opened is 101."""
    answer = ask(headers, kind, **how)[0]
    return 101 if answer["type"] == "websocket.accept" else int(answer["status"])


@pytest.mark.parametrize(
    "host",
    [HOST, "127.0.0.1", "localhost:4200", "LOCALHOST:4200", "localhost.:4200", "[::1]:4200", "[0:0:0:0:0:0:0:1]:4200"],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_program_is_answered(host: str, kind: str) -> None:
    assert status([("host", host)], kind) == (101 if kind == "websocket" else 200)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:4200",
        "evil.example",
        "127.0.0.1.evil.example:4200",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.2:4200",
        "0.0.0.0:4200",
        "[::ffff:127.0.0.1]:4200",
        "2130706433:4200",
        socket.gethostname() + ".example",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_another_name_is_misdirected(host: str, kind: str) -> None:
    assert status([("host", host)], kind) == 421
    assert status([("host", host), ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin")], kind) == 421


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("",),
        (HOST, HOST),
        (HOST, "evil.example"),
        ("evil.example@127.0.0.1:4200",),
        ("127.0.0.1:4200/x",),
        ("127.0.0.1:port",),
        ("127.0.0.1, evil.example",),
        ("[::1",),
        ("[::g]",),
        ("..",),
        ("lôcalhost",),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_no_readable_host_is_a_bad_request(hosts: tuple[str, ...], kind: str) -> None:
    assert status([("host", host) for host in hosts], kind) == 400


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HOST, "http://127.0.0.1:4200"),
        ("localhost:4200", "http://localhost:4200"),
        ("[::1]:4200", "http://[::1]:4200"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        # A container's or a tunnel's port.
        ("localhost:8080", "http://localhost:8080"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_its_own_pages_are_answered(host: str, origin: str, kind: str) -> None:
    headers = [("host", host), ("origin", origin), ("sec-fetch-site", "same-origin")]
    assert status(headers, kind, method="POST") in (101, 200)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:4200",
        "http://127.0.0.1:4201",
        "http://127.0.0.1",
        "https://127.0.0.1",
        "http://localhost:4200",  # may be another program's, at ::1
        "http://[::1]:4200",
        "http://127.0.0.1:4200.evil.example",
        "http://evil.example@127.0.0.1:4200",
        "http://127.0.0.1:4200/",
        "http:127.0.0.1:4200",
        "127.0.0.1:4200",
        "chrome-extension://127.0.0.1:4200",
        "null",
        "",
        "*",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_pages_are_refused(origin: str, kind: str) -> None:
    assert status([("host", HOST), ("origin", origin)], kind, method="POST") == 403
    assert status([("host", HOST), ("origin", origin)], kind, path="/") == 403
    own = ("origin", f"http://{HOST}")
    assert status([("host", HOST), own, ("origin", origin)], kind, method="POST") == 403


def test_a_preflight_of_another_page_gets_no_leave() -> None:
    headers = [("host", HOST), ("origin", "http://evil.example"), ("access-control-request-method", "PATCH")]
    answer = ask(headers, method="OPTIONS")[0]
    assert answer["status"] == 403
    assert not [name for name, _ in answer["headers"] if name.startswith(b"access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", "none, cross-site", ""])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_comes_without_an_origin_is_refused_by_its_site(site: str, kind: str) -> None:
    for method in ("GET", "POST"):
        assert status([("host", HOST), ("sec-fetch-site", site)], kind, method=method) == 403
    repeated = [("host", HOST), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", site)]
    assert status(repeated, kind) == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_its_own_pages_and_the_address_bar_need_no_origin(site: str) -> None:
    assert status([("host", HOST), ("sec-fetch-site", site)]) == 200


def visit(site: str = "cross-site", mode: str = "navigate", dest: str = "document") -> Headers:
    return [("host", HOST), ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/", "/runs/flow-run/1", "/reports/a/report.html"])
def test_a_link_from_elsewhere_leads_to_a_page(site: str, path: str) -> None:
    assert status(visit(site), path=path) == 200
    assert status(visit(site), path=path, method="HEAD") == 200


@pytest.mark.parametrize(
    ("how", "headers"),
    [
        ({"path": "/api/flows"}, visit()),
        ({"path": "/api"}, visit()),
        ({"path": "/", "method": "POST"}, visit()),
        ({"path": "/"}, visit(dest="iframe")),
        ({"path": "/"}, visit(dest="object")),
        ({"path": "/"}, visit(mode="no-cors", dest="image")),
        ({"path": "/", "kind": "websocket"}, visit()),
        ({"path": "/", "method": "POST"}, [*visit(), ("origin", "null")]),
    ],
)
def test_nothing_but_a_link_to_a_page_passes_as_a_visit(how: dict[str, Any], headers: Headers) -> None:
    assert status(headers, **how) == 403


def test_no_other_site_can_frame_a_page() -> None:
    assert (b"content-security-policy", b"frame-ancestors 'self'") in ask([("host", HOST)], path="/")[0]["headers"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (PROXY, f"https://{PROXY}"),
        (f"{PROXY.upper()}.", f"https://{PROXY}"),
        (PROXY, f"http://{PROXY}"),
        (f"{PROXY}:8443", f"https://{PROXY}:8443"),
        # The proxy passes on its own idea of the host.
        (HOST, f"https://{PROXY}"),
        (HOST, "http://[2001:db8::7]:8080"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_behind_a_proxy_are_answered(host: str, origin: str, kind: str) -> None:
    allowed = (PROXY.title(), "[2001:DB8::7]:8080")
    assert status([("host", host), ("origin", origin)], kind, allowed=allowed, method="POST") in (101, 200)
    assert status([("host", host), ("origin", origin)], kind, method="POST") in (403, 421)


@pytest.mark.parametrize(
    "origin", [f"https://evil.{PROXY}", f"https://{PROXY}.evil.example", f"https://{PROXY}:8443", f"http://{PROXY}"]
)
def test_pages_of_a_proxy_s_neighbours_are_refused(origin: str) -> None:
    assert status([("host", HOST), ("origin", origin)], allowed=(PROXY,), method="POST") == 403


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_the_machine_has_a_name_where_the_server_listens_everywhere(wildcard: str) -> None:
    machine = f"{socket.gethostname().upper()}:4200"
    assert status([("host", machine)], host=wildcard) == 200
    assert status([("host", machine)]) == (200 if socket.gethostname() in ("localhost",) else 421)
    assert status([("host", "localhost:8080")], host=wildcard) == 200
    assert status([("host", "evil.example:4200")], host=wildcard) == 421
    # The address at which the request has come in, and no other.
    assert status([("host", "192.0.2.7:4200")], host=wildcard, at="192.0.2.7") == 200
    assert status([("host", "[2001:DB8::7]:4200")], host=wildcard, at="2001:db8::7") == 200
    assert status([("host", "192.0.2.8:4200")], host=wildcard, at="192.0.2.7") == 421
    assert status([("host", "0.0.0.0:4200")], host=wildcard, at="192.0.2.7") == 421


def test_a_name_to_listen_on_is_served() -> None:
    assert status([("host", "forecasts:4200")], host="Forecasts", at="192.0.2.7") == 200


@pytest.mark.parametrize(
    "name", ["https://forecasts.example.com", "*", "*.example.com", "", "a b", "a:b", "a/b", "[::1"]
)
def test_an_allowed_host_is_a_name(name: str) -> None:
    with pytest.raises(InputError, match=r"--allowed-host .* is no host; write NAME"):
        read_allowed([name])


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([], "The Host header is missing"),
        ([("host", "evil.example")], "'gatecast serve --allowed-host evil.example' adds that name."),
        ([("host", HOST), ("origin", "https://evil.example")], "Pages of https://evil.example may not use this server"),
        ([("host", HOST), ("sec-fetch-site", "cross-site")], "A cross-site page may not use this server"),
    ],
)
def test_a_refusal_is_one_sentence_of_json(headers: Headers, says: str) -> None:
    start, body = ask(headers)
    assert (b"content-type", b"application/json") in start["headers"]
    detail = json.loads(body["body"])["detail"]
    assert says in detail
    assert "\n" not in detail


def test_the_server_starts_and_stops_behind_it() -> None:
    reached = []

    async def starts(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async def nothing(*message: Any) -> Any:
        raise AssertionError

    asyncio.run(Guard(starts, "127.0.0.1")({"type": "lifespan"}, nothing, nothing))
    assert reached == ["lifespan"]

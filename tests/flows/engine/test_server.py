from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gatecast.data.errors import InputError
from gatecast.flows.engine.report_files import one_file
from gatecast.flows.engine.server import Server, _is_free, dashboard_url
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm

# Two transactions at a time; each reads and then writes, as Prefect's server does when it creates a run.
PROGRAM = """
import asyncio, sys
from gatecast.flows.engine.server import _wait_in_line
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import text

async def change(configuration, engine):
    async with await configuration.session(engine) as session:
        async with configuration.begin_transaction(session):
            await session.execute(text("SELECT * FROM runs"))
            await asyncio.sleep(0.2)
            await session.execute(text("INSERT INTO runs VALUES (1)"))

async def main():
    configuration = AioSqliteConfiguration("sqlite+aiosqlite:///" + sys.argv[1])
    engine = await configuration.engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    await asyncio.gather(*(change(configuration, engine) for _ in range(3)))
    async with engine.begin() as connection:
        print((await connection.execute(text("SELECT count(*) FROM runs"))).scalar())

if sys.argv[2] == "in line":
    _wait_in_line()
asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["in line", "as Prefect does it"])
def test_transactions_on_sqlite_wait_for_each_other(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "prefect.db"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if how == "in line":
        assert done.stdout.strip() == "3", done.stderr
    else:
        assert "database is locked" in done.stderr  # else Prefect has fixed it, and `_wait_in_line` may go


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of a single command."""
    with Server(Workspace(tmp_path_factory.mktemp("embedded"))) as server:
        yield server


HOSTILE = [
    ({"Host": "evil.example:4200"}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
]
EVENT = {"event": "hostile", "resource": {"prefect.resource.id": "hostile"}, "occurred": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(("headers", "status"), HOSTILE)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/flows/"),
        ("POST", "/api/events"),
        ("POST", "/api/deployments/filter"),
        ("OPTIONS", "/api/flows/"),
        ("GET", "/api/health"),
        ("GET", "/reports/report.html"),
        ("GET", "/"),
    ],
)
def test_no_door_opens_to_another_page(
    embedded: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{embedded.address}{path}", headers=headers, content=json.dumps([EVENT]))
    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("headers", "status"), HOSTILE)
@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
def test_no_socket_opens_to_another_page(embedded: Server, path: str, headers: dict[str, str], status: int) -> None:
    origin = {name: value for name, value in headers.items() if name != "Host"}
    name = headers.get("Host", f"127.0.0.1:{embedded.port}")
    with (
        socket.create_connection(("127.0.0.1", embedded.port)) as connection,
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{name}{path}", sock=connection, additional_headers=origin),
    ):
        pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["detail"].endswith(".")


def test_a_missing_host_is_a_bad_request(embedded: Server) -> None:
    with socket.create_connection(("127.0.0.1", embedded.port)) as connection:
        connection.sendall(b"GET /api/health HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").readline().split()[1] == b"400"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_programs_and_its_own_pages_are_answered(embedded: Server, name: str) -> None:
    headers = {"Host": f"{name}:{embedded.port}"}
    assert httpx.get(f"{embedded.url}/health", headers=headers).json() is True
    own = {**headers, "Origin": f"http://{name}:{embedded.port}", "Sec-Fetch-Site": "same-origin"}
    assert httpx.post(f"{embedded.url}/flows/filter", headers=own, json={}).json() == []
    with connect(f"ws://127.0.0.1:{embedded.port}/api/events/in", proxy=None):
        pass


def test_reports_that_are_not_there_are_not_found(embedded: Server) -> None:
    reports = embedded.workspace.reports
    assert not reports.exists()
    for path in ("/reports", "/reports/", "/reports/a/report.html"):
        assert httpx.get(f"{embedded.address}{path}", follow_redirects=True).status_code == 404
    (reports / "a").mkdir(parents=True)
    (reports / "a" / "report.html").write_text("<p>here")
    assert httpx.get(f"{embedded.address}/reports/a/report.html").text == "<p>here"


def test_prefect_itself_allows_no_other_origin(embedded: Server) -> None:
    settings = httpx.get(f"{embedded.url}/admin/settings").json()["server"]
    assert settings["api"]["cors_allowed_origins"] == embedded.address
    assert settings["ui"]["api_url"] == "/api"


@pytest.mark.skipif(not _is_free("::1", 0), reason="this machine has no IPv6")
def test_a_server_on_ipv6_is_reached_by_its_address(tmp_path: Path) -> None:
    with Server(Workspace(tmp_path), "::1") as server:
        assert urlsplit(server.url).hostname == "::1"
        assert httpx.get(f"{server.url}/health").json() is True
        assert httpx.get(f"{server.url}/health", headers={"Origin": "http://[::1]:1"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:4200"),
        ("::", "http://[::1]:4200"),
        ("::1", "http://[::1]:4200"),
        ("localhost", "http://localhost:4200"),
    ],
)
def test_a_server_has_an_address_for_this_machine(tmp_path: Path, host: str, address: str) -> None:
    assert Server(Workspace(tmp_path), host, 4200).address == address


def test_a_server_refuses_a_malformed_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--allowed-host 'http://a' is no host"):
        Server(Workspace(tmp_path), allowed_hosts=["http://a"])


@pytest.mark.parametrize(
    "harm", [*HARMS, lambda path: path.write_text('{"url": "http://\\u0000"}')], ids=[*HARM_NAMES, "no_address"]
)
def test_a_damaged_file_of_the_dashboard_names_none(tmp_path: Path, harm: Harm) -> None:
    workspace = Workspace(tmp_path)
    pointer = workspace.prefect / "dashboard.json"
    pointer.parent.mkdir()
    pointer.write_text('{"url": "http://127.0.0.1:1/api"}')
    harm(pointer)
    assert dashboard_url(workspace) is None


def test_a_page_that_changes_is_always_asked_for_again(tmp_path: Path) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route

    page = tmp_path / "overview.html"
    application = Starlette(routes=[Route("/overview", one_file(page))])

    def get() -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://a") as client:
                return await client.get("/overview")

        return asyncio.run(ask())

    assert get().status_code == 404
    page.write_text("<h1>Models</h1>")
    answer = get()
    assert (answer.status_code, answer.text) == (200, "<h1>Models</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"

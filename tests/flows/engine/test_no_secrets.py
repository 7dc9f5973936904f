from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gatecast.flows.engine.no_secrets import NoSecrets

SECRET = "https://me:hunter2@host/x.csv"


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(json.loads(await request.body() or b"null"))


def ask(method: str, path: str, content: bytes) -> httpx.Response:
    """Send a request to what answers with what it was sent, behind the guard."""
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PATCH", "PUT"])])
    app.add_middleware(NoSecrets)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server/api/") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "method", "content", "place"),
    [
        ("deployments/1/create_flow_run", "POST", {"parameters": {"path": SECRET}}, "path"),
        ("deployments/1/create_flow_run/bulk", "POST", [{}, {"parameters": {"path": SECRET}}], "path"),
        ("deployments/", "POST", {"parameters": {"settings": {"data": {"url": SECRET}}}}, "settings.data.url"),
        ("deployments/1", "PATCH", {"parameters": {"settings": {"paths": ["a", SECRET]}}}, "settings.paths"),
        ("deployments/1", "PUT", {"schedules": [{"parameters": {"path": SECRET}}]}, "path"),
        ("flow_runs/", "POST", {"parameters": {"a": {"query": f"LOAD '{SECRET}'"}}}, "a.query"),
        ("flow_runs/1", "PATCH", {"parameters": {"path": SECRET}, "enforce_parameter_schema": False}, "path"),
        ("automations/", "POST", {"actions": [{"type": "run-deployment", "parameters": {"path": SECRET}}]}, "path"),
        ("automations/1", "PUT", {"actions_on_trigger": [{"parameters": {"path": SECRET}}]}, "path"),
    ],
)
def test_parameters_with_a_secret_are_refused(path: str, method: str, content: Any, place: str) -> None:
    answer = ask(method, path, json.dumps(content).encode())
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{place} holds a secret")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("deployments/1/create_flow_run", {"parameters": {"path": "https://${LOGIN}@host/x.csv", "n": 3, "x": None}}),
        ("flow_runs/", {"parameters": {"symbols": ["a:b@c"], "query": "SELECT a::jsonb@>b WHERE password = 'x'"}}),
        ("flow_runs/filter", {"flow_runs": {"name": {"like_": "a:b@c"}}}),
        ("logs/", [{"message": SECRET}]),
        ("flow_runs/", None),
    ],
)
def test_all_else_passes_as_it_is(path: str, content: Any) -> None:
    answer = ask("POST", path, json.dumps(content).encode())
    assert (answer.status_code, answer.json()) == (200, content)


def test_what_is_no_json_is_left_to_the_server() -> None:
    with pytest.raises(json.JSONDecodeError):
        ask("POST", "flow_runs/", b"{")
    assert ask("GET", "flow_runs/1", b"").json() is None

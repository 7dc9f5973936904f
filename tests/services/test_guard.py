"""A hostile page in the browser can do nothing to the dashboard; what should work does, with a password and without.

Each attack is tried from the dashboard's own page as well: there it leaves its trace, so the attack is a real one.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from gatecast.flows.settings.runs import BREACH
from tests.services.browser import EVIL, Browser, needs_browser
from tests.services.conftest import GATECAST, PREFECT, Served, Worker
from tests.services.processes import wait_for

EVENT = "fetch(`${api}/events`, {method: 'POST', mode: 'no-cors', body: new Blob([`[${event}]`])})"
BEACON = "Promise.resolve(navigator.sendBeacon(`${api}/events`, new Blob([`[${event}]`])))"
SOCKET = """new Promise(done => {
    const socket = new WebSocket(`${api.replace('http', 'ws')}/events/in`)
    socket.onopen = () => { socket.send(event); socket.close() }
    socket.onclose = done
})"""
PATCH = "fetch(`${api}/deployments/${deployment}`, {method: 'PATCH', headers: {'content-type': type}, body: steps})"
START = """fetch(`${api}/deployments/${deployment}/create_flow_run`, {
    method: 'POST', headers: {'content-type': type}, body: run
})"""
ATTACKS = {
    "patches what a deployment runs": PATCH,
    "starts a run": START,
    "sends an event blindly": EVENT,
    "sends a beacon": BEACON,
    "opens a socket": SOCKET,
}
ATTEMPT = """
const [api, deployment, steps, run, event, done] = arguments, type = 'application/json'
ATTACK.then(() => done('sent'), error => done(`${error}`))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    at_once = {"PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1"}
    with Served(folder, "--pool", "gatecast", **at_once) as served:
        yield served


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(served.url.removesuffix("/api"), tmp_path_factory.mktemp("screenshots"))
    yield browser
    browser.chrome.quit()


@pytest.fixture(scope="module")
def other_port(served: Served) -> Iterator[int]:
    """A port at which hostile pages are served: one that does nothing, a link, and a frame."""
    dashboard = served.url.removesuffix("/api")
    pages = {
        "/": "",
        "/link": f"<a href='{dashboard}/deployments'>link</a>",
        "/frame": f"<iframe src='{dashboard}/deployments'>",
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def attempt(browser: Browser, page: str, attack: str, api: str, deployment: str, mark: str) -> str:
    """Let a page try something that leaves a mark, and return what came of it."""
    browser.chrome.get(page)
    script = f"touch {mark}"
    steps = {"pull_steps": [{"prefect.deployments.steps.run_shell_script": {"script": script}}]}
    never = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}
    event = {
        "id": str(uuid4()),
        "event": mark,
        "occurred": "2026-01-01T00:00:00Z",
        "resource": {"prefect.resource.id": mark},
    }
    given = (api, deployment, json.dumps(steps), json.dumps({"name": mark, "state": never}), json.dumps(event))
    return str(browser.chrome.execute_async_script(ATTEMPT.replace("ATTACK", ATTACKS[attack]), *given))


def traces(served: Served) -> str:
    """Return all that an attack might have changed."""
    filters = ("deployments/filter", "flow_runs/filter", "automations/filter")
    lists = [served.api(path, {"limit": 200}) for path in filters]
    return json.dumps(
        [*lists, served.api("events/filter", {"filter": {"occurred": {"since": "2025-01-01T00:00:00Z"}}})]
    )


@needs_browser
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_other_page_can_do_anything(browser: Browser, served: Served, other_port: int, attack: str) -> None:
    (text,) = served.api("deployments/filter", {"deployments": {"name": {"any_": ["text"]}}})
    own = served.url.removesuffix("/api")
    port = served.port
    pages = {
        f"http://127.0.0.1:{other_port}/": own,
        f"http://localhost:{other_port}/": own,
        f"http://localhost:{other_port}/#": f"http://localhost:{port}",
        f"http://{EVIL}:{other_port}/": own,
        # A name that was made to point here: what it says is of the dashboard's own origin, for all the browser knows.
        f"http://{EVIL}:{port}/": f"http://{EVIL}:{port}",
        "data:text/html,": own,
    }
    marks = []
    for page, target in pages.items():
        marks.append(f"hostile-{uuid4().hex}")
        attempt(browser, page, attack, f"{target}/api", text["id"], marks[-1])
    ours = f"ours-{uuid4().hex}"
    assert attempt(browser, f"{own}/runs", attack, served.url, text["id"], ours) == "sent"
    found = wait_for(lambda: ours in (now := traces(served)) and now)
    assert not [mark for mark in marks if mark in found]


@needs_browser
def test_a_link_on_another_page_leads_to_the_dashboard(browser: Browser, other_port: int) -> None:
    browser.chrome.get(f"http://localhost:{other_port}/link")
    browser.wait_for("a", "link").click()
    assert browser.wait_for("body", "nightly")


@needs_browser
def test_no_other_page_can_frame_the_dashboard(browser: Browser, other_port: int) -> None:
    browser.chrome.get(f"http://localhost:{other_port}/frame")
    browser.chrome.switch_to.frame(browser.wait_for("iframe"))
    assert browser.chrome.execute_script("return document.readyState") == "complete"
    assert not browser.chrome.execute_script("return document.querySelectorAll('script, .app').length")
    browser.chrome.switch_to.default_content()


@needs_browser
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_dashboard_works_under_each_of_its_names(browser: Browser, served: Served, name: str) -> None:
    browser.chrome.get(f"http://{name}:{served.port}/deployments")
    assert browser.wait_for("body", "nightly")


def test_a_worker_without_a_password_does_what_it_is_given(served: Served) -> None:
    worker = Worker(served, "one")
    try:
        done = served.run("nightly", "--set", "model.max_epochs=1", "--wait")
    finally:
        worker.kill()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard for other machines too, with a password, behind a proxy."""
    login = {"PREFECT_SERVER_API_AUTH_STRING": "user:secret", "PREFECT_API_AUTH_STRING": "user:secret"}
    options = ("--host", "0.0.0.0", "--allowed-host", "forecasts.example.com")
    with Served(tmp_path_factory.mktemp("protected"), *options, **login) as protected:
        yield protected


def test_with_a_password_commands_prefect_and_the_alarm_start_runs(protected: Served) -> None:
    done = protected.run("nightly", "--set", "model.max_epochs=1", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    environment = {**protected.environment, "PREFECT_API_URL": protected.url}
    command = [PREFECT, "deployment", "run", "retrain/nightly"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr

    small = {"data": {"symbols": ["sp500"]}, "model": {"hidden_size": 4, "max_epochs": 1}, "name": "alarmed"}
    breach = f"""
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
resource = {{"prefect.resource.id": "gatecast.model.alarmed", "prefect.resource.name": "alarmed"}}
emit_event({BREACH!r}, resource=resource, payload={{"parameters": {{"settings": {small!r}}}}})
EventsWorker.instance().drain()
"""
    python = str(Path(GATECAST).with_name("python"))
    done = subprocess.run([python, "-c", breach], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (retrain,) = protected.api("deployments/filter", {"deployments": {"name": {"any_": ["retrain"]}}})
    alarmed = {"flow_runs": {"deployment_id": {"any_": [retrain["id"]]}}}
    (run,) = wait_for(lambda: protected.api("flow_runs/filter", alarmed))
    assert run["parameters"]["settings"]["name"] == "alarmed"


@needs_browser
def test_with_a_password_the_dashboard_asks_for_it_and_works(protected: Served, browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.chrome.get(f"http://localhost:{protected.port}/deployments")
    browser.wait_for("input").send_keys("user:secret", Keys.ENTER)
    assert browser.wait_for("body", "nightly")


def test_with_a_password_other_pages_are_refused_before_it_is_asked_for(protected: Served) -> None:
    def asked(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{protected.url}/flows/filter", headers=named, json={}, auth=("user", "secret")).status_code

    proxy = "forecasts.example.com"
    assert asked() == 200
    assert asked(host=proxy, origin=f"https://{proxy}") == 200
    assert asked(origin=f"https://{proxy}") == 200
    assert asked(origin="http://evil.example") == 403
    assert asked(sec_fetch_site="cross-site") == 403
    assert asked(host="evil.example") == 421
    assert httpx.post(f"{protected.url}/flows/filter", json={}).status_code == 401

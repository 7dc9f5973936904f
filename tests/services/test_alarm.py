"""From a shift in the data to a retrain, with a real server, a served deployment and the automation between them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.store import read_json
from flows.settings import BREACH, Workspace
from tests.flows.life import NAME, live

GATECAST = str(Path(sys.executable).with_name("gatecast"))
SMALL = (
    "--symbols sp500 --start 2010-01-01 --end 2015-06-30 --lookback 8 --hidden-size 4 --epochs 3".split()  # noqa: SIM905
)
SERVE = """
from flows.retrain import retrain
from prefect import serve
from prefect.deployments.runner import EntrypointType
serve(retrain.to_deployment("retrain", entrypoint_type=EntrypointType.MODULE_PATH))
"""
REGISTER = "import sys; from uuid import UUID; from flows.alarm import register; register(UUID(sys.argv[1]))"


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s")


class Site:
    """A workspace, a server and a served deployment of the flow `retrain`."""

    def __init__(self, root: Path) -> None:
        self.root, self.workspace = root, Workspace(root / "workspace")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}/api"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "GATECAST"))}
        self.environment = kept | {
            "GATECAST_HOME": str(self.workspace.root),
            "PREFECT_HOME": str(root / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_API_PORT": port,
        }
        self.children = [self.start("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port)]
        wait_for(self.answers)
        self.environment["PREFECT_API_URL"] = self.url
        self.children.append(self.start("-c", SERVE))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.root / "log").open("ab")
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def api(self, path: str, **json: Any) -> Any:
        answer = httpx.post(f"{self.url}/{path}", json=json, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        for child in reversed(self.children):
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(timeout=30)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.stop()


def test_a_shift_leads_to_a_retrain(site: Site) -> None:
    site.run(GATECAST, "retrain", *SMALL)
    (deployment,) = wait_for(lambda: site.api("deployments/filter"))
    for _ in range(2):  # once more changes nothing
        site.run(sys.executable, "-c", REGISTER, deployment["id"])
    assert len(site.api("automations/filter")) == 1
    calm = live(site.workspace, site.root)
    site.run(GATECAST, "monitor", "--path", str(calm.path), "--skill-limit", "-5", "--no-rollback")

    # The one run so far is that of the command; a calm market starts none.
    assert len(site.api("flow_runs/filter", flows={"name": {"any_": ["retrain"]}})) == 1

    stormy = live(site.workspace, site.root, shifted=True)
    output = site.run(GATECAST, "monitor", "--path", str(stormy.path), "--skill-limit", "-5", "--no-rollback")
    assert f"event {BREACH}" in output

    def retrained() -> Any:
        runs = site.api("flow_runs/filter", flow_runs={"deployment_id": {"any_": [deployment["id"]]}})
        return [run for run in runs if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")]

    (run,) = wait_for(retrained)
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["parameters"]["settings"]["data"]["path"] == str(stormy.path)
    assert run["parameters"]["settings"]["name"] == NAME
    versions = stormy.registry.versions()
    assert len(versions) == 2
    bars = read_json(stormy.registry.path(versions[1]) / "lineage.json")["data"]
    assert Path(bars).name.startswith("bars-")

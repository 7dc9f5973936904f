"""`gatecast serve` as people run it: a process of its own, with a server, a workspace and runs of its own."""

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

GATECAST = str(Path(sys.executable).with_name("gatecast"))
START_SECONDS = 120.0

SETTINGS = """
timezone = "America/New_York"
webhook = "{webhook}"
lost_after_seconds = 45

[deployments.nightly]
flow = "retrain"
cron = "30 18 1 1 *"

[deployments.nightly.settings]
name = "nightly"

[deployments.nightly.settings.data]
symbols = ["sp500"]
start = 2010-01-01

[deployments.nightly.settings.model]
lookback = 8
hidden_size = 4
max_epochs = 2
"""
ENDLESS = ("--set", "model.max_epochs=100000", "--set", "model.patience=100000")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what `condition` returns, once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


class Served:
    """A `gatecast serve` under test; starts at once."""

    def __init__(self, root: Path, *arguments: str, webhook: str = "http://127.0.0.1:9/", **environment: str) -> None:
        self.root, self.arguments = root, arguments
        self.file = root / "gatecast.toml"
        root.mkdir(parents=True, exist_ok=True)
        self.file.write_text(SETTINGS.format(webhook=webhook))
        unset = [name for name in os.environ if name.startswith(("PREFECT", "GATECAST"))]
        self.environment = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment |= {"GATECAST_HOME": str(root / "workspace"), **environment}
        self.start()

    def start(self) -> None:
        self.port = free_port()
        self.url = self.environment.get("PREFECT_API_URL", f"http://127.0.0.1:{self.port}/api")
        self.output = (self.root / "output").open("w+")
        self.process = subprocess.Popen(
            [GATECAST, "serve", "--file", str(self.file), "--port", str(self.port), *self.arguments],
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for(lambda: "Ctrl-C stops" in self.said() or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        return Path(self.output.name).read_text()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [GATECAST, "run", *arguments], env=self.environment, capture_output=True, text=True, timeout=180
        )

    def begin(self, *arguments: str) -> str:
        """Start a run and return its id."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("/flow-run/")[1].split()[0]

    def api(self, path: str, json: Any = None) -> Any:
        login = self.environment.get("PREFECT_API_AUTH_STRING")
        auth = httpx.BasicAuth(*login.split(":")) if login else None
        with httpx.Client(base_url=f"{self.url}/", timeout=60, auth=auth) as client:
            answer = client.get(path) if json is None else client.post(path, json=json)
        answer.raise_for_status()
        return answer.json()

    def state(self, run: str) -> str:
        return str(self.api(f"flow_runs/{run}")["state"]["name"])

    def training(self, run: str) -> bool:
        """Tell whether a run has saved the checkpoint of an epoch."""
        assert self.state(run) in ("Scheduled", "Submitting", "Pending", "Running"), self.said()
        return any(self.models.glob("*/.training/*/epoch-*"))

    @property
    def models(self) -> Path:
        return self.root / "workspace" / "models"

    def champion(self, name: str) -> str:
        return str(read_json(self.models / name / "champion.json")["version"])

    def children(self) -> dict[str, int]:
        """Return the process ids of the server and of the runs."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                command = (folder / "cmdline").read_bytes().decode().split("\0")
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if parent == str(self.process.pid):
                found["server" if "flows.server" in command else "run"] = int(folder.name)
        return found

    def stop(self) -> int:
        """Do what Ctrl-C in a terminal does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        self.output.close()
        return int(self.process.returncode)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.stop()

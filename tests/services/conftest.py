"""`gatecast serve` as people run it: a process of its own, with a server, a workspace and runs of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from gatecast.data.store import read_json
from gatecast.flows.engine.server import free_port
from tests.services.processes import kill_all, of_workspace, wait_for
from tests.webhook import listening

GATECAST = str(Path(sys.executable).with_name("gatecast"))
PREFECT = str(Path(sys.executable).with_name("prefect"))
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


def pytest_configure() -> None:
    """Let a test run that is told to end stop what it has started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("terminated", 128 + number))


class Served:
    """A `gatecast serve` under test, which starts at once; a context manager that leaves no process behind.

    Parameters
    ----------
    root : Path
        Folder of its settings and of its workspace.
    *arguments : str
        Options of the command.
    webhook : str
        What it tells of trouble.
    **environment : str
        Further variables.
    """

    def __init__(self, root: Path, *arguments: str, webhook: str = "http://127.0.0.1:9/", **environment: str) -> None:
        self.root = root
        self.arguments = arguments
        self.home = root / "workspace"
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.file = root / "gatecast.toml"
        root.mkdir(parents=True, exist_ok=True)
        self.file.write_text(SETTINGS.format(webhook=webhook))
        unset = [name for name in os.environ if name.startswith(("PREFECT", "GATECAST"))]
        self.environment = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment |= {"GATECAST_HOME": str(self.home), **environment}
        try:
            self.start()
        except BaseException:
            kill_all(self.home)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        kill_all(self.home)
        self.process.wait()
        self.output.close()

    def start(self) -> None:
        """Start it, or start it again where it was."""
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
        """Tell whether a run is at work and the checkpoint of an epoch is there."""
        state = self.state(run)
        assert state in ("Scheduled", "Submitting", "Pending", "Running"), self.said()
        return state == "Running" and any(self.models.glob("*/.training/*/epoch-*"))

    @property
    def models(self) -> Path:
        return self.home / "models"

    def champion(self, name: str) -> str:
        return str(read_json(self.models / name / "champion.json")["version"])

    def children(self) -> dict[str, int]:
        """Return the process ids of the server and of the runs."""
        kinds = {"gatecast.flows.engine.server": "server", "prefect.engine": "run"}
        found = {}
        for process in of_workspace(self.home):
            with suppress(OSError):  # it has ended since
                command = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
                found |= {kinds[word]: process for word in command if word in kinds}
        return found

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Do what Ctrl-C in a terminal does, or what systemd and containers do: SIGTERM, to the process alone."""
        (os.killpg if how == signal.SIGINT else os.kill)(self.process.pid, how)
        return self.process.wait(60)

    def kill(self) -> None:
        """End the server, the runs and what serves them at once, as the loss of their machine does."""
        kill_all(self.home)
        self.process.wait()


class Worker:
    """A worker of the pool, with a workspace of its own, as if it were on another machine."""

    def __init__(self, served: Served, name: str) -> None:
        self.home = served.root / name
        environment = {**served.environment, "PREFECT_API_URL": served.url, "GATECAST_HOME": str(self.home)}
        environment |= {"PREFECT_HOME": str(self.home / "prefect"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
        self.home.mkdir()
        with (served.root / f"{name}.log").open("w") as log:
            self.process = subprocess.Popen(
                [PREFECT, "worker", "start", "--pool", "gatecast", "--name", name, "--limit", "1"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Do what the loss of its machine does."""
        kill_all(self.home)
        self.process.wait()


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook: its address, and what it was told."""
    with listening() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, told: tuple[str, list[dict[str, Any]]]) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served"), webhook=told[0]) as served:
        yield served

"""A server on PostgreSQL with several workers, as docs/deploying.md describes it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatecast.flows.engine.server import free_port
from tests.services.conftest import ENDLESS, GATECAST, PREFECT, Served, Worker
from tests.services.processes import wait_for

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(not BINARIES, reason="Debian's postgresql is not installed")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of an empty PostgreSQL server of its own, which refuses to run as root."""
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="gatecast-postgres-"))
    port = free_port("127.0.0.1")
    shutil.chown(folder, user)

    def call(program: str, *arguments: str) -> None:
        command = [str(BINARIES[-1] / program), *arguments]
        subprocess.run(command, user=user, check=True, capture_output=True, cwd=folder)

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        call("initdb", "--auth=trust", "--username=prefect", f"--pgdata={folder}/data")
        call("pg_ctl", f"--pgdata={folder}/data", f"--log={folder}/log", "--wait", f"--options={options}", "start")
        call("createdb", "--host=127.0.0.1", f"--port={port}", "--username=prefect", "prefect")
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        call("pg_ctl", f"--pgdata={folder}/data", "--mode=immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served(
    database: str, tmp_path_factory: pytest.TempPathFactory, told: tuple[str, list[dict[str, Any]]]
) -> Iterator[Served]:
    environment = {
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_AUTH_STRING": "user:secret",
        "PREFECT_API_AUTH_STRING": "user:secret",
    }
    folder = tmp_path_factory.mktemp("served")
    with Served(folder, "--pool", "gatecast", webhook=told[0], **environment) as served:
        yield served


@pytest.fixture
def workers(served: Served) -> Iterator[list[Worker]]:
    workers = [Worker(served, name) for name in ("one", "two")]
    yield workers
    for worker in workers:
        worker.kill()


def test_workers_share_the_runs_and_the_loss_of_one_loses_none(
    served: Served, workers: list[Worker], told: tuple[str, list[dict[str, Any]]]
) -> None:
    endless = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.state(endless) == "Running", 90)
    other = served.run("retrain", "--set", "name=other", "--set", "data.symbols=sp500",
                       "--set", "model.max_epochs=1", "--wait")  # fmt: skip
    assert other.returncode == 0, other.stdout + other.stderr
    at_work, free = sorted(workers, key=lambda worker: (worker.home / "models" / "other").exists())
    assert (free.home / "models" / "other" / "champion.json").exists()

    # The machine of one worker is lost, and before anything has noticed, that of the server goes down and comes back.
    wait_for(lambda: any(at_work.home.glob("models/nightly/.training/*/epoch-*")))
    at_work.kill()
    served.kill()
    served.start()
    assert served.state(endless) == "Running"
    wait_for(lambda: served.state(endless) == "Crashed", 200)
    # The other model, trained for one epoch, may lose to a baseline, which is told too.
    wait_for(lambda: [message["run_id"] for message in told[1] if message["state"] == "Crashed"] == [endless])
    # Its slot is free, and the other worker has outlasted the restart.
    done = served.run("nightly", "--set", "model.max_epochs=1", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (free.home / "models" / "nightly" / "champion.json").exists()


def test_prefect_yaml_deploys_to_the_pool_of_a_server_with_a_password(served: Served) -> None:
    environment = {**served.environment, "PREFECT_API_URL": served.url}
    command = [PREFECT, "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    found = served.api("deployments/filter", {"deployments": {"tags": {"all_": ["gatecast"]}}})
    deployed = {f"{deployment['entrypoint']} {deployment['name']}": deployment for deployment in found}
    nightly = deployed["gatecast.flows.retrain.retrain indices-nightly"]
    assert nightly["work_pool_name"] == "gatecast"
    assert nightly["schedules"][0]["schedule"]["timezone"] == "America/New_York"
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert nightly["parameters"]["settings"]["name"] == "indices"
    assert "gatecast.flows.forecast.forecast_latest forecast" in deployed
    assert httpx.post(f"{served.url}/deployments/filter", json={}).status_code == 401
    report = served.home / "reports" / "report.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("what a password protects")
    assert "password" not in httpx.get(served.url.removesuffix("/api") + "/reports/report.html").text
    del environment["PREFECT_API_AUTH_STRING"]
    refused = subprocess.run([GATECAST, "run", "retrain"], env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "set PREFECT_API_AUTH_STRING" in refused.stderr

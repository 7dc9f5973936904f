from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.conftest import ENDLESS, GATECAST, Served, wait_for


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on this machine: its address, and what it was told."""
    told: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def test_a_served_deployment_runs_on_demand_with_settings_of_its_own(served: Served) -> None:
    done = served.run("nightly", "--set", "model.max_epochs=1", "--wait")
    assert done.returncode == 0, done.stderr + served.said()
    assert "Completed" in done.stdout
    version = served.champion("nightly")
    settings = json.loads((served.models / "nightly" / version / "settings.json").read_text())
    assert settings["model"]["max_epochs"] == 1
    assert settings["data"]["symbols"] == ["sp500"]


def test_commands_use_the_dashboard_that_runs(served: Served) -> None:
    arguments = [
        "retrain",
        "--symbols",
        "sp500",
        "--lookback",
        "8",
        "--hidden-size",
        "4",
        "--epochs",
        "1",
        "--name",
        "cli",
    ]
    subprocess.run([GATECAST, *arguments], env=served.environment, check=True, capture_output=True, timeout=120)
    runs = served.api("flow_runs/filter", {"flow_runs": {"name": {"like_": "cli"}}})
    assert [run["state"]["name"] for run in runs] == ["Completed"]


def test_the_schedule_is_in_the_time_zone_of_the_file(served: Served) -> None:
    (nightly,) = served.api("deployments/filter", {"deployments": {"name": {"any_": ["nightly"]}}})
    schedule = nightly["schedules"][0]
    assert schedule["schedule"]["cron"] == "30 18 1 1 *"
    assert schedule["schedule"]["timezone"] == "America/New_York"
    assert schedule["active"]
    assert not nightly["paused"]


def test_a_second_run_of_a_deployment_is_cancelled(served: Served) -> None:
    first = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.state(first) == "Running")
    second = served.begin("nightly")
    wait_for(lambda: served.state(second) == "Cancelled")
    third = served.begin("retrain", "--set", "name=nightly", "--set", "data.symbols=sp500")
    wait_for(lambda: served.state(third) == "Cancelled")
    assert "Another retrain of nightly" in served.api(f"flow_runs/{third}")["state"]["message"]
    httpx.post(f"{served.url}/flow_runs/{first}/set_state", json={"state": {"type": "CANCELLING"}}).raise_for_status()
    wait_for(lambda: served.state(first) == "Cancelled")


def test_ctrl_c_stops_all_and_loses_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path)
    run = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(run))
    children = served.children()
    assert set(children) == {"server", "run"}
    assert served.stop() == 0
    for process in children.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not (tmp_path / "workspace" / "prefect" / "dashboard.json").exists()
    served.start()
    assert served.state(run) == "Crashed"
    served.stop()


def test_a_killed_run_is_reported_and_the_next_goes_on_where_it_stopped(
    tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, told = webhook
    served = Served(tmp_path, webhook=address)
    endless = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(endless))
    os.kill(served.children()["run"], signal.SIGKILL)
    wait_for(lambda: served.state(endless) == "Crashed")
    (message,) = wait_for(lambda: told)
    assert (message["flow"], message["state"]) == ("retrain", "Crashed")
    assert endless in message["url"]
    # The slot and the model's lock are free at once, and training goes on.
    again = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.state(again) == "Running")
    wait_for(lambda: len(list((tmp_path / "workspace/models/nightly/.training").glob("*"))) == 1)
    served.stop()


def test_kill_9_of_everything_leaves_no_run_running_and_no_slot_held(tmp_path: Path) -> None:
    served = Served(tmp_path)
    endless = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(endless))
    children = served.children()
    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()
    wait_for(lambda: not Path(f"/proc/{children['server']}").exists())  # the server ends with its parent
    served.start()
    assert served.state(endless) == "Crashed"
    done = served.run("nightly", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.champion("nightly").startswith("v0001-")
    served.stop()

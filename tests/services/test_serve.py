"""`gatecast serve` on one machine: what runs, what stops it, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.conftest import ENDLESS, GATECAST, Served
from tests.services.processes import wait_for

SMALL = "--symbols sp500 --lookback 8 --hidden-size 4 --epochs 1".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def alone(served: Served) -> None:
    """Let each test begin with a server and no run."""
    at_work = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
    if served.process.poll() is not None or served.api("flow_runs/filter", at_work):
        served.kill()
        served.start()
    wait_for(lambda: set(served.children()) == {"server"} and not served.api("flow_runs/filter", at_work))


def test_a_served_deployment_runs_on_demand_with_settings_of_its_own(served: Served) -> None:
    done = served.run("nightly", "--set", "model.max_epochs=1", "--wait")
    assert done.returncode == 0, done.stderr + served.said()
    assert "Completed" in done.stdout
    version = served.champion("nightly")
    settings = json.loads((served.models / "nightly" / version / "settings.json").read_text())
    assert settings["model"]["max_epochs"] == 1
    assert settings["data"]["symbols"] == ["sp500"]


def test_what_it_prints_is_a_log_of_one_line_for_each_thing(served: Served) -> None:
    run = served.begin("retrain", "--set", "name=noted", "--set", "data.path=missing.csv")
    wait_for(lambda: served.state(run) == "Failed")
    failed = wait_for(lambda: [line for line in served.said().splitlines() if "ERROR   failed" in line])[-1]
    assert failed.endswith("missing.csv does not exist; check the path.")
    line = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 (INFO|WARNING|ERROR) +[a-z]+( |$)")
    assert all(line.match(each) for each in served.said().splitlines()), served.said()
    page = httpx.get(f"{served.url.removesuffix('/api')}/overview")
    assert page.status_code == 200
    assert page.url.path in served.said()


def test_commands_use_the_dashboard_that_runs(served: Served) -> None:
    command = [GATECAST, "retrain", *SMALL, "--name", "cli"]
    subprocess.run(command, env=served.environment, check=True, capture_output=True, timeout=120)
    runs = served.api("flow_runs/filter", {"flow_runs": {"name": {"like_": "cli"}}})
    assert [run["state"]["name"] for run in runs] == ["Completed"]


def test_prefect_itself_can_start_a_run(served: Served) -> None:
    environment = {**served.environment, "PREFECT_API_URL": served.url}
    command = [str(Path(GATECAST).with_name("prefect")), "deployment", "run", "retrain/nightly", "--watch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schedule_is_in_the_time_zone_of_the_file(served: Served) -> None:
    (nightly,) = served.api("deployments/filter", {"deployments": {"name": {"any_": ["nightly"]}}})
    schedule = nightly["schedules"][0]
    assert schedule["schedule"]["cron"] == "30 18 1 1 *"
    assert schedule["schedule"]["timezone"] == "America/New_York"
    assert schedule["active"]
    assert not nightly["paused"]


def test_a_second_run_of_a_deployment_is_cancelled_and_told(
    served: Served, told: tuple[str, list[dict[str, Any]]]
) -> None:
    first = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.state(first) == "Running")
    second = served.begin("nightly")
    wait_for(lambda: served.state(second) == "Cancelled")
    third = served.begin("retrain", "--set", "name=nightly", "--set", "data.symbols=sp500")
    wait_for(lambda: served.state(third) == "Cancelled")
    wait_for(lambda: {second, third} <= {message["run_id"] for message in told[1]})
    assert "Another retrain of nightly" in served.api(f"flow_runs/{third}")["state"]["message"]
    httpx.post(f"{served.url}/flow_runs/{first}/set_state", json={"state": {"type": "CANCELLING"}}).raise_for_status()
    wait_for(lambda: served.state(first) == "Cancelled")
    wait_for(lambda: set(served.children()) == {"server"})


def test_a_server_that_ends_is_started_again_and_the_run_goes_on(served: Served) -> None:
    run = served.begin("retrain", "--set", "name=steady", "--set", "model.max_epochs=40", "--set", "model.patience=40")
    wait_for(lambda: served.state(run) == "Running")
    os.kill(served.children()["server"], signal.SIGKILL)
    wait_for(lambda: "runs again" in served.said())
    wait_for(lambda: served.state(run) == "Completed", 120)
    assert served.run("nightly", "--set", "model.max_epochs=1", "--wait").returncode == 0


def test_a_killed_run_is_reported_and_the_next_goes_on_where_it_stopped(
    served: Served, told: tuple[str, list[dict[str, Any]]]
) -> None:
    endless = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(endless))
    before = trainings(served)
    assert before
    told[1].clear()
    os.kill(served.children()["run"], signal.SIGKILL)
    wait_for(lambda: served.state(endless) == "Crashed")
    (message,) = wait_for(lambda: told[1])
    assert (message["flow"], message["state"]) == ("retrain", "Crashed")
    assert endless in message["url"]
    # The slot and the model's lock are free at once, and training goes on from the last epoch.
    again = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.state(again) == "Running")
    assert trainings(served) == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_it_stops_cleanly_and_loses_nothing(served: Served, how: signal.Signals) -> None:
    run = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(run))
    assert set(served.children()) == {"server", "run"}
    assert served.stop(how) == 0
    assert served.children() == {}
    assert not (served.home / "prefect" / "dashboard.json").exists()
    # On record before the process ended: nothing else writes there now. A machine that is too slow for that says so.
    is_slow = "too slow to record" in served.said()
    with sqlite3.connect(served.home / "prefect" / "prefect.db") as database:
        (state,) = database.execute("SELECT state_type FROM flow_run WHERE id = ?", (run,)).fetchone()
        at_work = "SELECT count(*) FROM task_run WHERE flow_run_id = ? AND state_type IN ('RUNNING', 'PENDING')"
        (tasks,) = database.execute(at_work, (run,)).fetchone()
    assert is_slow or state in ("CRASHED", "CANCELLED")
    assert is_slow or tasks == 0
    served.start()
    wait_for(lambda: served.state(run) in ("Crashed", "Cancelled"))


def test_what_was_paused_on_the_dashboard_stays_paused(served: Served) -> None:
    (nightly,) = served.api("deployments/filter", {"deployments": {"name": {"any_": ["nightly"]}}})

    def is_paused() -> bool:
        return bool(served.api(f"deployments/{nightly['id']}")["paused"])

    for change, expected in (("pause_deployment", True), ("resume_deployment", False)):
        httpx.post(f"{served.url}/deployments/{nightly['id']}/{change}").raise_for_status()
        served.stop(signal.SIGTERM)
        served.start()
        assert is_paused() == expected
        assert ("paused on the dashboard" in served.said()) == expected


def test_sigterm_stops_what_a_script_has_started_in_the_background(served: Served) -> None:
    served.stop(signal.SIGTERM)
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a child inherits that, as from a shell's &
    try:
        served.start()
    finally:
        signal.signal(signal.SIGINT, former)
    run = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(run))
    assert served.stop(signal.SIGTERM) == 0
    assert served.children() == {}
    served.start()
    wait_for(lambda: served.state(run) in ("Crashed", "Cancelled"))


def test_kill_9_of_everything_leaves_no_run_running_and_no_slot_held(served: Served) -> None:
    endless = served.begin("nightly", *ENDLESS)
    wait_for(lambda: served.training(endless))
    former = served.champion("nightly")
    children = served.children()
    os.kill(served.process.pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{children['server']}").exists())  # the server ends with its parent
    served.kill()
    served.start()
    wait_for(lambda: served.state(endless) == "Crashed")
    assert served.champion("nightly") == former
    done = served.run("nightly", "--set", "model.max_epochs=1", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr


def trainings(served: Served) -> set[str]:
    """Return the names of the folders of the model's interrupted trainings."""
    return {folder.name for folder in (served.models / "nightly" / ".training").iterdir() if any(folder.iterdir())}

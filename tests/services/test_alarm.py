"""From a shift in the data to a retrain, with a real server, a served deployment and the automation between them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from gatecast.data.store import read_json
from gatecast.flows.settings.runs import BREACH
from gatecast.flows.settings.workspace import Workspace
from tests.flows.life import NAME, live
from tests.services.conftest import GATECAST, Served
from tests.services.processes import wait_for

SMALL = (
    "--symbols sp500 --start 2010-01-01 --end 2015-06-30 --lookback 8 --hidden-size 4 --epochs 3".split()  # noqa: SIM905
)
CALM = ("--skill-limit", "-5", "--no-rollback", "--max-overdue", "100000")


def run(served: Served, *arguments: str, status: int = 0) -> str:
    command = [GATECAST, *arguments]
    done = subprocess.run(command, env=served.environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_a_shift_leads_to_a_retrain(served: Served) -> None:
    served.stop()
    served.start()  # once more changes nothing
    assert len(served.api("automations/filter", {})) == 1
    run(served, "retrain", *SMALL)
    calm = live(Workspace(served.home), served.root)
    run(served, "monitor", "--path", str(calm.path), *CALM)
    # The one run so far is that of the command; a calm market starts none.
    begun = {"flows": {"name": {"any_": ["retrain"]}}, "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}}}
    assert len(served.api("flow_runs/filter", begun)) == 1

    stormy = live(Workspace(served.home), served.root, shifted=True)
    output = run(served, "monitor", "--path", str(stormy.path), *CALM, status=3)
    assert f"event {BREACH}" in output

    def retrained() -> Any:
        runs = served.api("flow_runs/filter", {"flow_runs": {"tags": {"all_": ["retrain"]}}})
        return [run for run in runs if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")]

    (found,) = wait_for(retrained, 120)
    assert found["state"]["type"] == "COMPLETED", found["state"]["message"]
    assert found["parameters"]["settings"]["data"]["path"] == str(stormy.path)
    assert found["parameters"]["settings"]["name"] == NAME
    versions = stormy.registry.versions()
    assert len(versions) == 2
    bars = read_json(stormy.registry.path(versions[1]) / "lineage.json")["data"]
    assert Path(bars).name.startswith("bars-")

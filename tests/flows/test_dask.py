from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.flows.fleet import fleet
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import FleetSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.config import ForecasterSettings

MODELS = 8


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        yield cluster


@pytest.mark.filterwarnings("ignore::UserWarning:distributed.*")
def test_a_worker_killed_in_mid_run_loses_no_model(
    server: str, workspace: Workspace, tmp_path: Path, cluster: Any
) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(400)
    parts = [
        pd.DataFrame(
            {
                "unique_id": f"s{number}",
                "ds": pd.date_range("2020-01-01", periods=400),
                "y": np.sin(t / 3) + rng.normal(size=400),
            }
        )
        for number in range(MODELS)
    ]
    pd.concat(parts).to_csv(tmp_path / "load.csv", index=False)
    model = ForecasterSettings(lookback=20, hidden_size=16, max_epochs=20, patience=20)
    retrain = RetrainSettings(data=DataSettings(source="csv", path=tmp_path / "load.csv"), model=model)
    killed: list[tuple[int, int]] = []

    def kill_one_in_mid_run() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            done = len(list(workspace.models.glob("*/champion.json")))
            training = len(list(workspace.models.glob("*/.started")))
            if done >= 2 and training == 2:
                worker = next(iter(cluster.workers.values()))
                os.kill(worker.pid, signal.SIGKILL)
                killed.append((worker.pid, done))
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill_one_in_mid_run)
    killer.start()
    result = fleet(FleetSettings(retrain=retrain, runner="dask", cluster=cluster.scheduler_address))
    killer.join()
    ((_, done),) = killed
    assert done < MODELS, "the worker was killed too late to matter"
    assert [each["error"] for each in result["outcomes"]] == [None] * MODELS
    for each in result["outcomes"]:
        registry = Registry(workspace, each["name"])
        assert registry.champion() == each["champion"] == each["version"]
        assert len(registry.versions()) == 1
    assert result["failed"] is None

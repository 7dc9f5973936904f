"""Train a fleet of models through Prefect and without it; print the seconds of both as JSON.

Both sides train the same models with the same function on as many processes, started when the clock runs; the kernels
are compiled before it does.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["main"]

ROWS = 1000


def main() -> None:
    """Measure with the number of models and of processes that the arguments name."""
    models = int(sys.argv[1])
    workers = int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GATECAST_HOME"] = folder
        path = _series(models, Path(folder) / "load.parquet")
        from gatecast.flows.engine.orchestration import start_embedded_server
        from gatecast.flows.fleet import fleet, prepare
        from gatecast.flows.settings.data import DataSettings
        from gatecast.flows.settings.runs import FleetSettings, RetrainSettings

        start_embedded_server()
        retrain = RetrainSettings(data=DataSettings(source="parquet", path=path))
        prepare.fn(retrain.resolved("series"))
        plain = _without_prefect(retrain, workers, Path(folder) / "plain")
        begun = time.perf_counter()
        result = fleet(FleetSettings(retrain=retrain, workers=workers))
        through = time.perf_counter() - begun
    failed = [each["error"] for each in result["outcomes"] if each["error"]]
    if failed or len(result["outcomes"]) != models:
        raise RuntimeError(f"{len(failed)} of {models} models failed: {failed[:1]}")
    training = sum(each["seconds"] or 0.0 for each in result["outcomes"]) / workers
    print(json.dumps({"plain": plain, "prefect": through, "training": training}))


def _series(models: int, path: Path) -> Path:
    rng = np.random.default_rng(0)
    t = np.arange(ROWS)
    parts = [
        pd.DataFrame(
            {
                "unique_id": f"series-{number:03d}",
                "ds": pd.date_range("2020-01-01", periods=ROWS),
                "y": np.sin(2 * np.pi * t / 30 + number) + rng.normal(scale=0.2, size=ROWS),
            }
        )
        for number in range(models)
    ]
    pd.concat(parts, ignore_index=True).to_parquet(path)
    return path


def _without_prefect(retrain: object, workers: int, root: Path) -> float:
    """Return the seconds of reading the data and training the same models in a plain pool of processes."""
    from gatecast.flows.ingest import ingest
    from gatecast.flows.member import members_of, train_one
    from gatecast.flows.settings.runs import RetrainSettings
    from gatecast.flows.settings.workspace import Workspace

    assert isinstance(retrain, RetrainSettings)
    begun = time.perf_counter()
    bars = ingest.fn(retrain.data, Workspace(root))
    members = members_of((), retrain.resolved("series"), Path(bars["directory"]))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = [
            pool.submit(
                train_one, member.settings, retrain.gate, [Path(file) for file in member.files], {}, Workspace(root)
            )
            for member in members
        ]
        for future in futures:
            future.result()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

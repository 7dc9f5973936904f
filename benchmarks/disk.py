"""How much disk a year of nights takes: the workspace after each of some retrains of one series, with retention.

``python -m benchmarks.disk --nights 30`` retrains a small model on the S&P 500 of the sample, about 5,000 rows, with
one more day each night, and removes what nobody needs after each, as `gatecast serve` does. A night takes seconds here,
so a day of Prefect's events is `EVENT_SECONDS`. Sizes are blocks on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

EVENT_SECONDS = 20
LAST_NIGHT = "2018-12-28"
SETTINGS = {"name": "sp500", "target": "range", "model": {"lookback": 20, "hidden_size": 16, "max_epochs": 3}}


def size_on_disk(folder: Path) -> int:
    """Return how many bytes the files and folders in a folder take on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")))


def night(day: pd.Timestamp) -> None:
    """Retrain on the rows up to a day."""
    from gatecast.flows.retrain import retrain
    from gatecast.flows.settings.runs import RetrainSettings

    data = {"source": "sample", "symbols": ["sp500"], "end": f"{day:%Y-%m-%d}"}
    retrain(RetrainSettings.model_validate({**SETTINGS, "data": data}))


def clean(keep: int) -> None:
    """Remove what nobody needs two days later."""
    from gatecast.flows.deployments import offered
    from gatecast.flows.engine.database import compact, database
    from gatecast.flows.engine.records import delete_runs, old_runs
    from gatecast.flows.registry.retention import DAY, Rule, clean_up
    from gatecast.flows.settings.retention import RetentionSettings
    from gatecast.flows.settings.workspace import Workspace

    workspace = Workspace.from_environment()
    settings = RetentionSettings(keep=keep)
    list(clean_up(workspace, Rule(settings, time.time() + 2 * DAY)))
    delete_runs(old_runs(settings, offered(), workspace, datetime.now(UTC) + timedelta(days=2)))
    compact(database(workspace))


def measure(nights: int, keep: int, root: Path) -> dict[str, Any]:
    """Return the size of the workspace after each night, and of its folders after the last one, in kB."""
    os.environ["GATECAST_HOME"] = str(root)
    os.environ["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] = f"PT{EVENT_SECONDS}S"
    os.environ["PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS"] = str(EVENT_SECONDS / 2)
    from gatecast.flows.engine.orchestration import start_embedded_server

    start_embedded_server()
    sizes = []
    for day in pd.bdate_range(end=LAST_NIGHT, periods=nights):
        night(day)
        clean(keep)
        sizes.append(round(size_on_disk(root) / 1000))
        print(f"{day:%Y-%m-%d} {sizes[-1]:,} kB", flush=True)
    folders = {path.name: round(size_on_disk(path) / 1000) for path in sorted(root.iterdir()) if path.is_dir()}
    return {"nights": nights, "keep": keep, "kB": sizes, "kB a night": round(sizes[-1] / nights), "folders": folders}


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--keep", type=int, default=30, help="versions, reports and runs that stay")
    parser.add_argument("--workspace", type=Path, help="an empty folder; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.nights, given.keep, given.workspace or Path(folder)), indent=1))


if __name__ == "__main__":
    main()

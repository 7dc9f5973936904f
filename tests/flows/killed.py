"""A small retrain that is killed at each of its writes and started again; `tests.flows.test_killed` runs this.

``NUMBA_THREADING_LAYER=workqueue python -m tests.flows.killed FOLDER 1`` forks a process for each of the writes (for
each fifth with 5), which ends just before it, as ``kill -9`` would end it, and then one that does the same work again.
It prints what was wrong afterwards, as JSON. The threads of OpenMP, the usual layer, survive no fork.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from pathlib import Path

import pandas as pd

from gatecast.data.bars.store import write_rows
from gatecast.data.leftovers import remove
from gatecast.flows.member import train_one
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace

CALLS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir")
KILLED = 9
NAME = "small"
SETTINGS = {
    "name": NAME,
    "data": {"source": "csv", "path": "x.csv"},
    "model": {"lookback": 4, "hidden_size": 2, "max_epochs": 2, "batch_size": 16, "horizon": 1},
    "split": {"purge": 0},
}


def is_write(event: str, arguments: tuple[object, ...], root: str) -> bool:
    """Tell whether the interpreter is about to change something in a folder."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and str(path).startswith(root)
    return event in CALLS and str(arguments[0]).startswith(root)


def night(workspace: Workspace, rows: int, *, kill_at: int | None = None) -> int:
    """Train on so many rows in a process of its own, and return its exit status."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    writes = count()

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if is_write(event, arguments, str(workspace.root)) and next(writes) == kill_at:
            os._exit(KILLED)

    if kill_at is not None:
        sys.addaudithook(watch)
    try:
        work(workspace, rows)
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def work(workspace: Workspace, rows: int) -> None:
    """Do what a nightly run does: tidy up, then train on the newest rows, judge, register, promote, refit, forecast."""
    workspace.tidy_up()
    y = [float(step % 7) + 0.01 * step for step in range(rows)]
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=rows), "y": y})
    metadata = {"source": "csv", "origin": "x.csv", "fetched_at": "2020-01-01"}
    file = write_rows(frame, workspace.bars / f"csv-{rows}" / "a.parquet", metadata)
    settings = RetrainSettings.model_validate(SETTINGS).resolved("series")
    lineage = {"data_hash": str(rows), "data": str(file.parent), "last": str(frame["ds"].iloc[-1])}
    train_one(settings, settings.gate, [file], lineage, workspace, resume=True)


def problems(workspace: Workspace, rows: int) -> list[str]:
    """Return what a kill has left behind although the same work was done again."""
    root = workspace.root
    left = [str(path.relative_to(root)) for path in root.rglob("*") if path.name.endswith((".tmp", ".former"))]
    left += [str(path.relative_to(root)) for path in root.rglob(".candidate")]
    registry = Registry(workspace, NAME)
    told = [entry["version"] for entry in registry.history()]
    if told != registry.versions():
        left.append(f"decisions {told}, versions {registry.versions()}")
    if [registry.champion()] != [entry["winner"] for entry in registry.history()[-1:]]:
        left.append(f"the champion is {registry.champion()}")
    if not list(workspace.forecasts.rglob(f"{pd.Timestamp('2020-01-01') + pd.Timedelta(days=rows - 1):%Y-%m-%d}*")):
        left.append("no forecast")
    return left


def main(folder: str, step: str) -> None:
    """Kill each night at a later one of its writes, until both end before that."""
    found = {}
    killed = 0
    work(Workspace(Path(folder) / "first"), 120)  # what is imported and compiled once is not compiled by each process
    workspace = Workspace(Path(folder) / "workspace")
    for kill_at in count(1, int(step)):
        remove(workspace.root)
        # The first night makes the first champion; the second one has a champion to replace.
        status = [night(workspace, 120, kill_at=kill_at), night(workspace, 120)]
        status += [night(workspace, 121, kill_at=kill_at), night(workspace, 121)]
        killed += status.count(KILLED)
        wrong = problems(workspace, 121)
        if wrong or status[1] or status[3]:
            found[kill_at] = [*wrong, f"exit status {status}"]
        if KILLED not in status:
            break
    print(json.dumps({"killed": killed, "problems": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])

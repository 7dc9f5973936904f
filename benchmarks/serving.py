"""How fast and how reliable `gatecast serve` is: ``python -m benchmarks.serving --help``.

Three figures, each against its limit: the time from typing ``gatecast run retrain`` to the run's start, the time of a
retrain when nothing has changed, and the number of retrains in a row without one that finds the database locked.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_facts

GATECAST = str(Path(sys.executable).with_name("gatecast"))
SERVE_SECONDS = 120
START_LIMIT = 6.0
UNCHANGED_LIMIT = 10.0
SMALL = ("data.symbols=sp500", "data.start=2010-01-01", "model.lookback=8", "model.hidden_size=4", "model.max_epochs=1")


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Serve a workspace; yield the address of the API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            [GATECAST, "serve", "--port", str(port)], env=_environment(home), stdout=output, stderr=output, cwd=home
        )
    until = time.monotonic() + SERVE_SECONDS
    while "Ctrl-C" not in (home / "output").read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError((home / "output").read_text())
        time.sleep(0.1)
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "GATECAST"))}
    return {**kept, "GATECAST_HOME": str(home / "workspace")}


def run(home: Path, api: str, *settings: str) -> dict[str, float]:
    """Run the retrain deployment; return the seconds from typing the command to the run's start and to its end."""
    typed = time.time()
    assignments = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        [GATECAST, "run", "retrain", *assignments, "--wait"], env=_environment(home), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, Any] = httpx.get(f"{api}/flow_runs/{done.stdout.split('/flow-run/')[1].split()[0]}").json()
    return {name: datetime.fromisoformat(found[f"{name}_time"]).timestamp() - typed for name in ("start", "end")}


def locked(home: Path, api: str) -> int:
    """Count the lines about a locked database in the logs of the processes and of the runs."""
    texts = [(home / "output").read_text(), (home / "workspace" / "prefect" / "server.log").read_text()]
    offset = 0
    lines = -1
    while lines:
        page = httpx.post(f"{api}/logs/filter", json={"offset": offset}, timeout=60).json()
        texts += [line["message"] for line in page]
        lines = len(page)
        offset = offset + len(page)
    return sum(text.count("database is locked") for text in texts)


def main() -> int:
    """Measure, print, and return 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--retrains", type=int, default=50, help="retrains in a row (default: 50)")
    parser.add_argument("--starts", type=int, default=5, help="runs whose start is measured (default: 5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with served(home) as api:
            run(home, api, "name=unchanged")
            unchanged = [run(home, api, "name=unchanged") for _ in range(arguments.starts)]
            began = time.monotonic()
            for number in range(arguments.retrains):
                run(home, api, "name=small", f"model.seed={number}", *SMALL)
            seconds = time.monotonic() - began
            lines = locked(home, api)
        began = time.monotonic()
        command = [GATECAST, "retrain", "--name", "unchanged"]
        subprocess.run(command, env=_environment(home), check=True, capture_output=True)
        alone = time.monotonic() - began
    start = statistics.median(times["start"] for times in unchanged)
    end = statistics.median(times["end"] for times in unchanged)
    table = Table(title="Serving on SQLite, median seconds")
    for column in ("what", "measured", "limit"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("from `gatecast run retrain` to the run's start", f"{start:.1f}", f"{START_LIMIT:.0f}")
    table.add_row(
        "an unchanged retrain on the dashboard, from typing to its end", f"{end:.1f}", f"{UNCHANGED_LIMIT:.0f}"
    )
    table.add_row("`gatecast retrain`, unchanged, with a server of its own", f"{alone:.1f}", f"{UNCHANGED_LIMIT:.0f}")
    table.add_row(f"{arguments.retrains} retrains in a row, each", f"{seconds / max(arguments.retrains, 1):.1f}", "")
    table.add_row("lines 'database is locked'", str(lines), "0")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    facts = machine_facts(os.cpu_count() or 1)
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return int(start > START_LIMIT or max(end, alone) > UNCHANGED_LIMIT or lines > 0)


if __name__ == "__main__":
    raise SystemExit(main())

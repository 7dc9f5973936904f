"""Several processes on one workspace."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.torture.forks import start
from tests.torture.ground import JOBS, command, lasting
from tests.torture.kills import nothing_lost
from tests.torture.torture import Torture, require

PROCESSES = 8
WORDS = ("Error: ", "InputError", "Cancelled")


def told(*arguments: str) -> Callable[[Path, int], Any]:
    """Return a job that runs a command, which may be refused."""

    def job(folder: Path, seed: int) -> Any:
        from typer.testing import CliRunner

        from gatecast.flows.cli import app

        done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})
        ended = done.exception is None or isinstance(done.exception, SystemExit)
        if done.exit_code not in (0, 2, 3) or not ended:
            raise RuntimeError(
                f"gatecast {' '.join(arguments)}: {done.exit_code}: {done.exception!r} {done.output[-300:]}"
            )

    return job


ACTIONS: dict[str, Callable[[Path, int], Any]] = {
    "retrain": lambda folder, seed: JOBS["retrain"](folder, 2),
    "another retrain": lambda folder, seed: JOBS["retrain"](folder, 3),
    "forecast": JOBS["forecast"],
    "monitor": JOBS["monitor"],
    "rollback": told("models", "rollback", "load"),
    "pin": told("models", "pin", "load", "1"),
    "unpin": told("models", "unpin", "load"),
    "list": told("models", "list"),
    "show": told("models", "show", "load"),
    "promote": told("models", "promote", "load", "1"),
    "fleet": lambda folder, seed: JOBS["fleet"](folder, 2),
    "prune": told("models", "prune", "load", "--keep", "5", "--yes"),
}


class Together(Torture):
    """Eight processes on one workspace lose nothing, and none ends in anything but its result or one sentence.

    They retrain, forecast, monitor, roll back, pin, list and prune at once.
    """

    name = "together"
    short = 1
    share = 2.0

    def trial(self, seed: int, number: int) -> str:
        from gatecast.flows.engine.orchestration import start_embedded_server

        draw = random.Random(seed)
        self.ground.restore()
        names = ["retrain", *draw.sample(sorted(ACTIONS), PROCESSES - 1)]

        def as_command(job: Callable[[Path, int], Any]) -> None:
            start_embedded_server()
            job(self.ground.folder, seed)

        forks = [
            start(partial(as_command, ACTIONS[name]), self.ground.folder / "jobs", self.ground.environment)
            for name in names
        ]
        outcomes = [fork.wait(limit=600) for fork in forks]
        what = f"{', '.join(names)} at once"
        for name, outcome in zip(names, outcomes, strict=True):
            refused = outcome.error in ("InputError", "SourceError", "DamagedFileError", "CancelledRun")
            fine = not outcome.error or (refused and "\n" not in outcome.message)
            require(fine and not outcome.was_killed, f"{what}: {name}: {outcome.error}: {outcome.message[-400:]}")
        nothing_lost(self.ground, what)
        history = self.ground.root / "models/load/promotions.jsonl"
        for line in history.read_text().splitlines():
            json.loads(line)
        again = self.ground.run(partial(JOBS["retrain"], self.ground.folder, 2))
        require(not again.error, f"{what}, then a retrain: {again.error}: {again.message}")
        lasting(self.ground.root)  # every file can be read
        listed = self.ground.run(lambda: command("models", "list"))
        require(not listed.error, f"{what}, then models list: {listed.message}")
        return "times eight"

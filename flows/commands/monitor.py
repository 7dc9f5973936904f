"""``gatecast monitor``: is the model still as good as it was?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from gatecast.flows.commands.options import CommonOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import BREACHED, explained, print_next, print_paths, print_table, say
from gatecast.flows.settings.champion import MonitorSettings


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(CommonOptions):
    """The options of ``gatecast monitor``."""

    limits: Typed[MonitorSettings] = Typed(MonitorSettings)


@takes(MonitorOptions)
def monitor(options: MonitorOptions) -> None:
    """Score the forecasts on file against what came, and look for drift in data and errors.

    A breach emits the Prefect event gatecast.monitor.breach, on which a served Gatecast retrains the model. A champion
    that is worse than the best baseline is replaced by the one before it.

    Ends with exit status 3 if there is a breach.
    """
    with explained(options.debug):
        options.prepare()
        settings = options.limits.settings()
        with starting_prefect(settings.path):
            from gatecast.flows.forecast import choose_model
            from gatecast.flows.monitor import monitor as flow
            from gatecast.flows.settings.workspace import Workspace

            choose_model(Workspace.from_environment(), settings.name)
        result = flow(settings)
        show(result)
        if result["check"]["breaches"]:
            raise typer.Exit(BREACHED)


def show(result: dict[str, Any]) -> None:
    """Print the checks, what was done about breaches, and what to type next."""
    from gatecast.data.store import read_json
    from gatecast.flows.judging.checks import Check
    from gatecast.flows.monitor import check_table

    report = read_json(Path(result["check"]["report"]))
    rows = check_table([Check(**each) for each in report["checks"]])
    title = f"{result['name']} {result['version']}, data until {report['last']}"
    print_table(rows, title, right=("value", "limit"))
    say(result["check"]["verdict"])
    for done in ("roll_back", "raise_alarm"):
        if result[done]:
            say(result[done]["summary"])
    paths = {"report": result["check"]["report"], "forecasts": result["score_live"]["live"]}
    print_paths(paths | ({"prometheus": result["export"]["path"]} if "export" in result else {}))
    breached = bool(result["check"]["breaches"])
    print_next(f"backtest --name {result['name']} --refit 0" if breached else f"models show {result['name']}")

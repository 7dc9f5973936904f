"""``gatecast monitor``: is the model still as good as it was?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import ChampionOptions, given, takes
from flows.terminal import console, explained, print_next, print_paths, print_table, say

if TYPE_CHECKING:
    from flows.settings import MonitorSettings

LIMITS = "What counts as a breach"


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(ChampionOptions):
    """The options of ``gatecast monitor``; None stands for the default of `flows.settings.MonitorSettings`."""

    window: Annotated[
        int | None,
        typer.Option(help="Latest origins and rows that are judged.", show_default="60", rich_help_panel=LIMITS),
    ] = None
    minimum_rows: Annotated[
        int | None,
        typer.Option(
            help="Scored forecasts below which errors are not judged.", show_default="20", rich_help_panel=LIMITS
        ),
    ] = None
    skill_limit: Annotated[
        float | None,
        typer.Option(help="Skill not to fall below.", show_default="0: the naive forecast", rich_help_panel=LIMITS),
    ] = None
    drift_test: Annotated[
        str | None, typer.Option(help="Measure of drift: psi or ks.", show_default="psi", rich_help_panel=LIMITS)
    ] = None
    drift_limit: Annotated[
        float | None, typer.Option(help="Drift not to exceed.", show_default="0.25", rich_help_panel=LIMITS)
    ] = None
    coverage_tolerance: Annotated[
        float | None,
        typer.Option(help="How far coverage may stay below its level.", show_default="0.1", rich_help_panel=LIMITS),
    ] = None
    rollback: Annotated[bool, typer.Option(help="Let the former champion replace one that is worse than naive.")] = True
    prometheus: Annotated[
        Path | None,
        typer.Option(
            help="Folder of Prometheus' textfile collector; gets forecasts and errors as gatecast-NAME.prom.",
            show_default=False,
        ),
    ] = None

    def settings(self) -> MonitorSettings:
        """Return the settings of the run."""
        from flows.settings import MonitorSettings

        return MonitorSettings(
            **given(**{name: getattr(self, name) for name in MonitorSettings.model_fields if hasattr(self, name)})
        )


@takes(MonitorOptions)
def monitor(options: MonitorOptions) -> None:
    """Score the forecasts on file against what came, and look for drift in data and errors.

    A breach emits the Prefect event gatecast.monitor.breach, on which a served Gatecast retrains the model. A champion
    that is worse than the naive forecast gives its place back to the one before it.
    """
    with explained(options.debug):
        options.prepare()
        settings = options.settings()
        with console(stderr=True).status("Starting Prefect"):
            from flows.forecast import choose_model
            from flows.monitor import monitor as flow
            from flows.orchestration import start_embedded_server
            from flows.settings import Workspace

            choose_model(Workspace.from_environment(), settings.name)
            start_embedded_server()
        show(flow(settings))


def show(result: dict[str, Any]) -> None:
    """Print the checks, what was done about them, and what to type next."""
    from data.store import read_json
    from flows.checks import Check
    from flows.monitor import check_table

    report = read_json(Path(result["check"]["report"]))
    rows = check_table([Check(**each) for each in report["checks"]])
    title = f"{result['name']} {result['version']}, data until {report['last']}"
    print_table(rows, title, right=("value", "limit"))
    for done in ("roll_back", "raise_alarm"):
        if result[done]:
            say(result[done]["summary"])
    paths = {"report": result["check"]["report"], "forecasts": result["score_live"]["live"]}
    print_paths(paths | ({"prometheus": result["export"]["path"]} if "export" in result else {}))
    breached = bool(result["check"]["breaches"])
    print_next(f"backtest --name {result['name']} --refit 0" if breached else f"models show {result['name']}")

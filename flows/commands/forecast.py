"""``gatecast forecast``: what comes next, according to the champion."""

from __future__ import annotations

from dataclasses import dataclass

from gatecast.flows.commands.options import CommonOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import console, explained, literal, print_next, print_paths, say
from gatecast.flows.settings.champion import ForecastSettings


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(CommonOptions):
    """The options of ``gatecast forecast``."""

    champion: Typed[ForecastSettings] = Typed(ForecastSettings)


@takes(ForecastOptions)
def forecast(options: ForecastOptions) -> None:
    """Forecast with a model's champion.

    Reads the data again from its original source, or from --path, and forecasts the next steps of each series.
    """
    with explained(options.debug):
        options.prepare()
        settings = options.champion.settings()
        with starting_prefect(settings.path):
            from gatecast.flows.forecast import choose_model, forecast_latest
            from gatecast.flows.settings.workspace import Workspace

            name = choose_model(Workspace.from_environment(), settings.name)
        asked = settings.n_samples, settings.seed, settings.level, settings.quantiles
        result = forecast_latest(name, settings.path, *asked)
        console().print(f"\n[bold]Forecast by {literal(result['name'])} {result['version']}[/bold]")
        for sentence in result["forecast"]["sentences"]:
            say(f"  {sentence}")
        console().print()
        say(skill(result["name"], result["version"]))
        print_paths({"forecast": result["forecast"]["path"]})
        print_next("retrain --help")


def skill(name: str, version: str) -> str:
    """Say how a version did on its test rows, so that nobody has to trust a forecast blindly."""
    from gatecast.flows.registry.registry import Registry
    from gatecast.flows.settings.workspace import Workspace

    evaluation = Registry(Workspace.from_environment(), name).evaluation(version)
    return f"On its test rows, {evaluation['first']} to {evaluation['last']}: {evaluation['verdict']}"

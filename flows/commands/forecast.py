"""``gatecast forecast``: what comes next, by the champion."""

from __future__ import annotations

from flows.commands.options import ChampionOptions, takes
from flows.terminal import console, explained, print_next, print_paths


@takes(ChampionOptions)
def forecast(options: ChampionOptions) -> None:
    """Forecast with a model's champion.

    Reads the data anew from where the model was trained, or from --path, and forecasts the next steps of each series.
    """
    with explained(options.debug):
        options.prepare()
        with console(stderr=True).status("Starting Prefect"):
            from flows.forecast import choose_model, forecast_latest
            from flows.orchestration import start_embedded_server
            from flows.settings import Workspace

            name = choose_model(Workspace.from_environment(), options.name)
            start_embedded_server()
        result = forecast_latest(name, options.path)
        console().print(f"\n[bold]Forecast by {result['name']} {result['version']}[/bold]")
        for sentence in result["forecast"]["sentences"]:
            console().print(f"  {sentence}", markup=False)
        print_paths({"forecast": result["forecast"]["path"]})
        print_next("retrain --help")

"""``gatecast retrain``: the main job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.fleet import retrain_fleet
from gatecast.flows.commands.options import TrainingOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import (
    console,
    print_next,
    print_paths,
    print_scores,
    print_times,
    say,
    warn,
)
from gatecast.flows.settings.runs import FleetSettings

if TYPE_CHECKING:
    from gatecast.flows.retrain import Retrained


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(TrainingOptions):
    """The options of ``gatecast retrain``; the models of a fleet share the options of one model."""

    fleet: Typed[FleetSettings] = Typed(FleetSettings, without=("groups",))
    symbols_file: Annotated[
        Path | None,
        typer.Option(
            help="File with one model a line, its series as A,B: trains them all, side by side.",
            show_default=False,
            rich_help_panel="Many models",
        ),
    ] = None


@takes(RetrainOptions)
def retrain(options: RetrainOptions) -> None:
    """Train, evaluate, promote and forecast: the whole job.

    Reads the data, trains an LSTM, holds it against the best of several baselines on a test period it has never seen,
    makes it the champion if it is not worse than the present one, and forecasts what comes next. Steps for which
    nothing has changed are answered from cache.

    With --symbols-file, does so for many models at once, and continues if some fail.
    """
    with options.training() as started:
        if options.symbols_file is not None:
            retrain_fleet(options.fleet, options.symbols_file, options.force, options.resume)
            return
        settings = options.fleet.settings().retrain
        with starting_prefect(settings.data.path):
            from gatecast.flows.retrain import retrain as flow
        result = flow(settings, resume=options.resume, force=options.force)
        show(result, time.perf_counter() - started)


def show(result: Retrained, seconds: float) -> None:
    """Print the closing tables: scores next to baselines, seconds per step, what was written, what to type next."""
    from gatecast.data.store import read_json
    from gatecast.flows.judging.evaluation import MODEL
    from gatecast.flows.judging.tables import score_table

    evaluated = result["evaluate"]
    forecasts = result["forecast"]
    trained = result["train"]
    evaluation = read_json(Path(evaluated["evaluation"]))
    title = f"Test period {evaluation['first']} to {evaluation['last']}, in {evaluation['unit']}"
    print_scores(score_table(evaluation), title, bold=evaluation["labels"][MODEL])
    say(evaluation["verdict"])
    for sentence in (evaluation["season"]["sentence"], *evaluation["notes"]):
        say(sentence)
    print_times(result["steps"], seconds, trained["milliseconds_per_step"])
    if forecasts is not None:
        console().print("\n[bold]Forecast[/bold]")
        for sentence in forecasts["sentences"]:
            say(f"  {sentence}")
    if result["promote"]["alarming"]:
        warn(result["promote"]["summary"])
    print_paths(
        {
            "model": result["checkpoint"]["path"],
            "picture": evaluated["picture"],
            "loss curves": evaluated["losses"],
            **({"attention": evaluated["attention"]} if "attention" in evaluated else {}),
            "scores": evaluated["evaluation"],
            "test forecasts": evaluated["predictions"],
            **({"forecast": forecasts["path"]} if forecasts is not None else {}),
            "report": result["publish"]["report"],
        }
    )
    name = result["settings"]["name"]
    print_next(f"forecast --name {name}" if forecasts is not None else f"models show {name}")

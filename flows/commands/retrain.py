"""``gatecast retrain``: the main job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.data_options import DAY, DataOptions
from flows.commands.fleet import retrain_fleet
from flows.commands.options import day, given, takes
from flows.terminal import command_line, console, explained, print_next, print_paths, print_scores, print_times, say

if TYPE_CHECKING:
    from flows.settings import RetrainSettings

FORECAST, MODEL, RUN = "What to forecast", "Model and training", "This run"
FLEET = "Many models"
PROMOTION = "Promotion: what a new version has to show"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(DataOptions):
    """Data, target and model; None stands for the default of `flows.settings.RetrainSettings`."""

    target: Annotated[
        str | None,
        typer.Option(
            help="range (the next day's volatility), return or close; a file of series has its own: y.",
            show_default="range",
            rich_help_panel=FORECAST,
        ),
    ] = None
    features: Annotated[
        str | None,
        typer.Option(
            help="What the model sees besides: returns (log return, volume, range), slides (close, volume, high - low)"
            " or none.",
            show_default="returns",
            rich_help_panel=FORECAST,
        ),
    ] = None
    horizon: Annotated[
        int | None, typer.Option(help="Steps ahead, all at once.", show_default="1", rich_help_panel=FORECAST)
    ] = None
    lookback: Annotated[
        int | None, typer.Option(help="Past rows the model sees.", show_default="60", rich_help_panel=MODEL)
    ] = None
    hidden_size: Annotated[
        int | None, typer.Option(help="Units of the LSTM.", show_default="32", rich_help_panel=MODEL)
    ] = None
    num_layers: Annotated[
        int | None,
        typer.Option("--num-layers", "--layers", help="LSTM layers.", show_default="1", rich_help_panel=MODEL),
    ] = None
    bidirectional: Annotated[
        bool | None,
        typer.Option(
            "--bidirectional",
            help="Read each window from both ends.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None
    residual: Annotated[
        bool | None,
        typer.Option(
            "--residual",
            help="Add to each layer's output what it read; for --layers 3 and more.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None
    layer_norm: Annotated[
        bool | None,
        typer.Option(
            "--layer-norm",
            help="Normalise what each layer reads, from the second layer on.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None
    attention: Annotated[
        str | None,
        typer.Option(
            help="Let the last step look back over all of them, by this score: dot, general or additive.",
            show_default="none",
            rich_help_panel=MODEL,
        ),
    ] = None
    attention_heads: Annotated[
        int | None,
        typer.Option(
            "--attention-heads",
            "--heads",
            help="Parts of the hidden state that attend each on its own.",
            show_default="1",
            rich_help_panel=MODEL,
        ),
    ] = None
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of what a layer hands on, to the next or to the output, that is dropped in training.",
            show_default="0",
            rich_help_panel=MODEL,
        ),
    ] = None
    recurrent_dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of the hidden state that is dropped between steps.",
            show_default="0",
            rich_help_panel=MODEL,
        ),
    ] = None
    input_dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of the inputs that is dropped.",
            show_default="0",
            rich_help_panel=MODEL,
        ),
    ] = None
    weight_dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of the recurrent weights that is dropped.",
            show_default="0",
            rich_help_panel=MODEL,
        ),
    ] = None
    dropout_kind: Annotated[
        str | None,
        typer.Option(
            help="variational (one mask for all steps of a window) or per_step.",
            show_default="variational",
            rich_help_panel=MODEL,
        ),
    ] = None
    learning_rate: Annotated[
        float | None, typer.Option(help="Step size of Adam.", show_default="0.001", rich_help_panel=MODEL)
    ] = None
    batch_size: Annotated[
        int | None, typer.Option(help="Windows of one step.", show_default="64", rich_help_panel=MODEL)
    ] = None
    stateful: Annotated[
        bool | None,
        typer.Option(
            "--stateful",
            help="Carry the state along each series from batch to batch and learn from every step: many times faster"
            " an epoch; --learning-rate 0.01 suits it.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the data at most; training stops when validation gets no better.",
            show_default="30",
            rich_help_panel=MODEL,
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same bits.", show_default="0", rich_help_panel=MODEL)
    ] = None
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model.", show_default="data and target, as sample-range", rich_help_panel=RUN),
    ] = None

    def training(self) -> dict[str, Any]:
        """Return the fields of `RetrainSettings` that these options decide."""
        from lstm.config import ForecasterSettings

        model = {name: getattr(self, name) for name in ForecasterSettings.model_fields if hasattr(self, name)}
        return {
            **given(name=self.name, target=self.target, features=self.features),
            "data": self.data_settings(),
            "model": ForecasterSettings(**given(**model, max_epochs=self.epochs)),
        }


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(TrainingOptions):
    """The options of ``gatecast retrain``."""

    train_end: Annotated[
        datetime | None,
        typer.Option(
            formats=DAY,
            metavar="DATE",
            help="Last day of training; give --validation-end too.",
            show_default="70 % of the time; sample: 2011-12-31",
            rich_help_panel=MODEL,
        ),
    ] = None
    validation_end: Annotated[
        datetime | None,
        typer.Option(
            formats=DAY,
            metavar="DATE",
            help="Last day of validation; the rest is the test period.",
            show_default="80 % of the time; sample: 2013-12-31",
            rich_help_panel=MODEL,
        ),
    ] = None
    minimum_gain: Annotated[
        float | None,
        typer.Option(
            help="Share of the champion's RMSE to take away, as 0.01.",
            show_default="0: not be worse",
            rich_help_panel=PROMOTION,
        ),
    ] = None
    gate_test: Annotated[
        str | None,
        typer.Option(
            help="Test that the gain is no luck: diebold-mariano, bootstrap or none.",
            show_default="none",
            rich_help_panel=PROMOTION,
        ),
    ] = None
    significance: Annotated[
        float | None,
        typer.Option(help="p-value to stay below in that test.", show_default="0.05", rich_help_panel=PROMOTION),
    ] = None
    symbols_file: Annotated[
        Path | None,
        typer.Option(
            help="File with one model a line, its series as A,B: trains them all, side by side.",
            show_default=False,
            rich_help_panel=FLEET,
        ),
    ] = None
    runner: Annotated[
        str | None,
        typer.Option(
            help="Where they are trained: processes, threads, dask or ray.",
            show_default="processes",
            rich_help_panel=FLEET,
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(help="Models at the same time.", show_default="the cores", rich_help_panel=FLEET),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of the Dask scheduler or Ray head, with the workspace on a disk that all its workers share.",
            show_default="one on this machine",
            rich_help_panel=FLEET,
        ),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Run every step, even where nothing has changed.", rich_help_panel=RUN)
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.", rich_help_panel=RUN)
    ] = False

    def settings(self) -> RetrainSettings:
        """Return the settings of the run."""
        from data.splits import SplitSettings
        from flows.settings import RetrainSettings

        split = given(train_end=day(self.train_end), validation_end=day(self.validation_end))
        gate = given(minimum_gain=self.minimum_gain, test=self.gate_test, significance=self.significance)
        more = {"split": SplitSettings(**split) if split else None, "gate": gate}
        return RetrainSettings.model_validate({**self.training(), **more})


@takes(RetrainOptions)
def retrain(options: RetrainOptions) -> None:
    """Train, evaluate, promote and forecast: the whole job.

    Reads the data, trains an LSTM, compares it with naive forecasts on a test period it has never seen, makes it the
    champion if it is not worse than the present one, and forecasts what comes next. Steps for which nothing has changed
    are answered from cache.

    With --symbols-file, does so for many models at once, and goes on when some fail.
    """
    started = time.perf_counter()
    with explained(options.debug, after_interrupt=f"to go on where it stopped: {command_line('--resume')}"):
        options.prepare()
        if options.symbols_file is not None:
            retrain_fleet(options)
            return
        settings = options.settings()
        with console(stderr=True).status("Starting Prefect"):
            from flows.orchestration import start_embedded_server
            from flows.retrain import retrain as flow

            start_embedded_server()
        result = flow(settings, resume=options.resume, force=options.force)
        show(result, time.perf_counter() - started)


def show(result: Mapping[str, Any], seconds: float) -> None:
    """Print the closing tables: scores beside baselines, seconds per step, what was written, what to type next."""
    from data.store import read_json
    from flows.report import score_table

    evaluated, forecasts, trained = result["evaluate"], result["forecast"], result["train"]
    evaluation = read_json(Path(evaluated["evaluation"]))
    title = f"Test period {evaluation['first']} to {evaluation['last']}, in {evaluation['unit']}"
    print_scores(score_table(evaluation["scores"]), title)
    say(evaluation["verdict"])
    print_times(result["steps"], seconds, trained["milliseconds_per_step"])
    console().print("\n[bold]Forecast[/bold]")
    for sentence in forecasts["sentences"]:
        say(f"  {sentence}")
    print_paths(
        {
            "model": result["checkpoint"]["path"],
            "picture": evaluated["picture"],
            "loss curves": evaluated["losses"],
            **({"attention": evaluated["attention"]} if "attention" in evaluated else {}),
            "scores": evaluated["evaluation"],
            "test forecasts": evaluated["predictions"],
            "forecast": forecasts["path"],
            "report": result["publish"]["report"],
        }
    )
    print_next(f"forecast --name {result['settings']['name']}")

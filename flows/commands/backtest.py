"""``gatecast backtest``: what a schedule of retrains would have forecast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import CommonOptions, given, takes
from flows.commands.retrain import RUN, TrainingOptions
from flows.terminal import (
    console,
    explained,
    figure,
    print_next,
    print_paths,
    print_scores,
    print_table,
    print_times,
    say,
)

if TYPE_CHECKING:
    from flows.settings import BacktestSettings

ORIGINS = "Origins"


@dataclass(frozen=True, kw_only=True)
class BacktestOptions(TrainingOptions):
    """The options of ``gatecast backtest``; None stands for the default of `flows.settings.BacktestSettings`."""

    windows: Annotated[
        int | None,
        typer.Option(
            "--windows", "--n-windows", help="Origins to forecast from.", show_default="120", rich_help_panel=ORIGINS
        ),
    ] = None
    step: Annotated[
        int | None,
        typer.Option(
            "--step", "--step-size", help="Rows from one origin to the next.", show_default="1", rich_help_panel=ORIGINS
        ),
    ] = None
    refit: Annotated[
        int | None,
        typer.Option(
            help="Train anew after so many origins; 0 takes the champion as it is, on rows it has not seen.",
            show_default="30",
            rich_help_panel=ORIGINS,
        ),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Run every step, even where nothing has changed.", rich_help_panel=RUN)
    ] = False

    def settings(self) -> BacktestSettings:
        """Return the settings of the run; with only the name of a model, those its champion was trained with.

        Raises
        ------
        InputError
            Only a name is given, and no trained model has it: the sample's scores would be filed under a typing error.
        """
        from flows.settings import BacktestSettings, Workspace

        origins = given(n_windows=self.windows, step_size=self.step, refit=self.refit)
        if self.name is None or not self._only_a_name():
            return BacktestSettings.model_validate({**self.training(), **origins})
        from flows.forecast import choose_model
        from flows.registry import Registry

        workspace = Workspace.from_environment()
        registry = Registry(workspace.models / choose_model(workspace, self.name))
        return BacktestSettings.model_validate({**dict(registry.settings(str(registry.champion()))), **origins})

    def _only_a_name(self) -> bool:
        own = {field.name for field in fields(BacktestOptions)} - {field.name for field in fields(TrainingOptions)}
        aside = own | {field.name for field in fields(CommonOptions)} | {"name"}
        return replace(self, **{name: getattr(BacktestOptions(), name) for name in aside}) == BacktestOptions()


@takes(BacktestOptions)
def backtest(options: BacktestOptions) -> None:
    """Forecast from many past origins, each with what was known then, and score beside the naive forecasts.

    Trains anew as the origins move on, as the nightly schedule would have done. With --name alone, data and settings
    are those of that model's champion; other options are as for retrain.
    """
    started = time.perf_counter()
    with explained(options.debug):
        options.prepare()
        with console(stderr=True).status("Starting Prefect"):
            settings = options.settings()
            from flows.backtest import backtest as flow
            from flows.orchestration import start_embedded_server

            start_embedded_server()
        show(flow(settings, force=options.force), time.perf_counter() - started)


def show(result: Mapping[str, Any], seconds: float) -> None:
    """Print scores beside baselines, the course over time, what was written and what to type next."""
    from flows.backtest import read_evaluation
    from flows.report import score_table

    evaluation = read_evaluation(dict(result))
    title = f"Rolling origins {evaluation['first']} to {evaluation['last']}, in {evaluation['unit']}"
    print_scores(score_table(evaluation["scores"]), title)
    say(evaluation["verdict"])
    periods = [
        {
            "from": period["first"],
            "to": period["last"],
            "origins": str(period["origins"]),
            "RMSE": figure(period["rmse"]),
            "naive": figure(period["naive_rmse"]),
            "skill": figure(period["skill"], "+.1%"),
        }
        for period in evaluation["periods"]
    ]
    print_table(periods, "Between one training and the next", right=("origins", "RMSE", "naive", "skill"))
    print_times(result["steps"], seconds, None)
    print_paths(
        {
            "forecasts": result["roll"]["predictions"],
            "picture": result["score"]["picture"],
            "scores": result["score"]["evaluation"],
        }
    )
    print_next(f"models show {result['settings']['name']}" if not result["settings"]["refit"] else "retrain --help")

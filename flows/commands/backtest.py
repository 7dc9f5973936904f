"""``gatecast backtest``: what a schedule of retrains would have forecast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatecast.flows.commands.options import RunOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import (
    explained,
    figure,
    print_next,
    print_paths,
    print_scores,
    print_table,
    print_times,
    say,
)
from gatecast.flows.settings.runs import BacktestSettings


@dataclass(frozen=True, kw_only=True)
class BacktestOptions(RunOptions):
    """The options of ``gatecast backtest``: nothing is promoted, and the training data ends at each origin.

    There is no warm start, since the champion has seen what comes after the origins.
    """

    rolling: Typed[BacktestSettings] = Typed(
        BacktestSettings,
        without=("gate", "warm_start", "split.train_end", "split.validation_end", "split.test_fraction"),
    )


@takes(BacktestOptions)
def backtest(options: BacktestOptions) -> None:
    """Forecast from many past origins, each with what was known then, and rank models and baselines.

    Trains again as the origins move on, as the nightly schedule would have done. With --name alone, data and settings
    are those of that model's champion; with --models, several models or versions are held against each other on the
    data of the first. Other options are as for retrain.
    """
    started = time.perf_counter()
    with explained(options.debug):
        options.prepare()
        settings = options.rolling.settings()
        with starting_prefect(settings.data.path):
            from gatecast.flows.backtest import backtest as flow
            from gatecast.flows.backtest import of_champion
            from gatecast.flows.settings.workspace import Workspace

            settings = of_champion(settings, Workspace.from_environment())
        show(flow(settings, force=options.force), time.perf_counter() - started)


def show(result: Mapping[str, Any], seconds: float) -> None:
    """Print scores next to those of the baselines, the course over time, what was written and what to type next."""
    from gatecast.flows.backtest import read_evaluation
    from gatecast.flows.judging.tables import score_table

    evaluation = read_evaluation(dict(result))
    title = f"Rolling origins {evaluation['first']} to {evaluation['last']}, in {evaluation['unit']}"
    labels = evaluation["labels"]
    print_scores(score_table(evaluation), title, bold=labels[evaluation["judged"]["model"]])
    say(evaluation["verdict"])
    for sentence in (evaluation["season"]["sentence"], *evaluation["notes"]):
        say(sentence)
    best = evaluation["judged"]["best_label"]
    periods = [
        {
            "from": period["first"],
            "to": period["last"],
            "origins": str(period["origins"]),
            "RMSE": figure(period["rmse"]),
            best: figure(period["best_rmse"]),
            "skill": figure(period["skill"], "+.1%"),
        }
        for period in evaluation["periods"]
    ]
    print_table(periods, "Between one training and the next", right=("origins", "RMSE", best, "skill"))
    print_times(result["steps"], seconds, None)
    print_paths(
        {
            "forecasts": result["roll"]["predictions"],
            "picture": result["score"]["picture"],
            "scores": result["score"]["evaluation"],
        }
    )
    print_next(f"models show {result['settings']['name']}" if not result["settings"]["refit"] else "retrain --help")

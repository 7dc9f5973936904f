"""The `gatecast` command: lists the sub-commands and imports only the one that is typed."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

MARKUP: Literal["rich"] = "rich"
EXAMPLES = """Examples:

gatecast retrain   (the sample)

gatecast retrain --target close --symbols sp500 --start 2005-01-01

gatecast retrain --source yahoo --symbols AAPL,^GSPC --start 2010-01-01

gatecast retrain --path prices.csv --horizon 5 --epochs 50

gatecast retrain --path load.parquet --lookback 168 --name town-load
"""


@dataclass(frozen=True)
class Entry:
    """A sub-command, as the list of them shows it.

    Attributes
    ----------
    place : str
        Module and name of what Typer makes it from: a function, or a Typer for a group of commands.
    summary : str
        First paragraph of its help; it is repeated here, so that the list imports nothing.
    epilog : str or None
        End of its help.
    """

    place: str
    summary: str
    epilog: str | None = None

    def load(self, name: str) -> TyperCommand | TyperGroup:
        """Import the sub-command and return what runs it."""
        module, attribute = self.place.split(":")
        command = getattr(import_module(module), attribute)
        home = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
        home.callback()(gatecast)
        if isinstance(command, typer.Typer):
            home.add_typer(command, name=name)
        else:
            home.command(name, epilog=self.epilog)(command)
        return get_group(home).commands[name]  # type: ignore[return-value]


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "retrain": Entry(
            "gatecast.flows.commands.retrain:retrain", "Train, evaluate, promote and forecast: the whole job.", EXAMPLES
        ),
        "forecast": Entry("gatecast.flows.commands.forecast:forecast", "Forecast with a model's champion."),
        "backtest": Entry(
            "gatecast.flows.commands.backtest:backtest",
            "Forecast from many past origins, each with what was known then, and rank models and baselines.",
        ),
        "monitor": Entry(
            "gatecast.flows.commands.monitor:monitor",
            "Score the forecasts on file against what came, and look for drift in data and errors.",
        ),
        "export": Entry("gatecast.flows.commands.export:export", "Write a model for ONNX Runtime or torch."),
        "fetch": Entry(
            "gatecast.flows.commands.fetch:fetch", "Fetch data and show what they hold: rows, range, gaps, problems."
        ),
        "data": Entry(
            "gatecast.flows.commands.data:app", "Look at data: check a file before anything is trained on it."
        ),
        "models": Entry(
            "gatecast.flows.commands.models:models",
            "See, compare, promote, pin, roll back and prune the versions of models.",
        ),
        "text": Entry(
            "gatecast.flows.commands.text:app", "Language models: train one on text files, evaluate it, let it write."
        ),
        "tag": Entry(
            "gatecast.flows.commands.tag:tag",
            "Tag the words of sentences: names of people and places, parts of speech.",
        ),
        "serve": Entry("gatecast.flows.commands.serve:serve", "Serve the dashboard and run what is due."),
        "run": Entry("gatecast.flows.commands.run:run", "Start a deployment now, on the dashboard that serves it."),
        "workspace": Entry(
            "gatecast.flows.commands.workspace:app",
            "Check, back up and restore the workspace: everything that Gatecast has stored.",
        ),
        "clean": Entry(
            "gatecast.flows.commands.clean:clean", "Remove old versions, reports, data, trainings and runs."
        ),
        "doctor": Entry(
            "gatecast.flows.commands.doctor:doctor",
            "Look at the installation: versions, processor, kernels, workspace and Prefect's server.",
        ),
    }
)


class Later(TyperCommand):
    """A sub-command that is imported only when it runs or prints its help."""

    def __init__(self, name: str, entry: Entry):
        super().__init__(name, help=entry.summary)
        self.entry = entry

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Return the context of the imported sub-command, in which Click then runs it."""
        return self.entry.load(str(self.name)).make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """The sub-commands, none of them imported."""

    def __init__(self, **settings: Any):
        super().__init__(**settings | {"commands": {name: Later(name, entry) for name, entry in ENTRIES.items()}})


app = typer.Typer(
    name="gatecast",
    cls=Commands,
    help="LSTM forecasts that retrain themselves, on an ordinary CPU machine, without a deep-learning framework.",
    epilog="Start with: gatecast retrain   (two stock indices that ship with Gatecast; takes about half a minute)",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def gatecast() -> None:
    """Do nothing: Typer needs at least one function to make a group of sub-commands."""


def main() -> None:
    """Run the command line."""
    # What a command imports stays in use: a collector that scans it every 700 objects makes the help 5 % slower.
    gc.set_threshold(100_000)
    try:
        app()
    finally:
        # The process ends here, and the collector would scan everything once more to no purpose, since the files that
        # commands write are closed where they are written.
        gc.freeze()


if __name__ == "__main__":
    main()

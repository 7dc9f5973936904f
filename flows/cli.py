"""The `gatecast` command: mounts the sub-commands and nothing else."""

from __future__ import annotations

import gc

import typer

from flows.commands.backtest import backtest
from flows.commands.data import app as data
from flows.commands.doctor import doctor
from flows.commands.export import export
from flows.commands.fetch import fetch
from flows.commands.forecast import forecast
from flows.commands.models import models
from flows.commands.monitor import monitor
from flows.commands.retrain import retrain
from flows.commands.run import run
from flows.commands.serve import serve
from flows.commands.tag import tag
from flows.commands.text import app as text

EXAMPLES = """Examples:

gatecast retrain   (the sample)

gatecast retrain --target close --symbols sp500 --start 2005-01-01

gatecast retrain --source yahoo --symbols AAPL,^GSPC --start 2010-01-01

gatecast retrain --path prices.csv --horizon 5 --epochs 50

gatecast retrain --path load.parquet --lookback 168 --name town-load
"""

app = typer.Typer(
    name="gatecast",
    help="LSTM forecasts that retrain themselves, on an ordinary CPU machine, without a deep-learning framework.",
    epilog="Start with: gatecast retrain   (two stock indices that ship with Gatecast; takes about half a minute)",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=EXAMPLES)(retrain)
app.command()(forecast)
app.command()(backtest)
app.command()(monitor)
app.command()(export)
app.command()(fetch)
app.add_typer(data, name="data")
app.add_typer(models)
app.add_typer(text)
app.add_typer(tag)
app.command()(serve)
app.command()(run)
app.command()(doctor)


@app.callback()
def gatecast() -> None:
    """Make the sub-commands sub-commands, even if there were only one."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    finally:
        # The process ends here, and the collector would go through all it holds once more: for nothing, since what
        # commands write is closed where it is written.
        gc.freeze()


if __name__ == "__main__":
    main()

"""``gatecast fetch``: bring the workspace's data up to date, and show what they hold."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from gatecast.flows.commands.options import CommonOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.command_line import CommandLine
from gatecast.flows.engine.terminal import explained, print_next, print_paths
from gatecast.flows.settings.data import DataSettings


@dataclass(frozen=True, kw_only=True)
class FetchOptions(CommonOptions):
    """The options of ``gatecast fetch``."""

    data: Typed[DataSettings] = Typed(DataSettings)


@takes(FetchOptions)
def fetch(options: FetchOptions) -> None:
    """Fetch data and show what they hold: rows, range, gaps, problems.

    From yahoo only what is new since the last time is fetched; if that fails, the last good rows stay. Wrong rows are
    kept in the workspace's quarantine.
    """
    with explained(options.debug, after_interrupt="what was fetched is kept; run it again to go on"):
        options.prepare()
        settings = options.data.settings()
        with starting_prefect(settings.path):
            from gatecast.flows.commands.series_table import print_series
            from gatecast.flows.ingest import ingest_data
        result = ingest_data(settings)
        print_series(result["series"], f"{settings.description}: {result['summary']}")
        written = {"data": result["directory"], "quarantine": result["quarantine"]}
        print_paths({name: path for name, path in written.items() if path})
        # The next command is given the workspace anyway.
        typed = CommandLine.typed().without("--workspace").words
        print_next(shlex.join(["retrain", *typed[1:]]))

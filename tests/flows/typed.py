"""The options of a command, as Typer parses them from what a person types."""

from __future__ import annotations

from typing import TypeVar

import typer
from typer.testing import CliRunner

from gatecast.flows.commands.options import takes

Options = TypeVar("Options")


def parsed(options: type[Options], *arguments: str) -> Options:
    """Return the options of a command that is typed with these arguments."""
    seen: list[Options] = []

    def command(given: Options) -> None:
        seen.append(given)

    app = typer.Typer(add_completion=False)
    app.command()(takes(options)(command))
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return seen[0]

"""What the commands share: their common options, and the form in which a command declares its own."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from flows.login import take_login_out_of_address

Options = TypeVar("Options")

WHERE, TROUBLE = "Where", "When something goes wrong"


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The options of every command."""

    workspace: Annotated[
        Path | None,
        typer.Option(
            help="Folder for everything that is written, models and forecasts included.",
            show_default="$GATECAST_HOME, else ./workspace",
            rich_help_panel=WHERE,
        ),
    ] = None
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show Prefect's own lines too.", rich_help_panel=TROUBLE)
    ] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=TROUBLE)] = (
        False
    )

    def prepare(self) -> None:
        """Set the environment that the workspace and Prefect read; comes before anything imports prefect."""
        take_login_out_of_address()
        if self.workspace is not None:
            os.environ["GATECAST_HOME"] = str(self.workspace)
        if self.verbose:
            os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"


@dataclass(frozen=True, kw_only=True)
class ChampionOptions(CommonOptions):
    """The options of a command that puts a champion to work."""

    name: Annotated[str | None, typer.Option(help="Name of the model.", show_default="the only one there is")] = None
    path: Annotated[
        Path | None,
        typer.Option(
            help="Newer data, .csv or .parquet, of the form the model was trained on.", show_default="as it was trained"
        ),
    ] = None


def takes(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Let Typer see the fields of a dataclass as the options of a command that takes one of it."""

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        """Give `command` the signature that Typer reads."""

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(options(**values))

        common = {field.name for field in fields(CommonOptions)}
        hints = get_type_hints(options, include_extras=True)
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.default is MISSING else field.default,
                    annotation=hints[field.name],
                )
                # What every command has comes last in its help.
                for field in sorted(fields(options), key=lambda field: field.name in common)  # type: ignore[arg-type]
            ]
        )
        run.__annotations__ = hints
        # Typer keeps line breaks; the terminal's width is not the source's.
        paragraphs = (inspect.getdoc(command) or "").split("\n\n")
        run.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        return run

    return decorate


def day(moment: datetime | None) -> date | None:
    """Return the day of a timestamp that Typer parsed."""
    return moment.date() if moment else None


def names(text: str | None) -> tuple[str, ...] | None:
    """Split a list such as ``A,B``; an empty one stays empty, for the data to refuse."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",")) if text.strip() else ()


def given(**values: Any) -> dict[str, Any]:
    """Keep the options that were typed."""
    return {name: value for name, value in values.items() if value is not None}

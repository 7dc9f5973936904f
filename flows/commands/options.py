"""What the commands share: their common options, and the way in which a command declares its own."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

import typer
from pydantic import BaseModel, ValidationError

from gatecast.data.errors import InputError
from gatecast.data.settings import first_problem
from gatecast.flows.commands.setting import Setting, options_by_name, settings_in
from gatecast.flows.engine.command_line import CommandLine
from gatecast.flows.engine.login import take_login_out_of_address
from gatecast.flows.engine.terminal import console, explain_settings, explained
from gatecast.flows.settings.locations import require_there

Options = TypeVar("Options")
Model = TypeVar("Model", bound=BaseModel)

RUN = "This run"
WHERE = "Where"
TROUBLE = "When something goes wrong"
_LAST_PANELS = (RUN, WHERE, TROUBLE)


@dataclass(frozen=True)
class Typed(Generic[Model]):
    """The settings of a model that were typed; as the default of a command's field, the options that can be typed.

    Attributes
    ----------
    model : type
        The settings model. Each of its settings is an option; see `flows.commands.setting`.
    only, without : tuple of str
        Dotted names of the settings that the command has, and of those that it does not have.
    values : mapping
        What was typed, nested as the model is.
    """

    model: type[Model]
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def of(self, **values: Any) -> Typed[Model]:
        """Return a copy with further values."""
        return replace(self, values={**self.values, **values})

    def settings(self) -> Model:
        """Return the settings; those that were not typed have their defaults.

        Raises
        ------
        InputError
            A value is not allowed, or some values do not go together.
        """
        try:
            return self.model.model_validate(self.values)
        except ValidationError as error:
            spellings = {setting.path: setting.spellings for setting in self.options if not setting.is_argument}
            raise InputError(explain_settings(first_problem(error), spellings)) from None

    @cached_property
    def options(self) -> tuple[Setting, ...]:
        """The settings that can be typed."""
        return settings_in(self.model, only=self.only, without=self.without)

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Yield the parameters that Typer makes the options from."""
        options = options_by_name(self.options)
        for setting in self.options:
            yield setting.parameter(options)

    def parsed(self, values: dict[str, Any]) -> Typed[Model]:
        """Return a copy with what Typer has parsed; its settings are taken out of `values`."""
        typed: dict[str, Any] = {}
        for setting in self.options:
            value = values.pop(setting.key)
            if value is None:
                continue
            nested = typed
            for name in setting.path[:-1]:
                nested = nested.setdefault(name, {})
            nested[setting.path[-1]] = setting.value(value)
        return self.of(**typed)


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
        """Set the environment that the workspace and Prefect read; call it before anything imports prefect."""
        take_login_out_of_address()
        if self.workspace is not None:
            os.environ["GATECAST_HOME"] = str(self.workspace)
        if self.verbose:
            os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"


@dataclass(frozen=True, kw_only=True)
class RunOptions(CommonOptions):
    """The options of a command whose steps are answered from cache."""

    force: Annotated[
        bool, typer.Option("--force", help="Run every step, even where nothing has changed.", rich_help_panel=RUN)
    ] = False


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(RunOptions):
    """The options of a command that trains a model."""

    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.", rich_help_panel=RUN)
    ] = False

    @contextmanager
    def training(self) -> Iterator[float]:
        """Prepare the command and yield when it began; errors are explained, and Ctrl-C says how to go on."""
        started = time.perf_counter()
        resumed = CommandLine.typed().adding("--resume")
        with explained(self.debug, after_interrupt=f"to go on where it stopped: {resumed}"):
            self.prepare()
            yield started


@contextmanager
def starting_prefect(*reads: str | Path | None) -> Iterator[None]:
    """Say that Prefect starts while the block imports a flow, and then start its server.

    What the command reads has to be there: a wrong path is told at once.
    """
    require_there(*reads)
    with console(stderr=True).status("Starting Prefect"):
        from gatecast.flows.engine.orchestration import start_embedded_server

        yield
        start_embedded_server()


def takes(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Let Typer see the fields of a dataclass as the options of a command that takes an instance of it.

    A field whose default is `Typed` stands for all the options of a settings model.
    """

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        """Give `command` the signature that Typer reads."""

        @functools.wraps(command)
        def run(**values: Any) -> None:
            typed = {name: default.parsed(values) for name, default in _typed(options).items()}
            command(options(**values, **typed))

        parameters = sorted(_parameters(options), key=_place_of_panel)
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        # Typer keeps line breaks; the terminal's width is not the source's.
        paragraphs = (inspect.getdoc(command) or "").split("\n\n")
        run.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        return run

    return decorate


def _typed(options: type) -> dict[str, Typed[Any]]:
    return {each.name: each.default for each in fields(options) if isinstance(each.default, Typed)}


def _parameters(options: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    typed = _typed(options)
    for each in fields(options):
        if each.name in typed:
            yield from typed[each.name].parameters()
            continue
        default = inspect.Parameter.empty if each.default is MISSING else each.default
        yield inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[each.name])


def _place_of_panel(parameter: inspect.Parameter) -> int:
    """Return a parameter's position in the help: what identifies the run, and what every command has, come last."""
    panel = parameter.annotation.__metadata__[0].rich_help_panel
    return _LAST_PANELS.index(panel) + 1 if panel in _LAST_PANELS else 0

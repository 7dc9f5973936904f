"""Choosing the champion by hand: ``gatecast models promote``, ``rollback``, ``pin`` and ``unpin``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.terminal import explained, print_next, print_paths, say

if TYPE_CHECKING:
    from gatecast.flows.registry.registry import Registry

NAME = typer.Argument(help="Name of the model; 'gatecast models list' shows them.", show_default=False)
VERSION_HELP = "its name, its number or 'champion'"


@dataclass(frozen=True, kw_only=True)
class ModelOptions(CommonOptions):
    """The options of a command about one model."""

    name: Annotated[str, NAME]

    def registry(self) -> Registry:
        """Return the registry of the model, which must exist."""
        from gatecast.flows.registry.catalogue import find_registry
        from gatecast.flows.settings.workspace import Workspace

        return find_registry(Workspace.from_environment(), self.name)


def use(registry: Registry) -> str:
    """Return the command that uses a model."""
    kind = registry.kind()
    return f"{kind.used_by} --name {registry.name}" if kind and kind.used_by else f"models show {registry.name}"


@dataclass(frozen=True, kw_only=True)
class PromoteOptions(ModelOptions):
    """The options of ``gatecast models promote``."""

    version: Annotated[str, typer.Argument(help="Its name or its number.", show_default=False)]
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "chosen by hand"


@takes(PromoteOptions)
def promote(options: PromoteOptions) -> None:
    """Make a version the champion, whatever the gate of a retrain would decide."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from gatecast.flows.judging import promotion

        print_decision(registry, promotion.promote(registry, registry.find(options.version), options.reason).reason)


@dataclass(frozen=True, kw_only=True)
class RollbackOptions(ModelOptions):
    """The options of ``gatecast models rollback``."""

    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "asked for by hand"


@takes(RollbackOptions)
def rollback(options: RollbackOptions) -> None:
    """Make the former champion the champion again, and pin it: trainings replace it only once it is unpinned."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from gatecast.flows.judging import promotion

        decision = promotion.roll_back(registry, options.reason, pinned=True)
        hint = f"Nothing replaces it until 'gatecast models unpin {registry.name}'."
        print_decision(registry, f"{decision.reason} {hint}")


def print_decision(registry: Registry, reason: str) -> None:
    """Say what was decided, where that is stored, and what to type next; the overview shows it."""
    from gatecast.flows.reporting.overview import write_overview

    say(reason)
    print_paths({"champion": str(registry.directory / "champion.json")})
    write_overview(registry.workspace)
    print_next(use(registry))


@dataclass(frozen=True, kw_only=True)
class PinOptions(ModelOptions):
    """The options of ``gatecast models pin``."""

    version: Annotated[str, typer.Argument(help=f"The version to keep: {VERSION_HELP}.", show_default=False)]
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "pinned by hand"


@takes(PinOptions)
def pin(options: PinOptions) -> None:
    """Make a version the champion and keep it: no training, monitor or rollback replaces it."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from gatecast.flows.judging import promotion

        print_decision(registry, promotion.pin(registry, registry.find(options.version), options.reason).reason)


@dataclass(frozen=True, kw_only=True)
class UnpinOptions(ModelOptions):
    """The options of ``gatecast models unpin``."""

    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "asked for by hand"


@takes(UnpinOptions)
def unpin(options: UnpinOptions) -> None:
    """Let trainings replace the pinned champion again, if what they make passes the gate."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from gatecast.flows.judging import promotion

        print_decision(registry, promotion.unpin(registry, options.reason).reason)

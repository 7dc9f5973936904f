"""``gatecast models``: the versions of each model, and which of them forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatecast.flows.commands.champions import VERSION_HELP, ModelOptions, pin, promote, rollback, unpin, use
from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.terminal import (
    INPUT_IS_WRONG,
    console,
    counted,
    explained,
    print_comparison,
    print_error,
    print_next,
    print_scores,
    print_table,
    say,
)

if TYPE_CHECKING:
    from gatecast.flows.judging.comparison import Contender
    from gatecast.flows.registry.kinds import ModelKind
    from gatecast.flows.registry.registry import Registry

SHOWN_VERSIONS = 20
NO_FACTS = dict.fromkeys(("version", "made", "data until", "parent", "score", "vs baseline"), "–")

models = typer.Typer(
    name="models", help="See, compare, promote, pin, roll back and prune the versions of models.", no_args_is_help=True
)


@models.command("list")
@takes(CommonOptions)
def list_models(options: CommonOptions) -> None:
    """List the models with their champions.

    Ends with exit status 2 if it is not on record which version is the champion.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError
        from gatecast.flows.registry import catalogue
        from gatecast.flows.registry.registry import Registry
        from gatecast.flows.settings.workspace import Workspace

        workspace = Workspace.from_environment()
        names = catalogue.models(workspace)
        if not names:
            raise InputError(
                f"{workspace.root} holds no trained model; run 'gatecast retrain' first or name another --workspace."
            )
        rows, damages, verdicts = zip(*(_of_model(Registry(workspace, name)) for name in names), strict=True)
        print_table(rows, f"Models in {workspace.root}", right=("versions", "vs baseline"))
        for name, verdict in zip(names, verdicts, strict=True):
            if verdict:
                say(f"Verdict on {name}: {verdict}")
        if any(damages):
            for damage in filter(None, damages):
                print_error(damage)
            raise typer.Exit(INPUT_IS_WRONG)
        print_next(f"models show {names[0]}")


def _of_model(registry: Registry) -> tuple[dict[str, str], str | None, str | None]:
    """Return the row of a model in the list; a sentence if its champion is not on record; its champion's verdict."""
    from gatecast.data.errors import InputError

    verdict = None
    try:
        present = registry.champion()
        facts = _facts(registry, present)
        damage = None
        with suppress(InputError):  # the facts say it
            verdict = registry.scores(present)[2] if present else None
    except InputError as error:
        facts = {**NO_FACTS, "version": "damaged"}
        damage = str(error)
    del facts["parent"]
    champion = facts.pop("version")
    versions = str(len(registry.versions()))
    return (
        {
            "model": registry.name,
            "kind": _called(registry),
            "versions": versions,
            "champion": f"{champion}, pinned" if registry.is_pinned() else champion,
            **facts,
        },
        damage,
        verdict,
    )


def _called(registry: Registry) -> str:
    """Return what people call a model of this kind; a dash if the kind cannot be read."""
    from gatecast.data.errors import FormatError

    try:
        kind = registry.kind()
    except FormatError:
        kind = None
    return kind.called if kind else "–"


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ModelOptions):
    """The options of ``gatecast models show``."""

    version: Annotated[
        str | None, typer.Argument(help=f"A version, for all about it: {VERSION_HELP}.", show_default="all of them")
    ] = None


@models.command()
@takes(ShowOptions)
def show(options: ShowOptions) -> None:
    """Show the versions of a model and the decisions about them, or one version with its lineage."""
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError

        registry = options.registry()
        if options.version is not None:
            _show_version(registry, registry.find(options.version))
            return
        champion = registry.champion()
        versions = registry.versions()
        rows = [
            {"": "*" if version == champion else "", **_facts(registry, version)}
            for version in versions[-SHOWN_VERSIONS:]
        ]
        more = f" (the last {SHOWN_VERSIONS} of {len(versions)})" if len(versions) > SHOWN_VERSIONS else ""
        pinned = registry.is_pinned()
        title = f"Versions of {registry.name}, * the champion{', pinned' if pinned else ''}{more}"
        print_table(rows, title, right=("vs baseline",))
        if pinned:
            say(f"Nothing replaces {champion} until 'gatecast models unpin {registry.name}'.")
        with suppress(InputError):  # the row of the champion says what is wrong with it
            if champion is not None:
                say(registry.scores(champion)[2])
        _print_decisions(registry.history()[-SHOWN_VERSIONS:])
        print_next(f"models show {registry.name} {(champion or versions[-1]).split('-')[0]}")


def _print_decisions(decisions: Sequence[Mapping[str, Any]]) -> None:
    if decisions:
        console().print("\n[bold]Decisions[/bold]")
    for entry in decisions:
        when = entry["decided_at"][:16].replace("T", " ")
        who = entry.get("action", "gate")
        say(f"  {when}  {who:<8}  {entry['reason']}")


@models.command()
@takes(ModelOptions)
def history(options: ModelOptions) -> None:
    """Show every decision about a model: what was promoted, refused, pinned and rolled back, and why."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        _print_decisions(registry.history())
        champion = registry.champion()
        pinned = ", and it is pinned" if registry.is_pinned() else ""
        console().print()
        say(
            f"The champion of {registry.name} is {champion}{pinned}."
            if champion
            else f"{registry.name} has no champion."
        )
        print_next(f"models show {registry.name}")


def _show_version(registry: Registry, version: str) -> None:
    from gatecast.flows.settings.runs import flat

    settings = registry.settings(version)
    lineage = registry.lineage(version)
    test_data, rows, verdict = registry.scores(version)
    title = f"{registry.name} {version}: {test_data}"
    if "series" in rows[0]:
        from gatecast.flows.judging.evaluation import LABELS, MODEL

        print_scores(rows, title, bold=LABELS[MODEL])
    else:
        print_comparison(rows, title)
    say(verdict)
    console().print("\n[bold]Lineage[/bold]")
    lineage = {
        "champion": f"yes{', pinned' if registry.is_pinned() else ''}" if version == registry.champion() else "no",
        "folder": registry.path(version),
        **lineage,
    }
    if (until := registry.learnt_by_copy(version)) is not None:
        lineage["forecasts"] = f"by a copy of it that has learnt all rows up to {until}"
    for name, value in lineage.items():
        say(f"  {name.replace('_', ' '):<14}{value or 'none'}")
    console().print("\n[bold]Settings[/bold]")
    for name, value in flat(settings.model_dump(mode="json")).items():
        say(f"  {name:<28}{'–' if value is None else value}")
    others = [other for other in registry.versions() if other != version]
    this = version.split("-")[0]
    print_next(f"models compare {registry.name} {others[-1].split('-')[0]} {this}" if others else use(registry))


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ModelOptions):
    """The options of ``gatecast models compare``."""

    first: Annotated[str, typer.Argument(help=f"A version: {VERSION_HELP}.", show_default=False)]
    second: Annotated[str, typer.Argument(help="Another version.", show_default=False)]
    path: Annotated[
        Path | None,
        typer.Option(
            help="Newer data, in the form that the model was trained on: .csv or .parquet, a text, a CoNLL file.",
            show_default="what the newer version was trained on",
        ),
    ] = None


@models.command()
@takes(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Score two versions on the same data, unseen by both: fresh rows, a text, tagged sentences."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from gatecast.data.errors import InputError

        known = registry.versions()
        first, second = sorted((registry.find(options.first), registry.find(options.second)), key=known.index)
        if first == second:
            raise InputError(f"{options.first} and {options.second} are the same version, {first}; name two.")
        kind = registry.kind_of(second)
        result = kind.compare(_contender(registry, first, kind), _contender(registry, second, kind), options.path)
        print_table(result.rows, f"{registry.name} on {result.on}", right=list(result.rows[0])[1:])
        luck = f"; {result.luck}" if result.luck else ""
        if result.p_value is not None:
            luck += " that it is no better (Diebold-Mariano, one-sided)"
        measure = result.measure
        difference = measure.difference(result.value, result.opponent)
        say(f"The {measure.name} of {second} is {difference} that of {first}{luck}.")
        if result.verdict:
            say(f"{second}: {result.verdict}")
        better = second if result.gain > 0 else first
        if better != registry.champion():
            print_next(f"models promote {registry.name} {better.split('-')[0]}")
        else:
            print_next(use(registry))


def _contender(registry: Registry, version: str, kind: ModelKind) -> Contender:
    from gatecast.flows.judging.comparison import Contender

    model = registry.model(version, kind)
    settings = registry.settings(version, kind)
    return Contender(version, model, settings, registry.data(version), registry.workspace)


for choose in (promote, rollback, pin, unpin):
    models.command()(choose)


@dataclass(frozen=True, kw_only=True)
class PruneOptions(ModelOptions):
    """The options of ``gatecast models prune``."""

    keep: Annotated[int, typer.Option(min=1, help="How many of the newest versions stay.")] = 10
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False


@models.command()
@takes(PruneOptions)
def prune(options: PruneOptions) -> None:
    """Remove old versions; the champion and the one before it always stay."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        doomed = registry.prunable(options.keep)
        if not doomed:
            say(f"{registry.name} has {counted(len(registry.versions()), 'version')}, and none to remove.")
            return
        say(f"To be removed from {registry.directory}:")
        for version in doomed:
            say(f"  {version}")
        if not options.yes and not typer.confirm(f"Remove {counted(len(doomed), 'version')} for good?"):
            console().print("Nothing was removed.")
            return
        with registry.locked():
            removed = registry.prune(options.keep)
        console().print(f"Removed {counted(len(removed), 'version')}; {len(registry.versions())} stay.")
        print_next(f"models show {registry.name}")


def _facts(registry: Registry, version: str | None) -> dict[str, str]:
    """Return what a table says about a version: its name, when it was made, from which data, and how it scored."""
    from gatecast.data.errors import FormatError, InputError

    if version is None:
        return {**NO_FACTS, "version": "none"}
    try:
        lineage = registry.lineage(version)
        figure = registry.figure(version)
        made = str(lineage.get("created_at", "–"))[:16].replace("T", " ")
    except (InputError, KeyError) as error:
        trouble = "of another Gatecast" if isinstance(error, FormatError) else "damaged"
        return {**NO_FACTS, "version": version, "made": f"{trouble}: {error}"[:60]}
    return {
        "version": version,
        "made": made,
        "data until": lineage.get("last", "–"),
        "parent": (lineage.get("parent") or "–").split("-")[0],
        "score": str(figure),
        "vs baseline": registry.gain(version),
    }

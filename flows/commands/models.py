"""``gatecast models``: the versions of each model, and which of them forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import CommonOptions, takes
from flows.terminal import (
    INPUT_IS_WRONG,
    console,
    counted,
    explained,
    figure,
    print_error,
    print_next,
    print_paths,
    print_table,
)

if TYPE_CHECKING:
    from flows.registry import Registry

NAME = typer.Argument(help="Name of the model; 'gatecast models list' shows them.", show_default=False)
VERSION_HELP = "its name, its number or 'champion'"
SHOWN_VERSIONS = 20
NO_FACTS = dict.fromkeys(("version", "made", "data until", "parent", "RMSE", "vs naive"), "–")

models = typer.Typer(
    name="models", help="See, compare, promote, roll back and prune the versions of models.", no_args_is_help=True
)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(CommonOptions):
    """The options of a command about one model."""

    name: Annotated[str, NAME]

    def registry(self) -> Registry:
        """Return the registry of the model, which has to be there."""
        from flows.registry import find_registry
        from flows.settings import Workspace

        return find_registry(Workspace.from_environment(), self.name)


@models.command("list")
@takes(CommonOptions)
def list_models(options: CommonOptions) -> None:
    """List the models with their champions.

    Ends with exit status 2 where it is not on record which version is the champion.
    """
    with explained(options.debug):
        options.prepare()
        from data.errors import InputError
        from flows import registry
        from flows.settings import Workspace

        workspace = Workspace.from_environment()
        names = registry.models(workspace)
        if not names:
            raise InputError(
                f"{workspace.root} holds no trained model; run 'gatecast retrain' first or name another --workspace."
            )
        rows, damages = zip(*(_of_model(registry.Registry(workspace.models / name)) for name in names), strict=True)
        print_table(rows, f"Models in {workspace.root}", right=("versions", "RMSE", "vs naive"))
        if any(damages):
            for damage in filter(None, damages):
                print_error(damage)
            raise typer.Exit(INPUT_IS_WRONG)
        print_next(f"models show {names[0]}")


def _of_model(registry: Registry) -> tuple[dict[str, str], str | None]:
    """Return the row of a model in the list and, where its champion is not on record, a sentence on that."""
    from data.errors import InputError

    try:
        facts, damage = _facts(registry, registry.champion()), None
    except InputError as error:
        facts, damage = {**NO_FACTS, "version": "damaged"}, str(error)
    del facts["parent"]
    champion = facts.pop("version")
    return {"model": registry.name, "versions": str(len(registry.versions())), "champion": champion, **facts}, damage


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
        registry = options.registry()
        if options.version is not None:
            _show_version(registry, registry.find(options.version))
            return
        champion, versions = registry.champion(), registry.versions()
        rows = [
            {"": "*" if version == champion else "", **_facts(registry, version)}
            for version in versions[-SHOWN_VERSIONS:]
        ]
        more = f" (the last {SHOWN_VERSIONS} of {len(versions)})" if len(versions) > SHOWN_VERSIONS else ""
        print_table(rows, f"Versions of {registry.name}, * the champion{more}", right=("RMSE", "vs naive"))
        decisions = registry.history()[-SHOWN_VERSIONS:]
        if decisions:
            console().print("\n[bold]Decisions[/bold]")
        for entry in decisions:
            when, who = entry["decided_at"][:16].replace("T", " "), entry.get("action", "gate")
            console().print(f"  {when}  {who:<8}  {entry['reason']}", markup=False)
        print_next(f"models show {registry.name} {(champion or versions[-1]).split('-')[0]}")


def _show_version(registry: Registry, version: str) -> None:
    from flows.report import score_table
    from flows.settings import flat
    from flows.terminal import print_scores

    settings, lineage, evaluation = registry.settings(version), registry.lineage(version), registry.evaluation(version)
    title = (
        f"{registry.name} {version}: test period {evaluation['first']} to {evaluation['last']}, {evaluation['unit']}"
    )
    print_scores(score_table(evaluation["scores"]), title)
    console().print(evaluation["verdict"], markup=False)
    console().print("\n[bold]Lineage[/bold]")
    lineage = {
        "champion": "yes" if version == registry.champion() else "no",
        "folder": registry.path(version),
        **lineage,
    }
    for name, value in lineage.items():
        console().print(f"  {name.replace('_', ' '):<14}{value or 'none'}", markup=False)
    console().print("\n[bold]Settings[/bold]")
    for name, value in flat(settings.to_dict()).items():
        console().print(f"  {name:<28}{'–' if value is None else value}", markup=False)
    others = [other for other in registry.versions() if other != version]
    this = version.split("-")[0]
    print_next(
        f"models compare {registry.name} {others[-1].split('-')[0]} {this}"
        if others
        else f"forecast --name {registry.name}"
    )


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ModelOptions):
    """The options of ``gatecast models compare``."""

    first: Annotated[str, typer.Argument(help=f"A version: {VERSION_HELP}.", show_default=False)]
    second: Annotated[str, typer.Argument(help="Another version.", show_default=False)]
    path: Annotated[
        Path | None,
        typer.Option(
            help="Newer data, .csv or .parquet, of the form the model was trained on.",
            show_default="what the newer version was trained on",
        ),
    ] = None


@models.command()
@takes(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Let two versions forecast the same fresh rows, which neither has seen, beside the naive forecast."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        first, second = registry.find(options.first), registry.find(options.second)
        from data.errors import InputError

        if first == second:
            raise InputError(f"{options.first} and {options.second} are the same version, {first}; name two.")
        from flows.comparison import compare_versions

        result = compare_versions(registry, first, second, _frame(registry, max(first, second), options.path))
        rows = [
            {
                "forecast": score["forecast"],
                "RMSE": figure(score["rmse"]),
                "MAE": figure(score["mae"]),
                "skill": figure(score["skill"], "+.1%"),
            }
            for score in result["scores"]
        ]
        title = (
            f"{registry.name} on {result['rows']:,} rows that neither has seen,"
            f" {result['first_day']} to {result['last_day']}, {result['unit']}"
        )
        print_table(rows, title, right=("RMSE", "MAE", "skill"))
        figures = result["figures"]
        how = "lower" if figures["gain"] > 0 else "higher"
        console().print(
            f"The RMSE of {second} is {abs(figures['gain']):.2%} {how} than that of {first};"
            f" p = {figures['p_value']:.2g} that it is no better (Diebold-Mariano, one-sided).",
            markup=False,
        )
        better = second if figures["gain"] > 0 else first
        if better != registry.champion():
            print_next(f"models promote {registry.name} {better.split('-')[0]}")
        else:
            print_next(f"forecast --name {registry.name}")


def _frame(registry: Registry, version: str, path: Path | None) -> Any:
    """Return the bars or series frame that the version was trained on, or what `path` holds."""
    from data.errors import InputError
    from flows.ingest import ingest, read_ingested
    from flows.settings import Workspace

    if path is None:
        try:
            return read_ingested(registry.data(version))
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}, or give newer data with --path.") from error
    newer = registry.settings(version).data.from_file(path)
    return read_ingested(Path(ingest.fn(newer, str(Workspace.from_environment().bars))["directory"]))


@dataclass(frozen=True, kw_only=True)
class PromoteOptions(ModelOptions):
    """The options of ``gatecast models promote``."""

    version: Annotated[str, typer.Argument(help="Its name or its number.", show_default=False)]
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "chosen by hand"


@models.command()
@takes(PromoteOptions)
def promote(options: PromoteOptions) -> None:
    """Make a version the champion, whatever the gate of a retrain would say."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from flows.promotion import promote

        _print_decision(registry, promote(registry, registry.find(options.version), options.reason).reason)


@dataclass(frozen=True, kw_only=True)
class RollbackOptions(ModelOptions):
    """The options of ``gatecast models rollback``."""

    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "asked for by hand"


@models.command()
@takes(RollbackOptions)
def rollback(options: RollbackOptions) -> None:
    """Make the former champion the champion again."""
    with explained(options.debug):
        options.prepare()
        registry = options.registry()
        from flows.promotion import roll_back

        _print_decision(registry, roll_back(registry, options.reason).reason)


def _print_decision(registry: Registry, reason: str) -> None:
    console().print(reason, markup=False)
    print_paths({"champion": str(registry.directory / "champion.json")})
    print_next(f"forecast --name {registry.name}")


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
            console().print(f"{registry.name} has {counted(len(registry.versions()), 'version')}, and none to remove.")
            return
        console().print(f"To be removed from {registry.directory}:", markup=False)
        for version in doomed:
            console().print(f"  {version}", markup=False)
        if not options.yes and not typer.confirm(f"Remove {counted(len(doomed), 'version')} for good?"):
            console().print("Nothing was removed.")
            return
        with registry.locked():
            removed = registry.prune(options.keep)
        console().print(f"Removed {counted(len(removed), 'version')}; {len(registry.versions())} stay.")
        print_next(f"models show {registry.name}")


def _facts(registry: Registry, version: str | None) -> dict[str, str]:
    """Return what a table says of a version: its name, when it was made, from which data, and how it scored."""
    from data.errors import InputError
    from flows.evaluation import MODEL, overall

    if version is None:
        return {**NO_FACTS, "version": "none"}
    try:
        lineage, scores = registry.lineage(version), overall(registry.evaluation(version)["scores"])
    except (InputError, KeyError) as error:
        return {**NO_FACTS, "version": version, "made": f"damaged: {error}"[:60]}
    return {
        "version": version,
        "made": str(lineage.get("created_at", "–"))[:16].replace("T", " "),
        "data until": lineage.get("last", "–"),
        "parent": (lineage.get("parent") or "–").split("-")[0],
        "RMSE": figure(scores[MODEL]["rmse"]),
        "vs naive": figure(scores[MODEL]["skill"], "+.1%"),
    }

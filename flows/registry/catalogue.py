"""The models of a workspace: their names, their kinds, and the one that a command refers to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatecast.data.errors import FormatError, InputError
from gatecast.flows.registry.kinds import ModelKind
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace


def models(workspace: Workspace) -> list[str]:
    """Return the names of the models that have a version."""
    if not workspace.models.is_dir():
        return []
    return sorted(path.name for path in workspace.models.iterdir() if Registry(workspace, path.name).versions())


def champions(workspace: Workspace, kind: ModelKind | None = None) -> list[str]:
    """Return the names of the models that have a champion: of one kind, or of all."""
    names = sorted(path.parent.name for path in workspace.models.glob("*/champion.json"))
    return [name for name in names if kind is None or _may_be(Registry(workspace, name), kind)]


def _may_be(registry: Registry, kind: ModelKind) -> bool:
    """Tell whether a model is of a kind; an unreadable one counts as such, and using it raises the reason."""
    try:
        return registry.kind() in (kind, None)
    except FormatError:
        return True


def find_registry(workspace: Workspace, name: str) -> Registry:
    """Return the registry of a model that has versions.

    Raises
    ------
    InputError
        There is no such model.
    """
    registry = Registry(workspace, name)
    if Path(name).name != name or not registry.versions():
        known = _some(models(workspace))
        mend = f"choose from {known}" if known else "run 'gatecast retrain' first or name another --workspace"
        raise InputError(f"There is no model {name!r} in {workspace.root}; {mend}.")
    return registry


def choose_champion(workspace: Workspace, name: str | None, kind: ModelKind) -> str:
    """Return the name of the model of a kind to use: the one that is named, or the only one.

    Raises
    ------
    KindError, FormatError
        The model that is named is of another kind, or was written by another Gatecast.
    InputError
        There is no such model, or several to choose from.
    """
    known = champions(workspace, kind)
    if name is not None and name not in known and name in champions(workspace):
        registry = Registry(workspace, name)
        present = registry.kind()
        assert present is not None, "a model of unknown kind is among the known"
        use = f"{present.used_by} --name {name}" if present.used_by else f"models show {name}"
        registry.require_kind(kind, f"use it with 'gatecast {use}'")
    if name not in known if name is not None else not known:
        for other in _without_champion(workspace, kind):
            if name in (None, other):
                raise InputError(_no_champion(Registry(workspace, other)))
    if not known:
        raise InputError(
            f"{workspace.root} holds no trained {kind.called}; run 'gatecast {kind.trained_by}' first or name another"
            " --workspace."
        )
    if name is None and len(known) > 1:
        raise InputError(f"There are {len(known)} {kind.called}s; choose one with --name: {_some(known)}.")
    if name is not None and name not in known:
        raise InputError(f"There is no trained {kind.called} {name!r}; choose from {_some(known)}.")
    return name or known[0]


def _without_champion(workspace: Workspace, kind: ModelKind) -> list[str]:
    """Return the names of the models of a kind that have versions and no champion."""
    with_champion = champions(workspace)
    names = [name for name in models(workspace) if name not in with_champion]
    return [name for name in names if _may_be(Registry(workspace, name), kind)]


def _no_champion(registry: Registry) -> str:
    """Say why a model has no champion, and what to do."""
    history = registry.history()
    why = f": {history[-1]['reason'].rstrip('.')}" if history else ""
    return (
        f"{registry.name} has no champion{why}; choose a version with 'gatecast models promote {registry.name}"
        " VERSION', or train it with other settings."
    )


def _some(names: Sequence[str]) -> str:
    """Name the first ten, and say how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}"

"""What every training flow does at its end: make the model a version, and decide whether that is the champion."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from gatecast.data.errors import DamagedError
from gatecast.flows.engine.orchestration import Output, hashes, task
from gatecast.flows.registry.kinds import ModelKind
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.settings.runs import Workspace
from gatecast.lstm.models import load
from gatecast.lstm.training.checkpoint import DOCUMENT, fingerprint
from gatecast.lstm.training.model import TrainedModel


def registry_of(workspace: Workspace, name: str, kind: ModelKind) -> Registry:
    """Return the registry of a model that is to be trained; obstacles are found now rather than after the training.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    kind : ModelKind
        Its kind.

    Raises
    ------
    KindError
        The name is that of a model of another kind.
    FormatError
        The champion was written by another Gatecast: it cannot be compared, and must not be replaced unseen.
    InputError
        The champion's pointer is damaged.
    """
    registry = Registry(workspace.models / name)
    champion = registry.champion()
    registry.require_kind(kind, f"give the {kind.called} another --name")
    if champion is not None:
        # The gate handles a damaged champion: the newest intact version represents it.
        with suppress(DamagedError):
            registry.settings(champion, kind)
    return registry


def save_trained(model: TrainedModel[Any], training: Path) -> Path:
    """Save a trained model in the folder of its training, in place of what is there, damaged or not."""
    path = training / "model"
    if path.is_dir() and not (path / DOCUMENT).is_file():
        shutil.rmtree(path)  # a checkpoint does not replace a folder that is not a checkpoint
    return model.save(path, overwrite=True)


@task("checkpoint", cached=True)
def checkpoint(
    model: str, files: list[str], settings: dict[str, Any], lineage: dict[str, Any], registry: str
) -> Output:
    """Make the model a version, with its scores and settings; the same model twice is one version."""
    versions = Registry(Path(registry))
    extra = {Path(file).name: Path(file).read_bytes() for file in files}
    extra["settings.json"] = json.dumps(settings).encode()
    with versions.locked():
        candidate = versions.candidate()
        load(Path(model)).save(candidate, extra_files=extra)
        version = versions.add(candidate, fingerprint(candidate), {"parent": versions.champion(), **lineage})
    path = versions.path(version)
    return {"version": version, "path": str(path), "files": hashes(path), "summary": version}


def outcome(registry: Registry, decision: Decision) -> Output:
    """Return what a step reports about a decision."""
    return {"champion": registry.champion(), "promoted": decision.promoted, "summary": decision.reason}

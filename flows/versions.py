"""What every training flow does at its end: make the model a version, and decide whether that is the champion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from data.errors import InputError
from flows.orchestration import Output, hashes, task
from flows.registry import Decision, Registry, champion_kind
from flows.settings import Workspace
from lstm import load
from lstm.checkpoint import DOCUMENT, fingerprint
from lstm.trained import TrainedModel


def registry_of(workspace: Workspace, name: str, kind: str, called: str) -> Registry:
    """Return the registry of a model that is to be trained.

    Parameters
    ----------
    workspace : Workspace
    name, kind, called : str
        Name and class of the model, and what people call such a model.

    Raises
    ------
    InputError
        The champion's pointer is damaged, which is better found before the training than after it, or the name is that
        of a model of another kind.
    """
    registry = Registry(workspace.models / name)
    registry.champion()
    present = champion_kind(registry)
    if present not in (None, kind):
        raise InputError(f"The model {name} is a {present}; give the {called} another --name.")
    return registry


def save_trained(model: TrainedModel[Any], training: Path) -> Path:
    """Save a trained model in the folder of its training, in place of what is there, damaged or not."""
    path = training / "model"
    if path.is_dir() and not (path / DOCUMENT).is_file():
        shutil.rmtree(path)  # a checkpoint takes the place of no folder that is none
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
    """Return what a step says of a decision."""
    return {"champion": registry.champion(), "promoted": decision.promoted, "summary": decision.reason}

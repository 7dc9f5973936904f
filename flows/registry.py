"""The versions of a model, and which of them is the champion.

``models/NAME/VERSION/`` is a checkpoint of `lstm` with ``evaluation.json`` and ``settings.json`` under its hashes and
``lineage.json`` beside them; ``models/NAME/champion.json`` names the version that forecasts;
``models/NAME/promotions.jsonl`` keeps every decision. A version is never changed; the other two are replaced whole.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.errors import InputError
from data.store import atomic_file, read_json, sha256_file, sync, write_json
from flows.settings import RetrainSettings, Workspace

VERSION = re.compile(r"v(\d{4,})-([0-9a-f]{12})")


@dataclass(frozen=True)
class Decision:
    """What became of a challenger.

    Attributes
    ----------
    version : str
        The challenger.
    champion : str or None
        The champion it met.
    promoted : bool
        Whether it is the champion now.
    reason : str
        One sentence.
    winner : str
        The champion from now on: the challenger, the former champion or, where that is damaged, another version.
    """

    version: str
    champion: str | None
    promoted: bool
    reason: str
    winner: str


class Registry:
    """The versions of one model.

    Parameters
    ----------
    directory : Path
        ``models/NAME`` of the workspace.
    """

    def __init__(self, directory: Path) -> None:
        self.name = directory.name
        self.directory = directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time add a version or decide; another waits."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def training_directory(self, key: str) -> Path:
        """Return the folder of one training: its epochs' checkpoints and, once it ended, ``model``."""
        return self.directory / ".training" / key

    def versions(self) -> list[str]:
        """Return the names of the versions, oldest first."""
        if not self.directory.is_dir():
            return []
        numbered = ((VERSION.fullmatch(path.name), path.name) for path in self.directory.iterdir() if path.is_dir())
        return [name for _, name in sorted((int(match[1]), name) for match, name in numbered if match)]

    def path(self, version: str) -> Path:
        """Return the folder of a version."""
        return self.directory / version

    def settings(self, version: str) -> RetrainSettings:
        """Return the resolved settings that a version was trained with.

        Raises
        ------
        InputError
            They are missing or of another version of Gatecast.
        """
        path = self.path(version) / "settings.json"
        try:
            return RetrainSettings.model_validate(read_json(path))
        except (InputError, ValidationError) as error:
            raise InputError(f"{path} does not hold the settings of this version of Gatecast; retrain.") from error

    def add(self, candidate: Path, fingerprint: str, lineage: dict[str, Any]) -> str:
        """Make a saved checkpoint a version; where one has the same fingerprint, that is it.

        Parameters
        ----------
        candidate : Path
            The checkpoint, on the same file system; it is moved.
        fingerprint : str
            Twelve hex digits of its model.json.
        lineage : dict
            Where it comes from; the time is added.

        Returns
        -------
        str
            Name of the version.
        """
        versions = self.versions()
        known = next((version for version in versions if version.endswith(f"-{fingerprint}")), None)
        if known is not None:
            # The fingerprint stands for every file, so whatever differs has been damaged since.
            for file in candidate.iterdir():
                if not (self.path(known) / file.name).exists() or sha256_file(file) != sha256_file(
                    self.path(known) / file.name
                ):
                    file.replace(self.path(known) / file.name)
            shutil.rmtree(candidate)
            return known
        number = int(versions[-1][1:].split("-")[0]) + 1 if versions else 1
        version = f"v{number:04d}-{fingerprint}"
        write_json(candidate / "lineage.json", {"version": version, "created_at": _now(), **lineage})
        candidate.rename(self.path(version))
        sync(self.directory)
        return version

    def champion(self) -> str | None:
        """Return the name of the champion, None while there is none.

        Raises
        ------
        InputError
            ``champion.json`` is damaged.
        """
        pointer = self.directory / "champion.json"
        if not pointer.exists():
            return None
        try:
            content = read_json(pointer)
        except InputError:
            content = None
        version = content.get("version") if isinstance(content, dict) else None
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise InputError(f"{pointer} names no version; remove it and retrain to choose a champion anew.")
        return version

    def record(self, decision: Decision) -> None:
        """Keep a decision, and let ``champion.json`` name its winner."""
        entry = {"decided_at": _now(), **vars(decision)}
        history = self.directory / "promotions.jsonl"
        former = history.read_text(encoding="utf-8") if history.exists() else ""
        with atomic_file(history) as temporary:
            temporary.write_text(f"{former}{json.dumps(entry, ensure_ascii=False)}\n", encoding="utf-8")
        if decision.winner != decision.champion:
            write_json(
                self.directory / "champion.json", {"promoted_at": entry["decided_at"], "version": decision.winner}
            )


def champions(workspace: Workspace, kind: str | None = None) -> list[str]:
    """Return the names of the models that have a champion: of one kind, such as ``CharLM``, or of all."""
    names = sorted(path.parent.name for path in workspace.models.glob("*/champion.json"))
    return [name for name in names if kind is None or champion_kind(Registry(workspace.models / name)) in (kind, None)]


def choose_champion(workspace: Workspace, name: str | None, kind: str, called: str, command: str) -> str:
    """Return the name of the model of a kind to use: the one that is named, or the only one.

    Parameters
    ----------
    workspace : Workspace
    name : str or None
    kind : str
        Class of the model.
    called, command : str
        What people call such a model, and what trains one.

    Raises
    ------
    InputError
        There is no such model, or several to choose from.
    """
    known = champions(workspace, kind)
    if not known:
        raise InputError(
            f"{workspace.root} holds no trained {called}; run '{command}' first or name another --workspace."
        )
    if name is None and len(known) > 1:
        raise InputError(f"There are several {called}s; choose one with --name: {', '.join(known[:10])}.")
    if name is not None and name not in known:
        raise InputError(f"There is no trained {called} {name!r}; choose from {', '.join(known[:10])}.")
    return name or known[0]


def champion_kind(registry: Registry) -> str | None:
    """Return the class of a champion; None where there is none, or one that cannot be read."""
    try:
        version = registry.champion()
        document = read_json(registry.path(version) / "model.json") if version else {}
    except InputError:
        return None
    return document.get("kind") if isinstance(document, dict) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

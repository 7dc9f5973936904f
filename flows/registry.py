"""The versions of a model, and which of them is the champion.

``models/NAME/VERSION/`` is a checkpoint of `lstm` with ``evaluation.json`` and ``settings.json`` under its hashes and
``lineage.json`` beside them; ``models/NAME/champion.json`` names the version that forecasts;
``models/NAME/promotions.jsonl`` keeps every decision. A version is never changed; the other two are replaced whole.

A version's lineage: hash and folder of its data and their last day, version of the code, the settings (their own file)
and its parent, the champion of the time.

What is damaged of the other files is made again where the registry is locked: ``champion.json`` from the decisions,
``promotions.jsonl`` without the lines that cannot be read; the file as it was is set aside. A lost lineage stops
nothing.
"""

from __future__ import annotations

import fcntl
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from data.errors import InputError
from data.store import read_json, set_aside, sha256_file, sync, write_json
from flows.decisions import VERSION_PATTERN, Decisions
from flows.settings import RetrainSettings, Workspace
from lstm.checkpoint import CheckpointError, fingerprint, read_extra_file

if TYPE_CHECKING:
    from lstm.forecaster import Forecaster

_LOGGER = logging.getLogger(__name__)
LINEAGE = "lineage.json"
VERSION = re.compile(VERSION_PATTERN)


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
    winner : str or None
        The champion from now on: the challenger, the former champion or, where that is damaged, another version. None
        where a first version is taken back.
    action : {"gate", "manual", "rollback"}
        Who decided: the gate of a retrain, a person, or a step back to a former champion.
    comparison : mapping, optional
        The figures that the gate went by, see `flows.promotion.compare`.
    """

    version: str
    champion: str | None
    promoted: bool
    reason: str
    winner: str | None
    action: Literal["gate", "manual", "rollback"] = "gate"
    comparison: Mapping[str, Any] | None = None


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
        self._decisions = Decisions(directory)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time add a version or decide; another waits. What is damaged is made again first."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._decisions.heal()
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

    def find(self, text: str) -> str:
        """Return the version that a person means: its name, its number (``3``, ``v0003``) or ``champion``.

        Raises
        ------
        InputError
            There is no such version.
        """
        versions = self.versions()
        if text == "champion":
            text = self.champion() or text
        number = text.removeprefix("v")
        found = [
            version
            for version in versions
            if text == version or (number.isdecimal() and VERSION.fullmatch(version)[1] == f"{int(number):04d}")  # type: ignore[index]
        ]
        if not found:
            known = ", ".join(versions[-5:]) or "none"
            raise InputError(f"{self.name} has no version {text!r}; choose from the latest: {known}.")
        return found[-1]

    def load(self, version: str) -> Any:
        """Load a version.

        Raises
        ------
        InputError
            It is damaged; the message says what to do.
        """
        from lstm import load

        try:
            return load(self.path(version))
        except CheckpointError as error:
            raise self._with_command(error) from error

    def _with_command(self, error: CheckpointError) -> InputError:
        another = f"or choose another version with 'gatecast models promote {self.name} VERSION'"
        return InputError(f"{str(error).rstrip('.')}, {another}.")

    def lineage(self, version: str) -> dict[str, Any]:
        """Return where a version comes from; empty where that is lost. A damaged file is set aside, with a warning."""
        path = self.path(version) / LINEAGE
        if path.exists() and not _is_whole(path):
            with self.locked():
                if not _is_whole(path):
                    _set_aside(path)
        return read_json(path, dict[str, Any]) if path.exists() else {}

    def data(self, version: str) -> Path:
        """Return the folder of the data that a version was trained on.

        Raises
        ------
        InputError
            The lineage, which names it, is lost.
        """
        data = self.lineage(version).get("data")
        if not isinstance(data, str):
            raise InputError(f"The lineage of {self.name} {version} is lost, and with it where its data are; retrain.")
        return Path(data)

    def evaluation(self, version: str) -> dict[str, Any]:
        """Return the scores of a version on the test rows of its time.

        Raises
        ------
        InputError
            ``evaluation.json`` is missing or damaged.
        """
        return json.loads(self._extra_file(version, "evaluation.json"))

    def settings(self, version: str) -> RetrainSettings:
        """Return the resolved settings that a version was trained with.

        Raises
        ------
        InputError
            They are missing, damaged or of another version of Gatecast.
        """
        content = self._extra_file(version, "settings.json")
        try:
            return RetrainSettings.model_validate(json.loads(content))
        except ValidationError as error:
            path = self.path(version) / "settings.json"
            raise InputError(f"{path} does not hold the settings of this version of Gatecast; retrain.") from error

    def _extra_file(self, version: str, name: str) -> bytes:
        try:
            return read_extra_file(self.path(version), name)
        except CheckpointError as error:
            raise self._with_command(error) from error

    def candidate(self) -> Path:
        """Return where the next version is put together, with nothing there that a killed run has left.

        Call it while the registry is locked.
        """
        path = self.directory / ".candidate"
        if path.exists():
            shutil.rmtree(path)
        return path

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
            self._make_whole(known, candidate, lineage)
            return known
        number = int(versions[-1][1:].split("-")[0]) + 1 if versions else 1
        version = f"v{number:04d}-{fingerprint}"
        write_json(candidate / LINEAGE, {"version": version, "created_at": _now(), **lineage})
        candidate.rename(self.path(version))
        sync(self.directory)
        return version

    def _make_whole(self, version: str, candidate: Path, lineage: dict[str, Any]) -> None:
        """Replace what has been damaged of a version by what is in a checkpoint of the same fingerprint."""
        folder = self.path(version)
        made_at = min((file.stat().st_mtime for file in folder.iterdir()), default=time.time())
        # The fingerprint stands for every file, so whatever differs has been damaged since.
        for file in candidate.iterdir():
            if not (folder / file.name).exists() or sha256_file(file) != sha256_file(folder / file.name):
                file.replace(folder / file.name)
        shutil.rmtree(candidate)
        if not _is_whole(folder / LINEAGE):
            _set_aside(folder / LINEAGE)
            if lineage.get("parent") == version:
                lineage = {**lineage, "parent": None}
            created_at = datetime.fromtimestamp(made_at, UTC).isoformat(timespec="seconds")
            write_json(folder / LINEAGE, {"version": version, "created_at": created_at, **lineage})

    def add_model(
        self, model: Forecaster, settings: RetrainSettings, evaluation: Mapping[str, Any], lineage: Mapping[str, Any]
    ) -> str:
        """Make a fitted model a version, with its evaluation and settings; the same model twice is one version.

        Call it while the registry is locked.

        Parameters
        ----------
        model : Forecaster
        settings : RetrainSettings
            Resolved.
        evaluation : mapping
            As `flows.retrain.evaluate` writes it.
        lineage : mapping
            As for `add`; the present champion is added as the parent.
        """
        candidate = self.candidate()
        extra = {
            "evaluation.json": json.dumps(evaluation, indent=2, ensure_ascii=False, allow_nan=False).encode(),
            "settings.json": json.dumps(settings.to_dict()).encode(),
        }
        model.save(candidate, extra_files=extra)
        return self.add(candidate, fingerprint(candidate), {"parent": self.champion(), **lineage})

    def champion(self) -> str | None:
        """Return the name of the champion, None while there is none.

        Where ``champion.json`` is damaged, the last decision says who it is, with a warning.

        Raises
        ------
        DamagedFileError
            That cannot be read either.
        """
        return self._decisions.champion()

    def without_comparison(self, version: str) -> Decision | None:
        """Return what is decided about a version that meets no other champion; None where it does."""
        champion = self.champion()
        if champion is None:
            return Decision(version, None, True, f"{version} is the first version of {self.name}.", version)
        if champion == version:
            return Decision(version, champion, False, f"{version} is the champion already.", version)
        return None

    def settle(self, decide: Callable[[], Decision]) -> Decision:
        """Let `decide` say who is the champion, and record it; nobody else decides meanwhile."""
        with self.locked():
            decision = decide()
            if decision.champion != decision.version:
                self.record(decision)
        return decision

    def record(self, decision: Decision) -> None:
        """Keep a decision, and let ``champion.json`` name its winner."""
        self._decisions.add({"decided_at": _now(), **vars(decision)})

    def history(self) -> list[dict[str, Any]]:
        """Return every decision, oldest first: the fields of `Decision` and ``decided_at``.

        Lines that are damaged are left out, with a warning.
        """
        return self._decisions.all()

    def former_champions(self) -> list[str]:
        """Return the champions before the present one that are still there, the latest first.

        What was taken back by a rollback is not among them.
        """
        reigns: list[str] = []
        for entry in self.history():
            winner = entry["winner"]
            if winner == entry["champion"]:
                continue
            if entry.get("action") == "rollback":
                while reigns and reigns[-1] != winner:
                    reigns.pop()
            else:
                reigns.append(winner)
        present, there = self.champion(), set(self.versions())
        return [version for version in dict.fromkeys(reversed(reigns)) if version != present and version in there]

    def prunable(self, keep: int) -> list[str]:
        """Return the versions that `prune` removes: all but the newest `keep`, the champion and its predecessor."""
        kept = {*self.versions()[-keep:], self.champion(), *self.former_champions()[:1]}
        return [version for version in self.versions() if version not in kept]

    def prune(self, keep: int) -> list[str]:
        """Remove old versions, and the oldest folders of trainings, of which there stay as many as versions.

        Parameters
        ----------
        keep : int
            How many of the newest versions stay, at least 1; the champion and the one before it stay as well.

        Returns
        -------
        list of str
            The versions that were removed.
        """
        removed = self.prunable(keep)
        for version in removed:
            # Renamed first, so that a version is whole or not there at all, whenever this is interrupted.
            self.path(version).rename(self.directory / f".{version}.pruned")
        trainings = sorted((self.directory / ".training").glob("*"), key=lambda path: path.stat().st_mtime)
        for path in (*self.directory.glob(".*.pruned"), *trainings[: -len(self.versions()) or None]):
            shutil.rmtree(path)
        return removed


def _is_whole(lineage: Path) -> bool:
    try:
        read_json(lineage, dict[str, Any])
        return True
    except InputError:
        return False


def _set_aside(lineage: Path) -> None:
    if lineage.exists():
        _LOGGER.warning("%s is damaged, and was set aside as %s.", lineage, set_aside(lineage).name)


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
        raise InputError(f"There are {len(known)} {called}s; choose one with --name: {_some(known)}.")
    if name is not None and name not in known:
        raise InputError(f"There is no trained {called} {name!r}; choose from {_some(known)}.")
    return name or known[0]


def champion_kind(registry: Registry) -> str | None:
    """Return the class of a champion; None where there is none, or one that cannot be read."""
    try:
        version = registry.champion()
        document = read_json(registry.path(version) / "model.json") if version else {}
    except InputError:
        return None
    return document.get("kind") if isinstance(document, dict) else None


def find_registry(workspace: Workspace, name: str) -> Registry:
    """Return the registry of a model that has versions.

    Raises
    ------
    InputError
        There is no such model.
    """
    registry = Registry(workspace.models / name)
    if Path(name).name != name or not registry.versions():
        known = _some(models(workspace))
        mend = f"choose from {known}" if known else "run 'gatecast retrain' first or name another --workspace"
        raise InputError(f"There is no model {name!r} in {workspace.root}; {mend}.")
    return registry


def models(workspace: Workspace) -> list[str]:
    """Return the names of the models that have a version."""
    if not workspace.models.is_dir():
        return []
    return sorted(path.name for path in workspace.models.iterdir() if Registry(path).versions())


def _some(names: Sequence[str]) -> str:
    """Name the first ten, and say how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

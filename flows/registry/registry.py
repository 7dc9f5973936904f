"""The versions of a model, and which of them is the champion.

``models/NAME/VERSION/`` is a version (`flows.registry.stored_versions`); ``models/NAME/champion.json`` names the one
that is used; ``models/NAME/promotions.jsonl`` stores every decision. A version is never changed; these two files are
replaced as a whole.

A version's lineage: hash and folder of its data and the data's last day, version of the code, the settings (in a file
of their own) and its parent, the champion of that time.

The other files are made again if they are damaged, while the registry is locked: ``champion.json`` from the decisions,
``promotions.jsonl`` without the lines that cannot be read; the damaged file is set aside. A lost lineage stops nothing.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gatecast.data.errors import DamagedError, InputError, KindError
from gatecast.data.leftovers import put_aside, remove, remove_leftovers
from gatecast.data.locks import lock_file
from gatecast.data.settings import Settings
from gatecast.data.store import sha256_file, sync
from gatecast.flows.registry.decisions import Decisions
from gatecast.flows.registry.kinds import ModelKind
from gatecast.flows.registry.lineages import LINEAGE, is_whole, read_lineage, set_lineage_aside, write_lineage
from gatecast.flows.registry.stored_versions import VERSION, StoredVersions
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training.checkpoint import fingerprint

if TYPE_CHECKING:
    from gatecast.lstm.training.model import TrainedModel

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What became of a challenger.

    Attributes
    ----------
    version : str
        The challenger.
    champion : str or None
        The champion it was compared with.
    promoted : bool
        Whether it is the champion now.
    reason : str
        A sentence, and another one if the new champion loses to a baseline.
    winner : str or None
        The champion from now on: the challenger, the former champion or, if that is damaged, another version. None if
        the promotion of a first version is undone, or if a first version does not pass.
    action : {"gate", "manual", "rollback", "pin", "unpin"}
        Who decided: the gate of a retrain, a person, a step back to a former champion, or a person who pins a version.
    comparison : mapping, optional
        The figures that the gate used, see `flows.judging.comparison.Comparison`.
    loses_to : mapping, optional
        The baseline that the challenger loses to, with the figures; see `flows.registry.measures.Standing`.
    pinned : bool, optional
        Whether the winner is pinned from now on; None leaves that as it is.
    """

    version: str
    champion: str | None
    promoted: bool
    reason: str
    winner: str | None
    action: Literal["gate", "manual", "rollback", "pin", "unpin"] = "gate"
    comparison: Mapping[str, Any] | None = None
    loses_to: Mapping[str, Any] | None = None
    pinned: bool | None = None


class Registry(StoredVersions):
    """The versions of one model; one of them is the champion.

    Parameters
    ----------
    workspace : Workspace
        Holds them, in ``models/NAME``.
    name : str
        Of the model.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        super().__init__(workspace, name)
        self._decisions = Decisions(self.directory, name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time add a version or decide; others wait. Damaged files are made again first."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with lock_file(self.directory / ".lock"):
            self._decisions.heal()
            yield

    def training_directory(self, key: str) -> Path:
        """Return the folder of one training: the checkpoints of its epochs and, once it has ended, ``model``."""
        return self.directory / ".training" / key

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

    def kind(self) -> ModelKind | None:
        """Return the kind of the model: its champion's or, if that is damaged, that of the newest readable version.

        Raises
        ------
        FormatError
            It was written by another Gatecast.
        """
        try:
            champion = self.champion()
        except InputError:  # a damaged pointer does not change the kind
            champion = None
        for version in filter(None, (champion, *reversed(self.versions()))):
            with suppress(DamagedError):
                return self.kind_of(version)
        return None

    def require_kind(self, kind: ModelKind, remedy: str) -> None:
        """Raise KindError, which says what to do, if the model is of another kind."""
        present = self.kind()
        if present is not None and present is not kind:
            raise KindError(f"The model {self.name} is a {present.called}, not a {kind.called}; {remedy}.")

    def lineage(self, version: str) -> dict[str, Any]:
        """Return where a version comes from; empty if that is lost. A damaged file is set aside, with a warning."""
        path = self.path(version) / LINEAGE
        if path.exists() and not is_whole(path):
            with self.locked():
                if not is_whole(path):
                    set_lineage_aside(path)
        return read_lineage(path) if path.exists() else {}

    def data(self, version: str) -> Path:
        """Return the folder of the data that a version was trained on.

        Raises
        ------
        InputError
            The lineage, which names the folder, is lost.
        """
        data = self.lineage(version).get("data")
        if not isinstance(data, str):
            raise InputError(f"The lineage of {self.name} {version} is lost, and with it where its data are; retrain.")
        return self.workspace.found(data)

    def candidate(self) -> Path:
        """Return the folder in which the next version is assembled, without the leftovers of a killed run.

        Call it while the registry is locked.
        """
        path = self.directory / ".candidate"
        if path.exists():
            shutil.rmtree(path)
        remove_leftovers(self.directory, path.name)
        return path

    def add(self, candidate: Path, fingerprint: str, lineage: dict[str, Any]) -> str:
        """Make a saved checkpoint a version; if a version has the same fingerprint, use that one.

        Parameters
        ----------
        candidate : Path
            The checkpoint, on the same file system; it is moved.
        fingerprint : str
            Twelve hex digits of its model.json.
        lineage : dict
            Where it comes from; the time is added, and the path of its data is stored relative to the workspace.

        Returns
        -------
        str
            Name of the version.
        """
        lineage = {**lineage, "data": self.workspace.stored(lineage["data"])} if "data" in lineage else lineage
        versions = self.versions()
        known = next((version for version in versions if version.endswith(f"-{fingerprint}")), None)
        if known is not None:
            self._make_whole(known, candidate, lineage)
            return known
        number = int(versions[-1][1:].split("-")[0]) + 1 if versions else 1
        version = f"v{number:04d}-{fingerprint}"
        write_lineage(candidate / LINEAGE, {"version": version, "created_at": _now(), **lineage})
        candidate.rename(self.path(version))
        sync(self.directory)
        return version

    def _make_whole(self, version: str, candidate: Path, lineage: dict[str, Any]) -> None:
        """Replace the damaged files of a version with those of a checkpoint with the same fingerprint."""
        folder = self.path(version)
        made_at = min((file.stat().st_mtime for file in folder.iterdir()), default=time.time())
        # The fingerprint stands for every file, so whatever differs has been damaged since.
        for file in candidate.iterdir():
            if not (folder / file.name).exists() or sha256_file(file) != sha256_file(folder / file.name):
                file.replace(folder / file.name)
        shutil.rmtree(candidate)
        if not is_whole(folder / LINEAGE):
            set_lineage_aside(folder / LINEAGE)
            if lineage.get("parent") == version:
                lineage = {**lineage, "parent": None}
            created_at = datetime.fromtimestamp(made_at, UTC).isoformat(timespec="seconds")
            write_lineage(folder / LINEAGE, {"version": version, "created_at": created_at, **lineage})

    def add_model(
        self,
        model: TrainedModel[Any],
        settings: Settings,
        evaluation: Mapping[str, bytes],
        lineage: Mapping[str, Any],
    ) -> str:
        """Make a fitted model a version, with its evaluation and settings; the same model twice is one version.

        Call it while the registry is locked.

        Parameters
        ----------
        model : TrainedModel
        settings : Settings
            Those it was trained with.
        evaluation : mapping of name to bytes
            ``evaluation.json``, and whatever else the evaluation keeps.
        lineage : mapping
            As for `add`; the present champion is added as the parent.
        """
        candidate = self.candidate()
        kept = json.dumps(settings.model_dump(mode="json")).encode()
        model.save(candidate, extra_files={**evaluation, "settings.json": kept})
        return self.add(candidate, fingerprint(candidate), {"parent": self.champion(), **lineage})

    def champion(self) -> str | None:
        """Return the name of the champion, None if there is no champion yet.

        If ``champion.json`` is damaged, the last decision says who it is, with a warning.

        Raises
        ------
        DamagedFileError
            The last decision cannot be read either.
        """
        return self._decisions.champion()

    def is_pinned(self) -> bool:
        """Tell whether a person has pinned the champion, so that nothing else replaces it."""
        return self._decisions.is_pinned()

    def settle(self, decide: Callable[[], Decision]) -> Decision:
        """Let `decide` say who is the champion, and record it; nobody else decides meanwhile."""
        with self.locked():
            decision = decide()
            if decision.champion != decision.version:
                self.record(decision)
        return decision

    def record(self, decision: Decision) -> None:
        """Store a decision with the verdict on its version, and let ``champion.json`` name its winner."""
        pinned = self.is_pinned() if decision.pinned is None else decision.pinned
        told = {**vars(decision), "pinned": pinned, "verdict": self._verdict(decision.version)}
        self._decisions.add({"decided_at": _now(), **told})

    def _verdict(self, version: str) -> str | None:
        """Return what the evaluation of a version says it is worth, None if that cannot be read."""
        try:
            return self.evaluation(version)["verdict"]
        except (InputError, LookupError, TypeError):
            return None

    def history(self) -> list[dict[str, Any]]:
        """Return every decision, oldest first: the fields of `Decision`, ``decided_at`` and ``verdict``.

        Lines that are damaged are left out, with a warning.
        """
        return self._decisions.all()

    def former_champions(self) -> list[str]:
        """Return the former champions that still exist, the latest first.

        Versions whose promotion was undone by a rollback are not among them.
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
        present = self.champion()
        there = set(self.versions())
        return [version for version in dict.fromkeys(reversed(reigns)) if version != present and version in there]

    def rolled_back(self) -> list[str]:
        """Return the versions that a rollback replaced and nobody has chosen since.

        A version whose promotion was undone because its run failed is not among them.
        """
        found: list[str] = []
        for entry in self.history():
            winner, replaced = entry["winner"], entry["champion"]
            if entry.get("action") == "rollback" and entry.get("promoted") and replaced is not None:
                found.append(replaced)
            if winner in found and winner != replaced:
                found.remove(winner)
        return found

    def recipe(self, version: str) -> tuple[Any, Settings] | None:
        """Return the hash of the data and the settings that a version was made with, None if that is lost."""
        try:
            data = super().lineage(version).get("data_hash")  # a damaged one is not written again here
            return None if data is None else (data, self.settings(version))
        except InputError:
            return None

    def prunable(self, keep: int) -> list[str]:
        """Return the versions that `prune` removes: all but the newest `keep`, the champion and its predecessor."""
        kept = {*self.versions()[-keep:], self.champion(), *self.former_champions()[:1]}
        return [version for version in self.versions() if version not in kept]

    def prune(self, keep: int) -> list[str]:
        """Remove old versions, and the oldest training folders until there are as many as versions.

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
        aside = [put_aside(self.path(version)) for version in removed]
        trainings = sorted((self.directory / ".training").glob("*"), key=lambda path: path.stat().st_mtime)
        for path in (*aside, *self.directory.glob(".*.pruned"), *trainings[: -len(self.versions()) or None]):
            remove(path)
        return removed


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

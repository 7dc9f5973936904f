"""The stored decisions about a model's versions: every decision, and the champion that results from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.hashes import checked, with_hash
from gatecast.data.store import atomic_file, read_json, set_aside, write_json

POINTER = "champion.json"
HISTORY = "promotions.jsonl"
VERSION_PATTERN = r"v(\d{4,})-([0-9a-f]{12})"
_LOGGER = logging.getLogger(__name__)


class _Pointer(BaseModel):
    version: str = Field(pattern=f"^{VERSION_PATTERN}$")
    pinned: bool = False
    promoted_at: str = ""


class _Entry(BaseModel):
    decided_at: str
    champion: str | None
    winner: str | None
    reason: str
    pinned: bool = False


class Decisions:
    """The files ``champion.json``, which names a version, and ``promotions.jsonl``, a decision per line, oldest first.

    Each line has its own hash, so that a damaged one can be told from the others.

    The first can be made again from the second: its last decision says who won, and whether that version is pinned.
    The second is written first. So a process that is killed between the two leaves a decision that has yet to take
    effect: the next one that locks the registry sees to that (`heal`), and does not decide again.

    Parameters
    ----------
    directory : Path
        ``models/NAME`` of the workspace.
    name : str
        Of the model.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._name = name
        self._pointer = directory / POINTER
        self._history = directory / HISTORY

    def champion(self) -> str | None:
        """Return the name of the champion, None if there is no champion yet.

        If ``champion.json`` is damaged, the last decision says who it is, with a warning.

        Raises
        ------
        DamagedFileError
            The last decision cannot be read either.
        """
        try:
            return self._pointed_to()[0]
        except DamagedFileError as error:
            last = self._last()
            if last is None:
                raise DamagedFileError(
                    f"{self._pointer} is damaged, and {HISTORY} does not say which version is the champion; choose one"
                    f" with 'gatecast models promote {self._name} VERSION'."
                ) from error
            _LOGGER.warning("%s is damaged; %s says that %s is the champion.", self._pointer, HISTORY, last["winner"])
            return last["winner"]

    def is_pinned(self) -> bool:
        """Tell whether nothing but a person may replace the champion."""
        try:
            return self._pointed_to()[1]
        except DamagedFileError:
            return bool((self._last() or {}).get("pinned"))

    def all(self) -> list[dict[str, Any]]:
        """Return every decision, oldest first; lines that are damaged are left out, with a warning."""
        lines = self._lines()
        whole = [decision for decision in lines if decision is not None]
        if len(whole) < len(lines):
            _LOGGER.warning("%s is damaged; %d of its %d lines can be read.", self._history, len(whole), len(lines))
        return whole

    def add(self, decision: Mapping[str, Any]) -> None:
        """Store a decision, and point to its winner; call it while the registry is locked.

        The gate's last decision once more, of a run that was killed after it and started again, is not stored twice.
        """
        if decision.get("action") == "gate" and _is_same(decision, self._last()):
            return
        was_pinned = self.is_pinned()
        self._write([*self._lines(), decision])
        if decision["winner"] != decision["champion"] or bool(decision.get("pinned")) != was_pinned:
            self._point_to(decision)

    def damaged(self) -> list[Path]:
        """Return those of the two files that do not hold what was written there."""
        found = []
        try:
            self._pointed_to()
        except DamagedFileError:
            found.append(self._pointer)
        if None in self._lines():
            found.append(self._history)
        return found

    def heal(self) -> None:
        """Write damaged files again from the intact ones; call it while the registry is locked.

        Nothing is written if the files do not tell who the champion is: a person has to decide.
        """
        try:
            self._pointed_to()
        except DamagedFileError:
            last = self._last()
            if last is None:
                return
            self._point_to(last)
            _LOGGER.warning("%s was damaged; it was written again, as %s says.", self._pointer, HISTORY)
        self._take_effect()
        lines = self._lines()
        if None in lines:
            self._write(lines)

    def _take_effect(self) -> None:
        """Let ``champion.json`` name the winner of the last decision, if a process was killed before it did so."""
        last = self._last()
        if last is None or self._pointed_to() == (last["winner"], bool(last.get("pinned"))):
            return
        if self._pointer.exists():
            promoted_at = read_json(self._pointer, _Pointer).get("promoted_at", "")
            # If the newest lines of the history are lost, the pointer is the younger of the two, and stays.
            if not promoted_at or promoted_at > last["decided_at"]:
                return
        self._point_to(last)

    def _pointed_to(self) -> tuple[str | None, bool]:
        """Return the version that ``champion.json`` names, and whether it is pinned; without the file there is none.

        Raises
        ------
        DamagedFileError
            It cannot be read, or names a version that is not there while the last decision names another.
        """
        if not self._pointer.exists():
            return None, False
        pointer = read_json(self._pointer, _Pointer)
        version: str = pointer["version"]
        if not self._pointer.with_name(version).exists():
            last = self._last()
            if last is not None and last["winner"] != version:
                raise DamagedFileError(f"{self._pointer} names {version}, which is not there; it is damaged.")
        return version, pointer.get("pinned", False)

    def _point_to(self, decision: Mapping[str, Any]) -> None:
        if decision["winner"] is None:
            self._pointer.unlink(missing_ok=True)
        else:
            pinned = {"pinned": True} if decision.get("pinned") else {}
            content = {"promoted_at": decision["decided_at"], "version": decision["winner"], **pinned}
            write_json(self._pointer, content)

    def _last(self) -> dict[str, Any] | None:
        lines = self._lines()
        return lines[-1] if lines else None

    def _lines(self) -> list[dict[str, Any] | None]:
        """Return the decisions; None stands for a damaged line, and for the decisions of an empty file."""
        if not self._history.exists():
            return []
        try:
            content = self._history.read_bytes()
        except OSError as error:
            raise InputError(f"{self._history} cannot be read ({error.strerror}); check the disk.") from error
        return [_decision_in(line) for line in content.rstrip(b"\n").split(b"\n")]

    def _write(self, lines: Sequence[Mapping[str, Any] | None]) -> None:
        """Replace the history without damaged lines; if there are any, the former file is set aside, with a warning."""
        whole = [decision for decision in lines if decision is not None]
        if len(whole) < len(lines):
            _LOGGER.warning("%s was damaged, and was set aside as %s.", self._history, set_aside(self._history).name)
        with atomic_file(self._history) as temporary:
            text = "".join(f"{json.dumps(with_hash(decision), ensure_ascii=False)}\n" for decision in whole)
            temporary.write_text(text, encoding="utf-8")


def _is_same(decision: Mapping[str, Any], last: Mapping[str, Any] | None) -> bool:
    """Tell whether a decision says the same as the last one, at whatever time."""
    moment = {"decided_at": None}
    return last is not None and json.loads(json.dumps({**decision, **moment})) == {**last, **moment}


def _decision_in(line: bytes) -> dict[str, Any] | None:
    """Return the decision of a line, None if that is damaged; those of an earlier Gatecast have no hash."""
    try:
        _Entry.model_validate_json(line)
        return checked(json.loads(line))
    except (ValueError, RecursionError):
        return None

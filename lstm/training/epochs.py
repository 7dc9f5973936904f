"""The checkpoints that a training leaves behind, one per epoch, from which it can go on."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gatecast.lstm.training.checkpoint import DOCUMENT, DamagedError

__all__ = ["are_in", "clear", "epoch_path", "keep_last", "member_path", "newest"]

Model = TypeVar("Model")

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"epoch-(\d+)")
_MEMBER = re.compile(r"member-\d+")


def epoch_path(folder: Path, epoch: int) -> Path:
    """Return the path of an epoch's checkpoint."""
    return folder / f"epoch-{epoch:04d}"


def member_path(folder: Path, number: int) -> Path:
    """Return the folder in which a member of an ensemble leaves its checkpoints."""
    return folder / f"member-{number}"


def are_in(folder: Path) -> bool:
    """Tell whether a training, of a model or of a member of an ensemble, left a checkpoint in `folder`."""
    return any(_checkpoints(place) for place in (folder, *_members(folder)))


def clear(folder: Path) -> None:
    """Remove what an earlier training left in `folder`, and nothing else."""
    for path in (*_checkpoints(folder), *folder.glob(".epoch-*.tmp"), *folder.glob(".epoch-*.former")):
        shutil.rmtree(path)
    for path in _members(folder):
        shutil.rmtree(path)


def keep_last(folder: Path, count: int) -> None:
    """Remove all but the last `count` checkpoints."""
    for path in _checkpoints(folder)[:-count]:
        shutil.rmtree(path)


def newest(folder: Path, load: Callable[[Path], Model]) -> tuple[Path, Model] | None:
    """Load the newest checkpoint that is whole; None if no checkpoint is.

    A damaged one is reported in the log and skipped: the epoch before it leads to the same bits. A checkpoint that
    cannot be read for another reason is an error.
    """
    for path in reversed(_checkpoints(folder)):
        try:
            return path, load(path)
        except DamagedError as error:
            _LOGGER.warning("Going on from an earlier epoch, since the last is not whole: %s", error)
            if not (path / DOCUMENT).is_file():
                shutil.rmtree(path)  # the epoch's next checkpoint would not replace a folder that is not a checkpoint
    return None


def _members(folder: Path) -> list[Path]:
    return [path for path in folder.glob("member-*") if _MEMBER.fullmatch(path.name)]


def _checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in the order of their epochs."""
    numbered = [(int(match[1]), path) for path in folder.glob("epoch-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(numbered)]

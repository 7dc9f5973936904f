"""The checkpoints that a training leaves behind, one per epoch, from which it can go on."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gatecast.lstm.training.checkpoint import DOCUMENT, DamagedError

__all__ = ["clear", "epoch_path", "keep_last", "newest"]

Model = TypeVar("Model")

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"epoch-(\d+)")


def epoch_path(folder: Path, epoch: int) -> Path:
    """Return the path of an epoch's checkpoint."""
    return folder / f"epoch-{epoch:04d}"


def clear(folder: Path) -> None:
    """Remove what an earlier training left in `folder`, and nothing else."""
    for path in (*_checkpoints(folder), *folder.glob(".epoch-*.tmp"), *folder.glob(".epoch-*.former")):
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


def _checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in the order of their epochs."""
    numbered = [(int(match[1]), path) for path in folder.glob("epoch-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(numbered)]

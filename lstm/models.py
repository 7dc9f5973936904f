"""Loading a model of any kind."""

from __future__ import annotations

from pathlib import Path

from lstm import checkpoint
from lstm.forecaster import Forecaster

__all__ = ["load"]


def load(path: str | Path) -> Forecaster:
    """Load the model that was saved at `path`.

    Raises
    ------
    CheckpointError
        When there is no checkpoint, or a damaged one, or one of an unknown kind.
    """
    contents = checkpoint.read(path)
    if contents.kind == Forecaster.kind:
        return Forecaster.from_checkpoint(contents, path)
    raise checkpoint.CheckpointError(f"{path} holds a model of kind {contents.kind!r}; this Gatecast knows Forecaster.")

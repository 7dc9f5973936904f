"""Loading a model of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.language.char_lm import CharLM
from gatecast.lstm.tagging.tagger import Tagger
from gatecast.lstm.training import checkpoint

__all__ = ["MODELS", "load"]

MODELS = (Forecaster, CharLM, Tagger)


def load(path: str | Path, backend: str | None = None) -> Any:
    """Load the model that was saved at `path`: one of `MODELS`.

    Parameters
    ----------
    path : str or Path
    backend : {"cpu", "cuda", "auto"}, optional
        The backend to compute on from now on; by default the one it was trained on.

    Raises
    ------
    DamagedError
        There is no checkpoint, or a damaged one.
    FormatError
        An older or newer Gatecast wrote it.
    kernels.BackendError
        When the backend cannot run on this machine.
    """
    contents = checkpoint.read(path)
    for model in MODELS:
        if contents.kind == model.kind:
            return model.from_checkpoint(contents, path, backend)
    known = ", ".join(model.kind for model in MODELS)
    raise checkpoint.FormatError(
        f"{path} was written by another Gatecast: it holds a {contents.kind!r}, and this one knows {known}; use that"
        " Gatecast."
    )

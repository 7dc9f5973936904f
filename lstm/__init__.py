"""Models: LSTM networks for series, text and tags, on the arithmetic of `kernels`.

Enter at `lstm.forecasting.forecaster`, or at `gatecast`, which lists the public names.
May import `data` and `kernels`. Inside: forecasting, language and tagging, then training, then nn; `lstm.config` has
the settings of all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "interop":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("gatecast.lstm.interop")

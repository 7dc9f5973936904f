"""LSTM forecasting that retrains itself on a schedule, without a deep-learning framework.

>>> from gatecast import Forecaster, load
>>> model = Forecaster(lookback=60, horizon=5).fit(frame)   # frame: unique_id, ds, y and covariates
>>> model.predict()                                         # unique_id, ds, y_hat

Rooms: `gatecast.flows` (the scheduled work: start at `flows.retrain`), `gatecast.lstm` (models), `gatecast.data`
(source to training arrays), `gatecast.kernels` (compiled arithmetic). The public names are listed in ``__init__.pyi``;
each is imported when it is first used, so that ``import gatecast`` costs nothing.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any


@cache
def _public_names() -> dict[str, str]:
    """Return the module that defines each public name, as the stub says."""
    import ast
    from pathlib import Path

    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_public_names())
    if name.startswith("_") or name not in _public_names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _public_names()[name]
    if module == __name__:
        return import_module(f"{__name__}.{name}")
    from gatecast.kernels.collector import collector_paused

    with nullcontext() if module in sys.modules else collector_paused():
        return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(_public_names())

"""Python's garbage collector while modules are imported.

Numba, pandas and what they bring make some 250,000 objects that live as long as the process. The collector would go
through them again and again while they are made: a tenth of the time of a short program. They are not frozen
(``gc.freeze``), which would save as much again at exit: frozen objects are hidden from ``gc.get_referrers``, and that
is for whoever owns the process to decide.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let the collector rest for the length of a ``with`` block, if it was running."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""Python's garbage collector while modules are imported.

Most objects that Numba, pandas and what they bring make live as long as the process, and the collector would go through
them again and again while they are made. They are not frozen (``gc.freeze``), which would save time at exit too: frozen
objects are hidden from ``gc.get_referrers``, and that is for whoever owns the process to decide.
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

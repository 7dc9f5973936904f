"""Python's garbage collector while modules are imported.

Most objects that Numba, pandas and their dependencies create live as long as the process. The collector would go
through them again and again while they are created, and once more as soon as it runs again, so they are moved to its
oldest generation. They do not stay frozen (``gc.freeze``), although that would save time at exit too: frozen objects
are hidden from ``gc.get_referrers``, and that is for the owner of the process to decide.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector, if it was running, during a ``with`` block that imports.

    Afterwards all objects belong to the oldest generation, garbage in cycles too, so do not use it for a block that
    runs repeatedly. If the process has frozen some objects, they stay frozen and the others stay where they are.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()  # the one way to move objects between generations without going through them
            gc.unfreeze()
        if was_enabled:
            gc.enable()

"""Python's garbage collector while modules are imported.

Most objects that Numba, pandas and what they bring make live as long as the process, and the collector would go through
them again and again while they are made, and once more as soon as it runs again: so they are handed to its oldest
generation. They do not stay frozen (``gc.freeze``), which would save time at exit too: frozen objects are hidden from
``gc.get_referrers``, and that is for whoever owns the process to decide.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let the collector rest for the length of a ``with`` block that imports, if it was running.

    All objects there are after it belong to the oldest generation, garbage in cycles too: not for a block that runs
    again and again. Where the process has frozen some, they stay frozen, and the others where they are.
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

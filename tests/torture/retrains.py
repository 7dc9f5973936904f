"""Many retrains in one process, as of ``gatecast serve`` that is never restarted."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

from tests.torture.ground import retrain_settings
from tests.torture.torture import Torture, require

FIRST = 6
"""Retrains after which everything is loaded that stays loaded"""
MEGABYTES = 0.75
"""A retrain may keep so much; Prefect's own caches of a run are in it"""


class Retrains(Torture):
    """Retrains in one process, one after another, take no more memory, file handles or threads than the first ones.

    200 in the long form, 20 in the short one; each trains another model.
    """

    name = "retrains"
    short = 1
    share = 1.0
    count = 200
    short_count = 20

    def trial(self, seed: int, number: int) -> str:
        self.ground.restore()
        count = self.short_count if self.is_short else self.count

        def job() -> list[tuple[float, int, int]]:
            from gatecast.flows.retrain import retrain

            found = []
            for turn in range(count):
                settings = retrain_settings(self.ground.folder, 1)
                model = settings.model.model_copy(update={"seed": 1000 * seed + turn})
                retrain(settings.model_copy(update={"model": model, "name": f"turn-{turn % 3}"}))
                found.append((megabytes(), len(list(Path("/proc/self/fd").iterdir())), threading.active_count()))
            return found

        outcome = self.ground.run(job, limit=3600)
        require(not outcome.error and not outcome.was_killed, f"{outcome.error}: {outcome.message}")
        first, last = outcome.value[FIRST - 1], outcome.value[-1]
        grown = (last[0] - first[0]) / (count - FIRST)
        require(grown < MEGABYTES, f"each of {count} retrains keeps {grown:.2f} MB")
        require(last[1] <= first[1] + 3, f"{first[1]} file handles became {last[1]} in {count} retrains")
        require(last[2] <= first[2] + 2, f"{first[2]} threads became {last[2]} in {count} retrains")
        return f"times {count} ({max(grown, 0):.2f} MB each)"


def megabytes() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6

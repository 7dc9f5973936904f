"""What the webhook hears of runs that end well, and yet found something that somebody has to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatecast.flows.engine.results import Ingested
from gatecast.flows.engine.runs import tell

OLD_DATA = "Old data"
BREACHED = "Breach"


def tell_if_old(bars: Ingested, origin: str) -> None:
    """Tell if the data has stopped coming; see `data.dates.ages`."""
    if bars["age"]["is_stale"]:
        tell(OLD_DATA, f"{origin}: {bars['age']['sentence']}.")


def tell_breaches(name: str, version: str, breaches: Sequence[Mapping[str, Any]]) -> None:
    """Tell what the monitor has found, in one message."""
    if breaches:
        found = "; ".join(f"{breach['name']}: {breach['note']}" for breach in breaches)
        tell(BREACHED, f"{name} {version}: {found}.")

"""When a model was last retrained, forecast and monitored, also if nothing had changed and all came from cache."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from gatecast.data.errors import InputError
from gatecast.data.store import read_json, write_json
from gatecast.flows.settings.workspace import Workspace

Kind = Literal["retrain", "forecast", "monitor"]
KINDS: tuple[Kind, ...] = ("retrain", "forecast", "monitor")


def record_run(workspace: Workspace, name: str, *kinds: Kind) -> None:
    """Record that a run has done this for a model just now."""
    for kind in kinds:
        # A file for each, since runs of several kinds may end at the same time.
        write_json(workspace.reports / name / "runs" / f"{kind}.json", {"ended": datetime.now(UTC).isoformat()})


def last_runs(workspace: Workspace, name: str) -> dict[Kind, datetime]:
    """Return when each was done last, as far as that is on record."""
    found: dict[Kind, datetime] = {}
    for kind in KINDS:
        with suppress(InputError, OSError, KeyError, ValueError, TypeError):
            found[kind] = datetime.fromisoformat(read_json(workspace.reports / name / "runs" / f"{kind}.json")["ended"])
    return found

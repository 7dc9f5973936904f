"""When a model was last retrained, forecast and monitored, also if nothing had changed and all came from cache."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from gatecast.data.errors import InputError
from gatecast.data.store import read_json, write_json
from gatecast.flows.engine.results import Ingested
from gatecast.flows.settings.workspace import Workspace

Kind = Literal["retrain", "forecast", "monitor"]
KINDS: tuple[Kind, ...] = ("retrain", "forecast", "monitor")


def record_run(workspace: Workspace, name: str, *kinds: Kind, data: Mapping[str, Any] | None = None) -> None:
    """Record that a run has done this for a model just now.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    *kinds : str
        What was done.
    data : mapping, optional
        How old the data was that the run has read, see `data_of`.
    """
    for kind in kinds:
        # A file for each, since runs of several kinds may end at the same time.
        content = {"ended": datetime.now(UTC).isoformat(), **({"data": data} if data else {})}
        write_json(workspace.reports / name / "runs" / f"{kind}.json", content)


def data_of(bars: Ingested, series: Collection[str] | None = None) -> dict[str, Any]:
    """Return how old data is, of all series or of some: its last day and overdue rows, and whether it is too old."""
    age = bars["age"]
    if series is None:
        return {"last": bars["last"], "overdue": age["overdue"], "is_stale": age["is_stale"]}
    records = [record for record in bars["series"] if record["unique_id"] in series]
    overdue = max((record["overdue"] for record in records if record["overdue"] is not None), default=None)
    last = max((record["last"][:10] for record in records), default=bars["last"])
    is_stale = overdue is not None and age["limit"] is not None and overdue > age["limit"]
    return {"last": last, "overdue": overdue, "is_stale": is_stale}


def latest_data(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return how old the data was when a run last read it, see `data_of`; nothing if that is not on record."""
    found: list[tuple[str, dict[str, Any]]] = []
    for kind in KINDS:
        with suppress(InputError, OSError, KeyError, TypeError):
            record = read_json(workspace.reports / name / "runs" / f"{kind}.json")
            found.append((str(record["ended"]), dict(record["data"])))
    return max(found, key=lambda each: each[0], default=("", {}))[1]


def last_runs(workspace: Workspace, name: str) -> dict[Kind, datetime]:
    """Return when each was done last, as far as that is on record."""
    found: dict[Kind, datetime] = {}
    for kind in KINDS:
        with suppress(InputError, OSError, KeyError, ValueError, TypeError):
            found[kind] = datetime.fromisoformat(read_json(workspace.reports / name / "runs" / f"{kind}.json")["ended"])
    return found

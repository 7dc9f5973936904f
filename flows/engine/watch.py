"""Ends the runs whose process or machine is gone, for machines that share no files with this one.

A run sends a heartbeat to the server every 30 seconds. A run that has been silent for too long is marked as crashed.
Only the time in which a heartbeat could have arrived counts: after a restart of the server or of the watch, every run
has the full time again. So a server that was down does not mistake a living run for a dead one, and runs that were lost
in the meantime are still found. Prefect's own automations do not promise that: their server throws away the timers that
ran out while it was down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from gatecast.flows.engine.runs import crash_run

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

News = tuple[UUID, UUID | None]
"""The latest state of a run and its latest heartbeat"""

START_LIMIT_SECONDS = 240.0
RUNS_PER_QUERY = 200
SILENT = "The run has stopped reporting; its process or machine is gone. The next run goes on where it stopped."
NEVER_STARTED = "Nothing has started the run; the process that took it is gone."


class Watch:
    """Watches the runs of all deployments with a tag, on any machine.

    Parameters
    ----------
    tag : str
        Of the deployments.
    lost_after_seconds : float
        How long a run may be silent.
    """

    def __init__(self, tag: str, lost_after_seconds: float) -> None:
        self._tag = tag
        self._lost_after_seconds = lost_after_seconds
        self._heard: dict[UUID, tuple[News, float]] = {}

    def crash_silent_runs(self) -> list[UUID]:
        """Mark the runs that have been silent for too long as crashed; return them."""
        from prefect.client.orchestration import get_client

        marked: list[UUID] = []
        heard: dict[UUID, tuple[News, float]] = {}
        now = time.monotonic()
        with get_client(sync_client=True) as client:
            for run in _unfinished(client, self._tag):
                assert run.state is not None
                news = (run.state.id, _last_heartbeat(client, run))
                former, since = self._heard.get(run.id, (None, now))
                heard[run.id] = (news, since if news == former else now)
                pending = run.state.is_pending()
                limit = START_LIMIT_SECONDS if pending else self._lost_after_seconds
                if now - heard[run.id][1] >= limit and crash_run(run.id, NEVER_STARTED if pending else SILENT):
                    marked.append(run.id)
        self._heard = heard
        return marked

    def forget(self) -> None:
        """Give every run the full time again, since no heartbeat could have reached the server."""
        self._heard = {}


def _unfinished(client: SyncPrefectClient, tag: str) -> Iterator[FlowRun]:
    """Yield the runs that are running, about to start, or about to be cancelled."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    types = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    unfinished = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
    )
    found: dict[UUID, FlowRun] = {}
    while True:  # runs that end in between shift the pages, so a run may appear twice
        page = client.read_flow_runs(flow_run_filter=unfinished, limit=RUNS_PER_QUERY, offset=len(found))
        found |= {run.id: run for run in page}
        if len(page) < RUNS_PER_QUERY:
            break
    yield from found.values()


def _last_heartbeat(client: SyncPrefectClient, run: FlowRun) -> UUID | None:
    from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter

    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
        order=EventOrder.DESC,
    )
    events = client.read_events(heartbeats, limit=1).events
    return events[0].id if events else None

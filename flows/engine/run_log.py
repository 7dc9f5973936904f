"""What the log of ``gatecast serve`` says of runs and schedules, wherever the runs take place.

Prefect's server is asked what has changed since it was last asked: a worker on another machine writes no line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gatecast.flows.engine.log import About, Level, Log, utc_now
from gatecast.flows.engine.turned_away import LOOK_BACK, REASON

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

RUNS_PER_QUERY = 200
ENDS: Mapping[str, tuple[Level, str]] = MappingProxyType(
    {
        "COMPLETED": ("INFO", "finished"),
        "FAILED": ("ERROR", "failed"),
        "CRASHED": ("ERROR", "crashed"),
        "CANCELLED": ("WARNING", "cancelled"),
    }
)
"""Level and event of a run that has ended, by the type of its state"""
_PREFIX = re.compile(r"^(?:Flow run encountered an exception|Execution was cancelled by the runtime environment)[:.] *")
_CLASS = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Warning): ")


def sentence_of(message: str) -> str:
    """Return what a state says without what Prefect puts before it: the sentence of the error."""
    return _CLASS.sub("", _PREFIX.sub("", message)) or message


class RunLog:
    """Tells the log of the runs of all deployments with a tag, and of schedules that a person pauses.

    Parameters
    ----------
    log : Log
    tag : str
        Of the deployments.
    now : callable
        Returns the time.
    """

    def __init__(self, log: Log, tag: str, now: Callable[[], datetime] = utc_now) -> None:
        self._log = log
        self._tag = tag
        self._now = now
        self._begun = now()
        self._told: dict[UUID, set[str]] = {}
        self._flows: dict[UUID, str] = {}
        self._deployments: dict[UUID, str] = {}
        self._paused: dict[str, bool] | None = None

    def poll(self) -> None:
        """Tell what has changed since the last call."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            present = {run.id: run for run in _runs(client, self._tag, max(self._begun, self._now() - LOOK_BACK))}
            for run in sorted(present.values(), key=_moment):
                for level, event, message in _news(run, self._now()):
                    told = self._told.setdefault(run.id, set())
                    if event not in told:
                        told.add(event)
                        self._log.tell(level, event, message, self._about(client, run))
        # What has ended for longer than the server is asked back for is not heard of again.
        self._told = {run: told for run, told in self._told.items() if run in present}

    def poll_schedules(self) -> None:
        """Tell which deployments were paused or resumed since the last call; the first call only looks."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

        tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[self._tag]))
        with get_client(sync_client=True) as client:
            found = client.read_deployments(deployment_filter=tagged, limit=RUNS_PER_QUERY)
        present = {each.name: each.paused for each in found}
        for name, is_paused in present.items():
            if self._paused is not None and self._paused.get(name, is_paused) != is_paused:
                event = "paused" if is_paused else "resumed"
                self._log.tell("INFO", event, f"{event} on the dashboard", {"deployment": name})
        self._paused = present

    def _about(self, client: SyncPrefectClient, run: FlowRun) -> About:
        if run.flow_id not in self._flows:
            self._flows[run.flow_id] = client.read_flow(run.flow_id).name
        if run.deployment_id is not None and run.deployment_id not in self._deployments:
            self._deployments[run.deployment_id] = client.read_deployment(run.deployment_id).name
        deployment = self._deployments[run.deployment_id] if run.deployment_id is not None else ""
        about: About = {
            "flow": self._flows[run.flow_id], "deployment": deployment, "run": run.name, "run_id": str(run.id),
            "model": model_of(run.parameters or {}),
        }  # fmt: skip
        return about


def model_of(parameters: Mapping[str, Any]) -> str:
    """Return the name of the model that a run is about, as far as its parameters say it."""
    settings = parameters.get("settings")
    given = settings.get("name") if isinstance(settings, Mapping) else None
    return str(given or parameters.get("name") or "")


def _news(run: FlowRun, now: datetime) -> Iterable[tuple[Level, str, str]]:
    """Yield level, event and message of everything that has happened to a run."""
    state = run.state
    if state is None:
        return
    message = state.message or ""
    if state.name == "Late" and run.expected_start_time is not None:
        late = (now - run.expected_start_time).total_seconds()
        yield "WARNING", "late", f"due {late:.0f} s ago, and not started yet"
    if run.start_time is not None and (state.type.value == "RUNNING" or state.is_final()):
        yield "INFO", "started", ""
    if state.type.value not in ENDS:
        return
    level, event = ENDS[state.type.value]
    seconds = f"after {run.total_run_time.total_seconds():.0f} s"
    if state.type.value == "COMPLETED":
        yield level, event, seconds
    elif message.startswith(REASON):
        yield level, event, "another run of its deployment is under way"
    else:
        yield level, event, sentence_of(message) or seconds


def _moment(run: FlowRun) -> datetime:
    return run.end_time or run.start_time or run.expected_start_time or datetime.now(UTC)


def _runs(client: SyncPrefectClient, tag: str, since: datetime) -> Iterable[FlowRun]:
    """Yield the runs that are late, under way or have ended since a moment."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterEndTime,
        FlowRunFilterState,
        FlowRunFilterStateName,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    tagged = FlowRunFilterTags(all_=[tag])
    under_way = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    filters = (
        FlowRunFilter(tags=tagged, state=FlowRunFilterState(type=under_way)),
        FlowRunFilter(tags=tagged, state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))),
        FlowRunFilter(tags=tagged, end_time=FlowRunFilterEndTime(after_=since - timedelta(seconds=1))),
    )
    for each in filters:
        yield from client.read_flow_runs(flow_run_filter=each, limit=RUNS_PER_QUERY)

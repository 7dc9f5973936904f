"""Schedules across restarts of ``gatecast serve``: what was paused stays paused, missed runs are caught up once.

Prefect's runner would begin every schedule anew, and start each run that was due in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from gatecast.flows.settings.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments.runner import RunnerDeployment

_MARK = "pauses-kept"
"""File that says that pauses on the server are the operator's: until 0.1.0, a stop paused every schedule"""


@dataclass(frozen=True)
class FormerSchedule:
    """What the server knows of a deployment that was served before.

    Attributes
    ----------
    is_paused : bool
        By a person, on the dashboard.
    missed : tuple of UUID
        Runs that were due while nothing was served, the oldest first.
    """

    is_paused: bool
    missed: tuple[UUID, ...]


def former_schedules(tag: str, workspace: Workspace) -> dict[str, FormerSchedule]:
    """Return the schedules of the deployments with a tag, by ``flow/name``."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
    are_kept = (workspace.prefect / _MARK).exists()
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(deployment_filter=tagged)
        missed = _missed(client, [deployment.id for deployment in deployments])
        former = {}
        for deployment in deployments:
            schedules = deployment.schedules
            is_paused = deployment.paused or bool(schedules and not any(schedule.active for schedule in schedules))
            runs = [run for run in missed if run.deployment_id == deployment.id]
            name = f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
            former[name] = FormerSchedule(are_kept and is_paused, tuple(run.id for run in runs))
    return former


def keep_pauses(deployments: Iterable[RunnerDeployment], former: dict[str, FormerSchedule]) -> list[str]:
    """Pause the deployments that were paused before, and return their names."""
    paused = []
    for deployment in deployments:
        before = former.get(f"{deployment.flow_name}/{deployment.name}")
        if before is not None and before.is_paused:
            deployment.paused = True
            paused.append(deployment.name)
    return paused


def catch_up_once(deployments: Iterable[RunnerDeployment], former: dict[str, FormerSchedule], waiting: set[str]) -> int:
    """Of the runs that each deployment has missed, leave the newest; return how many are left.

    Parameters
    ----------
    deployments : iterable of RunnerDeployment
    former : dict
        As `former_schedules` returns it.
    waiting : set of str
        Names of the deployments that catch up; of the others, and of those that are paused, no run is left.
    """
    from contextlib import suppress

    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    left = 0
    with get_client(sync_client=True) as client:
        for deployment in deployments:
            before = former.get(f"{deployment.flow_name}/{deployment.name}")
            missed = before.missed if before is not None else ()
            kept = 1 if missed and deployment.name in waiting and not deployment.paused else 0
            for run in missed[: len(missed) - kept]:
                with suppress(ObjectNotFound):
                    client.delete_flow_run(run)
            left += kept
    return left


def mark_pauses_kept(workspace: Workspace) -> None:
    """Remember that from now on a pause is one that a person has made."""
    workspace.prefect.mkdir(parents=True, exist_ok=True)
    (workspace.prefect / _MARK).touch()


def _missed(client: SyncPrefectClient, deployments: list[UUID]) -> list[FlowRun]:
    """Return the runs of deployments that a schedule has made and that are late, the oldest first."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    if not deployments:
        return []
    late = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=deployments),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    runs: list[FlowRun] = []
    while True:  # a page at a time
        page = client.read_flow_runs(
            flow_run_filter=late, sort=FlowRunSort.EXPECTED_START_TIME_ASC, offset=len(runs), limit=200
        )
        runs += page
        if len(page) < 200:
            return [run for run in runs if run.auto_scheduled]

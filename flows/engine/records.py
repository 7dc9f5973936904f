"""Prefect's own record of runs, which grows with each of them: what is old is deleted.

Runs are deleted through the API, so that any database will do. SQLite gives no space back by itself, see
`flows.engine.database.compact`. Events, of which a run leaves some fifty, are deleted by Prefect's server after a day,
see `flows.engine.server.ENVIRONMENT`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from gatecast.flows.engine.guard import LOOPBACK
from gatecast.flows.engine.runs import FAILED_DAYS, RUNS_PER_QUERY
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Artifact, FlowRun

PICTURES = "-pictures"
"""End of the keys of artifacts that hold pictures, of which only the newest stays: the reports hold them too"""


def old_runs(
    settings: RetentionSettings, flows: Collection[str], workspace: Workspace, now: datetime | None = None
) -> list[FlowRun]:
    """Return the runs that have ended and are not kept.

    Parameters
    ----------
    settings : RetentionSettings
        The newest `keep` of each deployment, or of each flow without one, stay, as those that have failed lately do.
    flows : collection of str
        Names of the flows; runs of others are not ours.
    workspace : Workspace
        Of a server that is not this workspace's own, only runs of our deployments are deleted.
    now : datetime, optional
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterTags
    from prefect.client.schemas.sorting import FlowRunSort

    now = now or datetime.now(UTC)
    after = now - timedelta(days=settings.keep_days)
    ours = None if _is_own(workspace) else FlowRunFilter(tags=FlowRunFilterTags(all_=["gatecast"]))
    seen: dict[UUID, int] = {}
    old = []
    with get_client(sync_client=True) as client:
        offset = 0
        while page := client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(flows))),
            flow_run_filter=ours,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=RUNS_PER_QUERY,
            offset=offset,
        ):
            offset += len(page)
            for run in page:
                if run.state is None or not run.state.is_final():
                    continue
                whose = run.deployment_id or run.flow_id
                seen[whose] = seen.get(whose, 0) + 1
                ended = run.end_time or run.expected_start_time or now
                if seen[whose] > settings.keep and ended <= after and not _failed_lately(run, ended, now):
                    old.append(run)
    return old


def _failed_lately(run: FlowRun, ended: datetime, now: datetime) -> bool:
    """Tell whether a run counts among the failures that Prometheus is told of."""
    assert run.state is not None
    return (run.state.is_failed() or run.state.is_crashed()) and ended > now - timedelta(days=FAILED_DAYS)


def _is_own(workspace: Workspace) -> bool:
    """Tell whether the server is one that Gatecast has started on this workspace."""
    host = urlsplit(os.environ.get("PREFECT_API_URL", "")).hostname
    return host in LOOPBACK and (workspace.prefect / "prefect.db").exists()


def delete_runs(runs: Collection[FlowRun]) -> int:
    """Delete runs with their tasks, logs and artifacts, and pictures that are not the newest; return how many runs."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    deleted = 0
    with get_client(sync_client=True) as client:
        for artifact in [*_artifacts_of([run.id for run in runs], client), *_old_pictures(client)]:
            with suppress(ObjectNotFound):
                client.delete_artifact(artifact.id)
        for run in runs:
            with suppress(ObjectNotFound):  # another process has deleted it
                client.delete_flow_run(run.id)
                deleted += 1
    return deleted


def _artifacts_of(runs: list[UUID], client: SyncPrefectClient) -> Iterator[Artifact]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    for run in runs:
        yield from client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        )


def _old_pictures(client: SyncPrefectClient) -> Iterator[Artifact]:
    """Yield the artifacts with pictures for which there is a newer one."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    keys = set()
    offset = 0
    pictures = ArtifactFilter(key=ArtifactFilterKey(like_=f"%{PICTURES}"))
    while page := client.read_artifacts(
        artifact_filter=pictures, sort=ArtifactSort.CREATED_DESC, limit=RUNS_PER_QUERY, offset=offset
    ):
        offset += len(page)
        for artifact in page:
            if artifact.key in keys:
                yield artifact
            keys.add(artifact.key)

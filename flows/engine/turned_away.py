"""Runs that Prefect's server cancels before they start, since another run of their deployment is under way.

No process of ours ever sees such a run, so that its hooks tell nobody; whoever serves the deployments looks for them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from gatecast.flows.engine.runs import tell_of

REASON = "Deployment concurrency limit reached"
"""How Prefect's server begins to say why"""
LOOK_BACK = timedelta(minutes=10)
"""Ends of runs may be recorded late"""


class TurnedAway:
    """Tells the webhook of such runs, each once, from now on.

    Parameters
    ----------
    tag : str
        Of the deployments.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._begun = datetime.now(UTC)
        self._told: set[UUID] = set()

    def tell(self) -> list[UUID]:
        """Tell of the runs that were turned away since the last call; return them."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import (
            FlowRunFilter,
            FlowRunFilterEndTime,
            FlowRunFilterState,
            FlowRunFilterStateType,
            FlowRunFilterTags,
        )
        from prefect.client.schemas.objects import StateType

        since = max(self._begun, datetime.now(UTC) - LOOK_BACK)
        ended = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[self._tag]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLED])),
            end_time=FlowRunFilterEndTime(after_=since),
        )
        with get_client(sync_client=True) as client:
            found = {
                run.id: run
                for run in client.read_flow_runs(flow_run_filter=ended)
                if run.state is not None and (run.state.message or "").startswith(REASON)
            }
            new = [run for run in found if run not in self._told]
            for run in new:
                deployment = found[run].deployment_id
                name = client.read_deployment(deployment).name if deployment else "its deployment"
                tell_of(found[run], f"Another run of {name} is under way, so this one was cancelled.")
        self._told = set(found)
        return new

"""What was paused stays paused, and missed runs are caught up once; `tests/services/test_serve.py` restarts it all."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from gatecast.flows.engine.orchestration import flow
from gatecast.flows.engine.schedules import catch_up_once, former_schedules, keep_pauses, mark_pauses_kept
from gatecast.flows.settings.workspace import Workspace


@flow(name="nothing")
def nothing() -> None:
    """Do nothing."""


class Deployed:
    """A deployment on the test server, of a tag of its own."""

    def __init__(self, name: str) -> None:
        from prefect.client.orchestration import get_client

        self.name = f"{name}-{uuid4().hex[:8]}"
        self.tag = f"tag-{uuid4()}"
        with get_client(sync_client=True) as client:
            flow_id = client.create_flow(nothing)
            self.id = client.create_deployment(flow_id, self.name, tags=[self.tag], entrypoint="nothing:nothing")

    def missed(self, hours: int, by_schedule: bool = True) -> UUID:
        """Add a run that was due some hours ago, made by a schedule or by a person."""
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
        from prefect.states import Scheduled

        due = datetime.now(UTC) - timedelta(hours=hours)
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(self.id, state=Scheduled(scheduled_time=due)).id
        if by_schedule:  # which only Prefect's own scheduler can say through the API
            path = str(PREFECT_API_DATABASE_CONNECTION_URL.value()).partition(":///")[2]
            with sqlite3.connect(path, timeout=30) as database:
                changed = database.execute("UPDATE flow_run SET auto_scheduled = 1 WHERE id = ?", (str(run),))
            assert changed.rowcount == 1
        return run

    def pause(self) -> None:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            client.pause_deployment(self.id)

    def runs(self) -> set[UUID]:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

        of_this = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self.id]))
        with get_client(sync_client=True) as client:
            return {run.id for run in client.read_flow_runs(flow_run_filter=of_this)}

    def again(self) -> Any:
        """What `build` makes of it when Gatecast starts again."""
        return SimpleNamespace(flow_name="nothing", name=self.name, paused=False)


@pytest.mark.parametrize(("is_waiting", "left"), [(True, 1), (False, 0)])
def test_of_the_runs_that_were_missed_one_is_caught_up(
    server: str, workspace: Workspace, is_waiting: bool, left: int
) -> None:
    deployed = Deployed("nightly")
    by_hand = deployed.missed(7, by_schedule=False)
    missed = [deployed.missed(hours) for hours in (30, 20, 10)]
    former = former_schedules(deployed.tag, workspace)
    assert former[f"nothing/{deployed.name}"].missed == tuple(missed)
    assert catch_up_once([deployed.again()], former, {deployed.name} if is_waiting else set()) == left
    assert deployed.runs() == {by_hand, *missed[len(missed) - left :]}


def test_what_a_person_has_paused_stays_paused_and_catches_nothing_up(server: str, workspace: Workspace) -> None:
    deployed = Deployed("paused")
    deployed.missed(5)
    mark_pauses_kept(workspace)
    assert keep_pauses([deployed.again()], former_schedules(deployed.tag, workspace)) == []
    deployed.pause()
    former = former_schedules(deployed.tag, workspace)
    again = deployed.again()
    assert keep_pauses([again], former) == [deployed.name]
    assert again.paused
    assert catch_up_once([again], former, {deployed.name}) == 0
    assert deployed.runs() == set()


def test_pauses_of_a_stop_by_an_earlier_version_are_nobody_s(server: str, workspace: Workspace) -> None:
    deployed = Deployed("stopped")
    deployed.pause()
    assert not former_schedules(deployed.tag, workspace)[f"nothing/{deployed.name}"].is_paused


def test_a_deployment_that_was_not_served_before_has_no_past(server: str, workspace: Workspace) -> None:
    former = former_schedules(f"tag-{uuid4()}", workspace)
    new = SimpleNamespace(flow_name="nothing", name="new", paused=False)
    assert former == {}
    assert keep_pauses([new], former) == []
    assert catch_up_once([new], former, {"new"}) == 0
